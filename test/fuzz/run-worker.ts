// Runs in a thread of its own: what ends, blocks or fills it must not take the judge with it.
import { parentPort, workerData } from 'node:worker_threads';
import type { FuzzPlan } from './protocol.ts';
import { runPlan } from './run.ts';
import type { FuzzTarget } from './target.ts';

const plan = workerData as FuzzPlan;
const { target } = (await import(plan.module)) as { readonly target: FuzzTarget };
parentPort?.postMessage(await runPlan(target, plan));

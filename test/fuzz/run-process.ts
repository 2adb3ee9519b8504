// A process of its own: what ends, blocks or fills it must not take the judge with it.
import { RunFiles } from './protocol.ts';
import { runPlan } from './run.ts';
import type { FuzzTarget } from './target.ts';

const [, , directory = ''] = process.argv;
// What a target lays down is gone with the run's directory, however the run ends.
process.env.TMPDIR = directory;
const files = new RunFiles(directory);
const plan = files.plan;
const { target } = (await import(plan.module)) as { readonly target: FuzzTarget };
files.end = await runPlan(target, plan, files.progress);
// Whatever the target has left running is no part of the run.
process.exit();

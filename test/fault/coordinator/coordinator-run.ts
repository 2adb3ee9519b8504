import { join } from 'node:path';
import { openLedger } from '../../ledger/ledger.ts';
import { nextSeed } from '../../ledger/sums.ts';
import { codePaths } from '../code-paths.ts';
import { runSweep, type SweepResult, sweptSteps } from './coordinator-sweep.ts';

const subject = 'coordinator, each step';
const gateways = 3;

export interface EachStepOptions {
  /** How often each step is followed by a death, and by a pause. */
  readonly eachStep: number;
  readonly seed?: number;
  readonly record: boolean;
  readonly logDirectory?: string;
  readonly say: (line: string) => void;
}

export interface EachStepReport {
  /** Of all steps, how often each was followed by a death and by a pause. */
  readonly eachStep: number;
  readonly steps: readonly string[];
  readonly cases: number;
  readonly operations: number;
  readonly worstOutageMs: number;
  readonly slowestReadMs: number;
  readonly violations: readonly string[];
}

/** Sweeps until each step has been met so often, those that were recorded for the very same code included. A sweep with a violation ends the run. */
export async function runEachStep({ eachStep, seed: given, record, logDirectory, say }: EachStepOptions): Promise<EachStepReport> {
  const ledger = record ? await openLedger('fault', codePaths) : null;
  const before = ((await ledger?.current()) ?? []).filter((entry) => entry.subject === subject);
  const passed = before.filter(({ outcome }) => outcome === 'passed');
  const results: SweepResult[] = [];
  let seed = given ?? nextSeed(before);
  while (passed.length + results.length < eachStep) {
    const startedMs = performance.now();
    const logs = logDirectory === undefined ? {} : { logDirectory: join(logDirectory, `sweep-${seed}`) };
    say(`sweep ${seed}: each of ${sweptSteps.length} steps, killed and paused`);
    const result = await runSweep(seed, { gateways, ...logs }, say);
    results.push(result);
    const { violations, ...figures } = result;
    const minutes = (performance.now() - startedMs) / 60_000;
    await ledger?.append({ subject, seeds: { first: seed, count: 1 }, minutes, outcome: violations.length === 0 ? 'passed' : 'failed', figures });
    if (violations.length > 0) break;
    seed += 1;
  }
  const sum = (name: 'cases' | 'operations'): number =>
    passed.reduce((all, { figures }) => all + Number(figures[name] ?? 0), 0) + results.reduce((all, result) => all + result[name], 0);
  const worst = (name: 'worstOutageMs' | 'slowestReadMs'): number =>
    Math.max(0, ...passed.map(({ figures }) => Number(figures[name] ?? 0)), ...results.map((result) => result[name]));
  return {
    eachStep: passed.length + results.length,
    steps: sweptSteps,
    cases: sum('cases'),
    operations: sum('operations'),
    worstOutageMs: worst('worstOutageMs'),
    slowestReadMs: worst('slowestReadMs'),
    violations: [
      ...before
        .filter(({ outcome }) => outcome === 'failed')
        .map(({ seeds }) => `sweep ${seeds?.first} has failed, as recorded: run it again with --seed ${seeds?.first} --no-record`),
      ...results.flatMap(({ violations }) => violations),
    ],
  };
}

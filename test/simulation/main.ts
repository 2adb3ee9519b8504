import { openLedger } from '../ledger/ledger.ts';
import { type Options, readOptions, usage } from './options.ts';
import { report } from './report.ts';
import { runSeed, type SeedResult } from './run-seed.ts';
import { shrinkPlan } from './shrink.ts';
import { noteText } from './world/journal.ts';
import type { Plan } from './world/plan.ts';

/** What decides what a seed does. */
const paths = ['core', 'topo', 'gateway', 'control', 'runtime', 'gen', 'backends/backend.ts', 'backends/request-answer.ts', 'test/simulation', 'test/checker'];
const subject = 'seeds';
/** Seeds of one line of the record. */
const piece = 100;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  const options = readOptions(process.argv.slice(2));
  // Errors are thrown by the thousand, and nobody looks where they come from.
  if (!options.isTalkative) Error.stackTraceLimit = 0;
  if (options.firstSeed !== null || options.broken.length > 0) return (await runSeeds(options, options.firstSeed ?? 1, options.seeds)) === null;
  const ledger = await openLedger('simulation', paths);
  const done = await ledger.current();
  let first =
    1 +
    Math.max(0, ...done.filter((entry) => entry.subject === subject && entry.seeds !== undefined).map(({ seeds }) => (seeds === undefined ? 0 : seeds.first + seeds.count - 1)));
  const last = first + options.seeds - 1;
  while (first <= last) {
    const count = Math.min(piece, last - first + 1);
    const begunMs = performance.now();
    const failed = await runSeeds(options, first, count);
    const ran = failed === null ? count : failed - first + 1;
    await ledger.append({ subject, seeds: { first, count: ran }, minutes: (performance.now() - begunMs) / 60_000, outcome: failed === null ? 'passed' : 'failed' });
    if (failed !== null) return false;
    first += count;
  }
  return true;
}

/** Runs seeds until one fails, which is then shrunk and shown; returns it, or null. */
async function runSeeds(options: Options, first: number, count: number): Promise<number | null> {
  const figures = { faults: 0, operations: 0, steps: 0, undecided: 0 };
  const begunMs = performance.now();
  const begunCpu = process.cpuUsage();
  for (let seed = first; seed < first + count; seed += 1) {
    const plan = options.planOf(seed);
    const result = await run(plan, options);
    if (options.isTalkative) for (const note of result.notes) print(noteText(note));
    if (options.checksDeterminism) compareRuns(seed, result, await run(plan, options));
    if (result.violations.length > 0) {
      await show(plan, result, options);
      return seed;
    }
    figures.faults += result.faults;
    figures.operations += result.history.length;
    figures.steps += result.steps;
    figures.undecided += result.undecided;
    progress(`${seed - first + 1} of ${count} seeds`);
  }
  const { user, system } = process.cpuUsage(begunCpu);
  const perSeed = `${((performance.now() - begunMs) / count).toFixed(0)} ms, ${((user + system) / 1_000 / count).toFixed(0)} of them on the processor`;
  progress('');
  print(
    `seeds ${first} to ${first + count - 1}: no violation; ${figures.operations} operations, ${figures.faults} faults, ${figures.steps} steps, ${figures.undecided} rows undecided; ${perSeed} a seed`,
  );
  return null;
}

const run = (plan: Plan, { broken, isTalkative }: Options): Promise<SeedResult> => runSeed(plan, { broken: new Set(broken), isTalkative });

function compareRuns(seed: number, a: SeedResult, b: SeedResult): void {
  if (a.trace !== b.trace || a.steps !== b.steps) throw new Error(`seed ${seed} is not the same twice: ${a.steps} steps with trace ${a.trace}, ${b.steps} with ${b.trace}`);
}

async function show(plan: Plan, result: SeedResult, options: Options): Promise<void> {
  progress(`seed ${plan.seed} failed; looking for less that fails as well`);
  const smaller = await shrinkPlan(plan, async (candidate) => (await run(candidate, options)).violations.length > 0);
  progress('');
  print(report(smaller, smaller === plan ? result : await run(smaller, options), options.broken));
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

try {
  if (!(await main())) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
  process.exitCode = 2;
}

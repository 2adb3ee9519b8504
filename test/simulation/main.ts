import { availableParallelism } from 'node:os';
import { openLedger } from '../ledger/ledger.ts';
import { nextSeed } from '../ledger/sums.ts';
import { type Options, readOptions, usage } from './options.ts';
import { report } from './report.ts';
import { runParallel } from './run-parallel.ts';
import { type RangeResult, runPlan } from './run-range.ts';
import { shrinkPlan } from './shrink.ts';
import { noteText } from './world/journal.ts';

/** What decides what a seed does. */
const paths = [
  'core',
  'topo',
  'gateway',
  'control',
  'runtime',
  'gen',
  'backends/backend.ts',
  'backends/request-answer.ts',
  'backends/stream-beginning.ts',
  'test/simulation',
  'test/checker',
];
const subject = 'seeds';
/** Seeds of one line of the record. */
const piece = 200;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Whether all is well. */
async function main(args: readonly string[]): Promise<boolean> {
  const options = readOptions(args);
  if (options.isTalkative) return talk(options);
  // Errors are thrown by the thousand, and nobody looks where they come from.
  Error.stackTraceLimit = 0;
  if (options.firstSeed !== null || options.broken.length > 0) {
    const { failed } = await runSeeds(args, options, options.firstSeed ?? 1, options.seeds);
    return failed === null;
  }
  const ledger = await openLedger('simulation', paths);
  const done = (await ledger.current()).filter((entry) => entry.subject === subject);
  let first = nextSeed(done, 1);
  const last = first + options.seeds - 1;
  while (first <= last) {
    const count = Math.min(piece, last - first + 1);
    const begunMs = performance.now();
    const { failed, operations, faults, steps, undecided } = await runSeeds(args, options, first, count);
    const seeds = { first, count: failed === null ? count : failed - first + 1 };
    await ledger.append({
      subject,
      seeds,
      minutes: (performance.now() - begunMs) / 60_000,
      outcome: failed === null ? 'passed' : 'failed',
      figures: { operations, faults, steps, undecided },
    });
    if (failed !== null) return false;
    first += count;
  }
  return true;
}

/** Runs seeds until one fails, which is then shrunk and shown. */
async function runSeeds(args: readonly string[], options: Options, first: number, count: number): Promise<RangeResult> {
  const begunMs = performance.now();
  const begunCpu = process.cpuUsage();
  const sum = await runParallel(args, availableParallelism(), first, count, (done) => progress(`${done} of ${count} seeds`));
  const { user, system } = process.cpuUsage(begunCpu);
  progress('');
  if (sum.failed !== null) {
    await show(options, sum.failed);
    return sum;
  }
  const perSeed = `${((performance.now() - begunMs) / count).toFixed(0)} ms a seed, ${((user + system) / 1_000 / count).toFixed(0)} ms of a processor`;
  const { operations, faults, steps, undecided } = sum;
  print(`seeds ${first} to ${first + count - 1}: no violation; ${operations} operations, ${faults} faults, ${steps} steps, ${undecided} rows undecided; ${perSeed}`);
  return sum;
}

async function show(options: Options, seed: number): Promise<void> {
  progress(`seed ${seed} failed; looking for less that fails as well`);
  const plan = await shrinkPlan(options.planOf(seed), async (candidate) => (await runPlan(candidate, options)).violations.length > 0);
  progress('');
  print(report(plan, await runPlan(plan, options), options.broken));
}

/** Everything that happened in each of the seeds. */
async function talk(options: Options): Promise<boolean> {
  let isWell = true;
  for (let seed = options.firstSeed ?? 1; seed < (options.firstSeed ?? 1) + options.seeds; seed += 1) {
    const { notes, violations, steps, trace } = await runPlan(options.planOf(seed), options);
    for (const note of notes) print(noteText(note));
    print(`seed ${seed}: ${violations.length} violations, ${steps} steps, trace ${trace}`);
    isWell &&= violations.length === 0;
  }
  return isWell;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

try {
  if (!(await main(process.argv.slice(2)))) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
  process.exitCode = 2;
}

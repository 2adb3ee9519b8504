import { availableParallelism } from 'node:os';
import { openLedger } from '../ledger/ledger.ts';
import { nextSeed } from '../ledger/sums.ts';
import { counted } from '../ledger/wording.ts';
import { type Options, readOptions, usage } from './options.ts';
import { breakVerdict, report } from './report.ts';
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

/** Whether all is well: nothing is wrong, or without a safeguard something is. */
async function main(args: readonly string[], options: Options): Promise<boolean> {
  const { broken, firstSeed, isTalkative, seeds } = options;
  if (!isTalkative) {
    // Errors are thrown by the thousand, and nobody looks where they come from.
    Error.stackTraceLimit = 0;
    if (firstSeed === null && broken.length === 0) return goOn(args, options);
  }
  const failed = isTalkative ? await talk(options) : (await runSeeds(args, options, firstSeed ?? 1, seeds)).failed;
  if (broken.length === 0) return failed === null;
  print(breakVerdict(broken, failed, seeds));
  return failed !== null;
}

/** Goes on behind what the record of this very code has. */
async function goOn(args: readonly string[], options: Options): Promise<boolean> {
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

/** Everything that happened in each of the seeds. The first that failed, or null. */
async function talk(options: Options): Promise<number | null> {
  let failed: number | null = null;
  for (let seed = options.firstSeed ?? 1; seed < (options.firstSeed ?? 1) + options.seeds; seed += 1) {
    const { notes, violations, steps, trace } = await runPlan(options.planOf(seed), options);
    for (const note of notes) print(noteText(note));
    for (const said of violations) print(`VIOLATION ${said}`);
    print(`seed ${seed}: ${counted(violations.length, 'violation')}, ${steps} steps, trace ${trace}`);
    if (violations.length > 0) failed ??= seed;
  }
  return failed;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Null, after the reason and the usage, where the arguments are no good. */
function optionsOf(args: readonly string[]): Options | null {
  try {
    return readOptions(args);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${usage}\n`);
    return null;
  }
}

async function exitCodeOf(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    print(usage);
    return 0;
  }
  const options = optionsOf(args);
  if (options === null) return 2;
  try {
    return (await main(args, options)) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

process.exitCode = await exitCodeOf(process.argv.slice(2));

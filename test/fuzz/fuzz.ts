import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SupervisedProcess } from '../support/servers/supervised-process.ts';
import { keepInput, readCorpus } from './corpus.ts';
import { readProgress } from './progress.ts';
import { type FoundInput, type FuzzPlan, type RunEnd, RunFiles } from './protocol.ts';
import { messageOf } from './target.ts';

/** A run that begins nothing new for so long hangs. Counted in looks, which come late as well on a machine that is busy elsewhere; what an input costs in CPU time is bounded by the run itself. */
const hangMs = 60_000;
/** The same until the first input: a process has to start and its target to open. */
const openMs = 120_000;
const lookMs = 250;
const heapMb = 512;
const runProcess = fileURLToPath(new URL('./run-process.ts', import.meta.url));
const runFlags = ['--disable-warning=ExperimentalWarning', '--expose-gc', `--max-old-space-size=${heapMb}`];

export interface FuzzOptions {
  /** Where the target is; its export is `target`. */
  readonly name: string;
  readonly module: URL;
  readonly seed: number;
  readonly seconds: number;
  /** Keeps a failing input in the corpus. */
  readonly keep: boolean;
  readonly minimiseTries?: number;
  readonly hangMs?: number;
}

export interface FuzzReport extends Omit<RunEnd, 'found'> {
  readonly target: string;
  readonly seed: number;
  readonly found: (FoundInput & { readonly file: string | null; readonly command: string }) | null;
}

/** Fuzzes one target in a process of its own: the corpus first, then new inputs for `seconds`. Never rejects for what the target does. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { name, module, seed, seconds, keep } = options;
  const corpus = (await readCorpus(name)).map(({ input }) => new Uint8Array(input));
  const plan: FuzzPlan = { module: module.href, seed, seconds, corpus, minimiseTries: options.minimiseTries ?? 300 };
  const { found, ...counts } = await superviseRun(plan, options.hangMs ?? hangMs);
  if (found === null) return { target: name, seed, ...counts, found: null };
  const file = keep && found.input !== null ? await keepInput(name, found.kind, Buffer.from(found.input)) : null;
  const command = file === null ? `npm run fuzz -- --target ${name} --seconds ${Math.max(1, Math.ceil(seconds))} --seed ${seed}` : `npm run fuzz -- --target ${name} --seconds 0`;
  return { target: name, seed, ...counts, found: { ...found, file, command } };
}

/** Runs a plan in a process; one that ends before its time, hangs or fills its memory is a finding too, and the input that it was at is the one to blame. */
async function superviseRun(plan: FuzzPlan, hangAfterMs: number): Promise<RunEnd> {
  await using child = await SupervisedProcess.open({ prefix: 'switchyard-fuzz-', killSignal: 'SIGKILL' });
  const files = new RunFiles(child.directory);
  files.plan = plan;
  await child.start(process.execPath, [...runFlags, runProcess, child.directory], files.log);
  let steps = 0;
  let quietMs = 0;
  for (;;) {
    await sleep(lookMs);
    const { isRunning } = child;
    const { end } = files;
    if (end !== null) return end;
    const progress = readProgress(files.progress);
    const failed = (kind: FoundInput['kind'], message: string): RunEnd => ({
      inputs: progress.steps,
      outcomes: {},
      slowestMs: 0,
      found: { kind, message, input: progress.input },
    });
    if (!isRunning) {
      const how = await child.assertRunning().catch(messageOf);
      return how?.includes('heap out of memory') ? failed('growth', `the run filled its ${heapMb} MiB of memory`) : failed('crash', `the process would have ended: ${how}`);
    }
    quietMs = progress.steps === steps ? quietMs + lookMs : 0;
    steps = progress.steps;
    const limitMs = progress.input === null ? Math.max(hangAfterMs, openMs) : hangAfterMs;
    if (quietMs > limitMs) return failed('hang', `nothing went on for ${limitMs} ms`);
  }
}

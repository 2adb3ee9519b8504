import { Worker } from 'node:worker_threads';
import { keepInput, readCorpus } from './corpus.ts';
import { Progress } from './progress.ts';
import type { FoundInput, FuzzPlan, RunEnd } from './protocol.ts';
import { messageOf } from './target.ts';

/** A run that begins nothing new for so long hangs. Counted in looks, which come late as well on a machine that is busy elsewhere; what an input costs in CPU time is bounded by the run itself. */
const hangMs = 60_000;
/** The same until the first input: a thread has to start and its target to open. */
const openMs = 120_000;
const lookMs = 250;
const heapMb = 512;

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

/** Fuzzes one target in a thread of its own: the corpus first, then new inputs for `seconds`. Never rejects for what the target does. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { name, module, seed, seconds, keep } = options;
  const progress = new Progress();
  const corpus = (await readCorpus(name)).map(({ input }) => new Uint8Array(input));
  const plan: FuzzPlan = { module: module.href, seed, seconds, corpus, minimiseTries: options.minimiseTries ?? 300, progress: progress.shared };
  const { found, ...counts } = await superviseRun(plan, progress, options.hangMs ?? hangMs);
  if (found === null) return { target: name, seed, ...counts, found: null };
  const file = keep && found.input !== null ? await keepInput(name, found.kind, Buffer.from(found.input)) : null;
  const command = file === null ? `npm run fuzz -- --target ${name} --seconds ${Math.max(1, Math.ceil(seconds))} --seed ${seed}` : `npm run fuzz -- --target ${name} --seconds 0`;
  return { target: name, seed, ...counts, found: { ...found, file, command } };
}

/** Runs a plan in a thread; a thread that ends by itself, hangs or fills its memory is a finding too, and the input that it was at is the one to blame. */
async function superviseRun(plan: FuzzPlan, progress: Progress, hangAfterMs: number): Promise<RunEnd> {
  const worker = new Worker(new URL('./run-worker.ts', import.meta.url), {
    workerData: plan,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
  });
  const { promise, resolve } = Promise.withResolvers<RunEnd>();
  const fail = (kind: FoundInput['kind'], message: string): void =>
    resolve({ inputs: progress.steps, outcomes: {}, slowestMs: 0, found: { kind, message, input: progress.input === null ? null : new Uint8Array(progress.input) } });
  worker.once('message', resolve);
  worker.once('error', (error: Error & { readonly code?: string }) => {
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') fail('growth', `the run filled its ${heapMb} MiB of memory`);
    else fail('crash', `the process would have ended: ${error.stack ?? messageOf(error)}`);
  });
  worker.once('exit', (code) => fail('crash', `the process would have ended with code ${code}`));
  let steps = progress.steps;
  let quietMs = 0;
  const watch = setInterval(() => {
    quietMs = progress.steps === steps ? quietMs + lookMs : 0;
    steps = progress.steps;
    const limitMs = progress.input === null ? Math.max(hangAfterMs, openMs) : hangAfterMs;
    if (quietMs > limitMs) fail('hang', `nothing went on for ${limitMs} ms`);
  }, lookMs);
  try {
    return await promise;
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

import { minimise } from './minimise.ts';
import { mutate } from './mutate.ts';
import { ProgressWriter } from './progress.ts';
import type { FoundInput, FuzzPlan, RunEnd } from './protocol.ts';
import { Random } from './random.ts';
import { Finding, type FuzzTarget, messageOf, type OpenTarget } from './target.ts';

/** Inputs between two checks of what must hold whatever comes. */
const batchSize = 64;
/** CPU time of this thread for one input. */
const slowMs = 2_000;
/** The first so many inputs fill caches and compile code; what memory holds then is what all later looks are compared with. */
const warmInputs = 400;
const growthBytes = 48 * 1024 * 1024;
const lookEveryInputs = 2_000;
/** Inputs that mutation begins from, and the largest of them: what the run itself holds must not look like growth. */
const pooled = 200;
const pooledBytes = 16 * 1024;
const settleMs = 2_000;
/** Where each try is slow, the smallest input that was found by then will do. */
const minimiseMs = 20_000;

function heldBytes(): number {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('memory in use can be measured only with --expose-gc');
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Replays a plan's corpus, then makes inputs until its time is over or one of them leads to a finding. Says in the file `progress` how far it is. */
export async function runPlan(target: FuzzTarget, plan: FuzzPlan, progress: string): Promise<RunEnd> {
  const run = new Run(target, plan, new ProgressWriter(progress));
  try {
    const found = await run.all();
    return { ...run.counts, found };
  } finally {
    await run.close();
  }
}

class Run {
  readonly #target: FuzzTarget;
  readonly #plan: FuzzPlan;
  readonly #progress: ProgressWriter;
  readonly #random: Random;
  readonly #outcomes = new Map<string, number>();
  #open: OpenTarget | null = null;
  #inputs = 0;
  #slowestMs = 0;
  #warmBytes: number | null = null;
  #batch: Buffer[] = [];

  constructor(target: FuzzTarget, plan: FuzzPlan, progress: ProgressWriter) {
    this.#target = target;
    this.#plan = plan;
    this.#progress = progress;
    this.#random = new Random(plan.seed);
  }

  get counts() {
    return { inputs: this.#inputs, outcomes: Object.fromEntries([...this.#outcomes].sort(([, a], [, b]) => b - a)), slowestMs: Math.round(this.#slowestMs) };
  }

  async all(): Promise<FoundInput | null> {
    await this.#reopen();
    const corpus = this.#plan.corpus.map((bytes) => Buffer.from(bytes));
    for (const input of corpus) {
      const found = (await this.#try(input)) ?? (await this.#checked());
      if (found !== null) return found;
    }
    return this.#fuzz(corpus);
  }

  async close(): Promise<void> {
    this.#progress.touch();
    await this.#open?.[Symbol.asyncDispose]();
  }

  async #fuzz(corpus: readonly Buffer[]): Promise<FoundInput | null> {
    const endsAt = performance.now() + this.#plan.seconds * 1_000;
    const pool: Buffer[] = [...corpus];
    while (performance.now() < endsAt) {
      const found = (await this.#try(this.#next(pool))) ?? (this.#batch.length >= batchSize ? await this.#checked() : null) ?? (await this.#grown());
      if (found !== null) return found;
    }
    return (await this.#checked()) ?? (this.#warmBytes === null ? null : await this.#grown(true));
  }

  #next(pool: Buffer[]): Buffer {
    if (pool.length === 0 || !this.#random.chance(this.#target.changedPercent ?? 60)) {
      const made = this.#target.generate(this.#random);
      if (made.length > pooledBytes) return made;
      if (pool.length < pooled) pool.push(made);
      else pool[this.#random.below(pooled)] = made;
      return made;
    }
    return mutate(this.#random, this.#random.pick(pool), { words: this.#target.words, others: pool });
  }

  /** Runs one input; null when nothing is wrong with what came of it. */
  async #try(input: Buffer): Promise<FoundInput | null> {
    this.#batch.push(input);
    const found = await this.#judge(input);
    return found === null ? null : this.#smaller(found, input);
  }

  async #judge(input: Buffer): Promise<Finding | null> {
    this.#progress.begin(input);
    this.#inputs += 1;
    const before = process.threadCpuUsage();
    try {
      const outcome = await this.#opened.run(input);
      this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
    } catch (error) {
      return error instanceof Finding ? error : new Finding('answer', `an error without a reason: ${messageOf(error)}`, error);
    }
    const { user, system } = process.threadCpuUsage(before);
    const ms = (user + system) / 1_000;
    this.#slowestMs = Math.max(this.#slowestMs, ms);
    return ms > slowMs ? new Finding('slow', `one input of ${input.length} bytes took ${Math.round(ms)} ms of CPU`) : null;
  }

  async #checkOnly(): Promise<Finding | null> {
    this.#progress.touch();
    try {
      await this.#opened.check?.();
      return null;
    } catch (error) {
      return error instanceof Finding ? error : new Finding('state', `what must hold does not: ${messageOf(error)}`, error);
    }
  }

  /** Asks what must hold; where it does not, looks for the input of the batch that is to blame. */
  async #checked(): Promise<FoundInput | null> {
    const batch = this.#batch;
    this.#batch = [];
    const failed = await this.#checkOnly();
    if (failed === null) return null;
    for (const input of batch) {
      await this.#reopen();
      if ((await this.#judge(input)) === null && (await this.#checkOnly()) !== null) return this.#smaller(failed, input);
    }
    return { kind: failed.kind, message: `${failed.message} (after a batch of inputs, none of which does it alone)`, input: null };
  }

  async #grown(last = false): Promise<FoundInput | null> {
    if (this.#inputs < warmInputs || (!last && this.#warmBytes !== null && this.#inputs % lookEveryInputs !== 0)) return null;
    this.#warmBytes ??= heldBytes();
    if (heldBytes() - this.#warmBytes < growthBytes) return null;
    // What is under way still may hold something for a moment.
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const grown = heldBytes() - this.#warmBytes;
    if (grown < growthBytes) return null;
    return { kind: 'growth', message: `memory in use grew by ${Math.round(grown / 2 ** 20)} MiB over ${this.#inputs - warmInputs} inputs`, input: null };
  }

  async #smaller(found: Finding, input: Buffer): Promise<FoundInput> {
    const { minimiseTries } = this.#plan;
    const endsAt = performance.now() + minimiseMs;
    const fails = async (candidate: Buffer): Promise<boolean> => {
      if (performance.now() > endsAt) return false;
      if (found.kind === 'state') await this.#reopen();
      const again = (await this.#judge(candidate)) ?? (found.kind === 'state' ? await this.#checkOnly() : null);
      return again?.kind === found.kind;
    };
    const smallest = minimiseTries === 0 ? input : await minimise(input, fails, minimiseTries);
    return { kind: found.kind, message: describe(found), input: smallest };
  }

  get #opened(): OpenTarget {
    if (this.#open === null) throw new Error('the target is not open');
    return this.#open;
  }

  async #reopen(): Promise<void> {
    this.#progress.touch();
    const before = this.#open;
    this.#open = null;
    await before?.[Symbol.asyncDispose]();
    this.#open = await this.#target.open();
    this.#progress.touch();
  }
}

function describe(found: Finding): string {
  const { cause } = found;
  return cause instanceof Error ? `${found.message}\n${cause.stack ?? ''}` : found.message;
}

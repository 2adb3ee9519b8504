import type { Clock } from '../core/clock.ts';
import { abortError } from './abort-error.ts';

/** Reads that go together at most. More would save little and make the last wait for all. */
const JOINT_LIMIT = 8;

/** What became of one of the reads that went together. `again`: it has to run once more, alone. */
export type JointOutcome<Answer> = { readonly kind: 'answer'; readonly answer: Answer } | { readonly kind: 'failure'; readonly error: unknown } | { readonly kind: 'again' };

export interface JointReadsParts<Group, Asked, Answer> {
  readonly clock: Clock;
  /** Runs reads of one group together; one outcome for each, in order. Its rejection is the failure of all. */
  readonly together: (group: Group, asked: readonly Asked[], signal: AbortSignal) => Promise<readonly JointOutcome<Answer>[]>;
  readonly alone: (group: Group, asked: Asked, signal: AbortSignal) => Promise<Answer>;
}

interface JointRead<Asked, Answer> {
  readonly asked: Asked;
  readonly signal: AbortSignal;
  readonly resolve: (answer: Answer | Promise<Answer>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Short reads of one group that come in the same turn of the event loop go to the store together: that spares both processes most of what a small read costs, which is waking up. An abort rejects its own
 * read at once; the store is asked to cancel when nobody waits for any of them. All of them began before they were sent, so none can miss a write that was acknowledged before its call.
 */
export class JointReads<Group, Asked, Answer> {
  readonly #parts: JointReadsParts<Group, Asked, Answer>;
  readonly #waiting = new Map<unknown, { readonly group: Group; readonly reads: JointRead<Asked, Answer>[] }>();

  constructor(parts: JointReadsParts<Group, Asked, Answer>) {
    this.#parts = parts;
  }

  /** For reads that are over soon: others may have to wait for this one. `key` tells groups apart. */
  run(key: unknown, group: Group, asked: Asked, signal: AbortSignal): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const read = { asked, signal, resolve, reject };
    const isFirst = this.#waiting.size === 0;
    const others = this.#waiting.get(key);
    if (others === undefined) this.#waiting.set(key, { group, reads: [read] });
    else others.reads.push(read);
    if (isFirst) this.#parts.clock.endOfTurn(() => this.#send());
    return promise;
  }

  #send(): void {
    for (const { group, reads } of this.#waiting.values()) {
      for (let from = 0; from < reads.length; from += JOINT_LIMIT) void this.#sendTogether(group, reads.slice(from, from + JOINT_LIMIT));
    }
    this.#waiting.clear();
  }

  /** Never rejects. */
  async #sendTogether(group: Group, reads: readonly JointRead<Asked, Answer>[]): Promise<void> {
    const alone = ({ asked, signal, resolve }: JointRead<Asked, Answer>): void => resolve(this.#parts.alone(group, asked, signal));
    const [first] = reads;
    if (first !== undefined && reads.length === 1) return alone(first);
    const wanted = new Wanted(reads);
    try {
      const asked = reads.map((read) => read.asked);
      const outcomes = await this.#parts.together(group, asked, wanted.signal);
      for (const [i, read] of reads.entries()) {
        const outcome = outcomes[i];
        if (outcome?.kind === 'answer') read.resolve(outcome.answer);
        else if (outcome?.kind === 'failure') read.reject(outcome.error);
        else if (!read.signal.aborted) alone(read);
      }
    } catch (error) {
      for (const { reject } of reads) reject(error);
    } finally {
      wanted.end();
    }
  }
}

/** Rejects each read when its own signal aborts; `signal` aborts when all have. */
class Wanted {
  readonly #all = new AbortController();
  readonly #leave: (() => void)[] = [];
  #left: number;

  constructor(reads: readonly { readonly signal: AbortSignal; readonly reject: (error: unknown) => void }[]) {
    this.#left = reads.length;
    for (const { signal, reject } of reads) {
      const onAbort = (): void => {
        reject(abortError(signal));
        this.#left -= 1;
        if (this.#left === 0) this.#all.abort(signal.reason);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      this.#leave.push(() => signal.removeEventListener('abort', onAbort));
    }
  }

  get signal(): AbortSignal {
    return this.#all.signal;
  }

  end(): void {
    for (const leave of this.#leave) leave();
  }
}

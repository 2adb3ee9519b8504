import type { Clock } from '../../core/clock.ts';
import { VERDICTS } from '../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { Call } from './call.ts';

const firstRestMs = 10;
const longestRestMs = 500;
const retryAfterMs = 100;

/**
 * Tries a write with a request id again when nobody knows whether it was done: the record tells the store. Once a try was unknown, whatever keeps a later one from the store is no end either until the call's deadline, for
 * "nothing was written" would be true of that try alone.
 */
export class Repetition {
  readonly #clock: Clock;
  #unknown: SwitchyardError | null = null;
  /** The last failure that a store has answered with. */
  #answered: unknown;
  #restMs = firstRestMs;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs the write until its outcome is known, the call is over, or a failure says that trying again is no use. */
  async run<T>(call: Pick<Call, 'signal'>, write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (!(await this.#helps(error, call.signal))) throw this.#verdict(error);
      }
    }
  }

  /** Passes on what a store answers, and remembers that it did. */
  async judged<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      this.#answered = error;
      throw error;
    }
  }

  /** Whether the write may be tried once more after this failure of it; resolves after a rest. */
  async #helps(error: unknown, signal: AbortSignal): Promise<boolean> {
    if (hasReason(error, 'OUTCOME_UNKNOWN')) this.#unknown = error;
    const isHopeful = this.#unknown !== null && error instanceof SwitchyardError && (error.reason === 'OUTCOME_UNKNOWN' || error.retryable);
    if (!isHopeful || signal.aborted) return false;
    const isRested = this.#clock.sleep(this.#restMs, signal).then(
      () => true,
      () => false, // the call is over
    );
    this.#restMs = Math.min(this.#restMs * 2, longestRestMs);
    return await isRested;
  }

  /** What the caller is told when the call ends with this failure: that the outcome is unknown, unless the failure tells that of every try. */
  #verdict(error: unknown): unknown {
    if (this.#unknown === null || (error === this.#answered && hasReason(error, ...VERDICTS))) return error;
    const last = error === this.#unknown || !(error instanceof SwitchyardError) ? '' : `; then: ${error.reason}`;
    const { message, metadata } = this.#unknown;
    return new SwitchyardError('OUTCOME_UNKNOWN', `${message}${last}. Repeat the call with the same request id`, { retryAfterMs, metadata, cause: error });
  }
}

import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { DataClient, Gateways } from './gateways.ts';
import { after, pause } from './pause.ts';
import type { RpcCallOptions } from './rpc-client.ts';

export interface ResumedOptions {
  readonly signal?: AbortSignal | undefined;
  /** Ends the stream, from when its first answer is asked for. */
  readonly deadlineMs?: number | undefined;
  /** Without a deadline: ends it when an answer was waited for so long in vain, with all tries. Left out: never. */
  readonly patienceMs?: number | undefined;
  /** Told of every failure that another try follows. */
  readonly onRetry?: ((error: SwitchyardError) => void) | undefined;
}

const firstPauseMs = 10;
const longestPauseMs = 5_000;

/**
 * The answers of a stream that is opened again, at the next gateway, when it breaks for a reason that a repetition mends: `open` says where it goes on. Ends with `open`'s; rejects with what no repetition mends, and with the last failure when its time is over.
 */
export async function* resumed<A>(
  gateways: Pick<Gateways, 'turn' | 'waitMs'>,
  open: (client: DataClient, options: RpcCallOptions) => AsyncIterable<A>,
  { signal, deadlineMs, patienceMs, onRetry }: ResumedOptions,
): AsyncGenerator<A, void, undefined> {
  using limit = new Limit(deadlineMs, patienceMs);
  const ends = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  let pauseMs = firstPauseMs;
  let last: SwitchyardError | null = null;
  for (;;) {
    const { gateway, options } = gateways.turn(ends);
    const begunMs = performance.now();
    try {
      limit.waits();
      for await (const answer of open(gateway.client, options)) {
        limit.rests();
        gateway.served();
        last = null;
        yield answer;
        limit.waits();
      }
      return;
    } catch (error) {
      gateway.failed(error);
      if (signal?.aborted === true) throw error;
      if (limit.signal.aborted) throw last ?? error;
      if (!isMended(error)) throw error;
      last = error;
      onRetry?.(error);
      // One that fails soon after each beginning is not to be begun a hundred times a second.
      if (performance.now() - begunMs > longestPauseMs) pauseMs = firstPauseMs;
      await pause(gateways.waitMs(gateway, error, pauseMs), options.signal).catch((stopped: unknown) =>
        Promise.reject(limit.signal.aborted && signal?.aborted !== true ? error : stopped),
      );
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
  }
}

/** The gateway's own deadline is none of the caller's: the stream goes on behind it. */
const isMended = (error: unknown): error is SwitchyardError => error instanceof SwitchyardError && (error.retryable || hasReason(error, 'PEER_UNREACHABLE', 'DEADLINE_EXCEEDED'));

/** Aborts at the deadline or, without one, at the end of patience; the time that the caller takes for an answer is not counted there. */
class Limit implements Disposable {
  readonly #end = new AbortController();
  readonly #patienceMs: number | null;
  #stop: (() => void) | null = null;

  constructor(deadlineMs: number | undefined, patienceMs: number | undefined) {
    this.#patienceMs = deadlineMs === undefined ? (patienceMs ?? null) : null;
    if (deadlineMs !== undefined) this.#start(deadlineMs, `the stream's deadline of ${deadlineMs} ms has passed`);
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** An answer is waited for, if it is not already. */
  waits(): void {
    if (this.#patienceMs !== null && this.#stop === null) this.#start(this.#patienceMs, `nothing came for ${this.#patienceMs} ms; give a deadlineMs to wait longer`);
  }

  rests(): void {
    if (this.#patienceMs !== null) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#stop?.();
    this.#stop = null;
  }

  #start(ms: number, why: string): void {
    this.#stop = after(ms, () => this.#end.abort(new SwitchyardError('DEADLINE_EXCEEDED', why)));
  }
}

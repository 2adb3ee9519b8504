import { cancelled } from './cancelled.ts';

/* The client runs in other people's processes, where nobody passes a clock in: only this file touches timers. */

/** The longest time that a timer takes; it would fire at once for a longer one. */
const longestMs = 0x7fffffff;

/** Calls `act` after so long; the returned function keeps it from that. */
export function after(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, Math.min(ms, longestMs));
  return () => clearTimeout(timer);
}

/** Waits; rejects with what a caller is told of its signal when that aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(cancelled(signal));
      return;
    }
    const onAbort = (): void => {
      stop();
      if (signal !== undefined) reject(cancelled(signal));
    };
    const stop = after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

import type { Clock } from '../core/clock.ts';

/** A little longer than TCP waits before it asks for a connection a second time. */
const FIRST_WORD_MS = 1_300;

class NoWord extends Error {
  constructor() {
    super(`the server has not said a word on a new connection within ${FIRST_WORD_MS} ms`);
  }
}

/** One try to connect. */
export interface ConnectTry {
  /** How long it may take in all. */
  readonly limitMs: number;
  /** Told when the server has not said a word by then: the try must end with this error. */
  readonly onSilence: (isHeard: () => boolean, end: (error: Error) => void) => void;
}

/**
 * Connects, in `limitMs` at most. A server says its first word at once, however long the rest of a login takes it. A connection on which none comes was begun when the way to the server was cut, or its other end is gone: whether TCP asks again after 1, 2
 * and 4 s or never, a new connection gets through as soon as the way is whole. So a silent try is given up, and another one made for as long as there is time.
 */
export async function untilFirstWord<T>(clock: Clock, limitMs: number, connect: (each: ConnectTry) => Promise<T>): Promise<T> {
  for (let leftMs = limitMs; ; leftMs -= FIRST_WORD_MS) {
    const isLast = leftMs <= 2 * FIRST_WORD_MS;
    let stop = (): void => {};
    try {
      return await connect({
        limitMs: leftMs,
        onSilence: (isHeard, end) => {
          if (isLast) return;
          stop = clock.after(FIRST_WORD_MS, () => {
            if (!isHeard()) end(new NoWord());
          });
        },
      });
    } catch (error) {
      if (!(error instanceof NoWord)) throw error;
    } finally {
      stop();
    }
  }
}

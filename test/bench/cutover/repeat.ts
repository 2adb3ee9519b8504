import type { Done, Failure } from './calls.ts';

/** Sends the call once; it ends within `limitMs`. */
export type Send = (limitMs: number, done: Done) => void;

const firstPauseMs = 10;
const longestPauseMs = 160;
/** With less time left nothing is sent again. */
const leastMs = 20;

/** Sends a call, and after a pause again as long as `again` says so of its failure and its time is not over. `done` is told how the last try ended. */
export function sendUntilAnswered(deadlineMs: number, send: Send, again: (failure: Failure) => boolean, done: Done): void {
  const endsMs = performance.now() + deadlineMs;
  let pauseMs = firstPauseMs;
  const sendOnce = (): void =>
    send(endsMs - performance.now(), (failure, seen) => {
      const isOver = performance.now() + pauseMs + leastMs > endsMs;
      if (failure === null || !again(failure) || isOver) return done(failure, seen);
      setTimeout(sendOnce, pauseMs);
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    });
  sendOnce();
}

/** Time as everything of ours sees it. Passed in everywhere, so that a simulation can run the production code. */
export interface Clock {
  /** Milliseconds since the epoch; for people and for what is stored. May jump. */
  now(): number;
  /** Milliseconds of a monotonic clock with a fraction; for every duration and deadline. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `act` once after `ms` unless the returned function is called first. */
  after(ms: number, act: () => void): () => void;
  /** Runs `act` once everything that has arrived by now has been handled: at the end of this turn of the event loop. */
  endOfTurn(act: () => void): void;
}

import type { Hold } from '../../core/rules-document.ts';

/** One call on its way through the gateway. */
export interface Call {
  /** Aborts at the deadline and when the caller leaves. */
  readonly signal: AbortSignal;
  /** On the monotonic clock. */
  readonly deadline: number;
  /** As whom the caller presents itself, as it was given; empty: it does not say. */
  readonly caller: string;
  /** Told of every time that the call waited in the buffer, with the rule's hold where a rule held it. */
  readonly onHeld: (waitedMs: number, hold: Hold | null) => void;
  /** Told when a write was answered from the record of its request. */
  readonly onRepeated: () => void;
  /** Told when the writes do not fit the shape of their tables: that error ends the call before anything is sent with it, or the shape was old and they are looked at once more. */
  readonly onUnfit: (error: unknown) => void;
  /** Fails where this answer cannot be sent: RESULT_TOO_LARGE. */
  readonly checkAnswer: (answer: object) => void;
}

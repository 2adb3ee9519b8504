import { type CanonicalCode, errorCatalogue, type ErrorReason } from './error-catalogue.ts';

export interface ErrorDetails {
  /** When a retry makes sense, in ms from now. Left out: the catalogue's advice alone. */
  readonly retryAfterMs?: number;
  /** Structured facts for the caller: table, column, constraint, workflow. Never secrets. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** What an operator does about it, where only one can: it ends the message. */
  readonly fix?: string;
  readonly cause?: unknown;
}

/** Every failure that leaves a part of ours. Decisions are taken by `reason`, never by the message, which is well-formed Unicode whatever was put into it: a text that was cut in the middle of a character cannot be put into a header. */
export class SwitchyardError extends Error {
  readonly reason: ErrorReason;
  readonly retryAfterMs: number | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** The message without the fix. */
  readonly what: string;
  readonly fix: string | undefined;

  constructor(reason: ErrorReason, message: string, details: ErrorDetails = {}) {
    super((details.fix === undefined ? message : `${message} (${details.fix})`).toWellFormed(), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'SwitchyardError';
    this.reason = reason;
    this.retryAfterMs = details.retryAfterMs;
    this.metadata = details.metadata ?? {};
    this.what = message.toWellFormed();
    this.fix = details.fix;
  }

  get code(): CanonicalCode {
    return errorCatalogue[this.reason].code;
  }

  get retryable(): boolean {
    return errorCatalogue[this.reason].retryable;
  }
}

/** Whether `error` is ours and has one of these reasons. */
export function hasReason(error: unknown, ...reasons: readonly ErrorReason[]): error is SwitchyardError {
  return error instanceof SwitchyardError && reasons.includes(error.reason);
}

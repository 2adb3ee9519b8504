/** A mutant that no test should tell from the code: nothing that anybody could see, or that is promised, depends on the difference. */
export interface Equivalent {
  /** The lines that it changes, on one line. */
  readonly was: string;
  readonly is: string;
  readonly why: string;
}

const exactly = 'only tells apart what happens in exactly that millisecond, of which nothing is promised';
const narrowing = 'is there for the types: another kind of view has neither state nor attempt, and the comparison that follows fails alike';

/** By file. A run fails when a mutant survives that is not here, and when one is here that does not survive. */
export const equivalents: Readonly<Record<string, readonly Equivalent[]>> = {
  'control/cutover/decision.ts': [
    {
      was: "const mayComeLate = found === 'never fenced' && clock.monotonic() - begunMs < LATE_FENCE_MS;",
      is: "const mayComeLate = found === 'never fenced' && clock.monotonic() - begunMs <= LATE_FENCE_MS;",
      why: exactly,
    },
    {
      was: "if (clock.monotonic() + pauseMs > begunMs + TAKE_BACK_LIMIT_MS) return 'unknown';",
      is: "if (clock.monotonic() + pauseMs >= begunMs + TAKE_BACK_LIMIT_MS) return 'unknown';",
      why: exactly,
    },
    {
      was: "if (isState(view, 'OPEN') && view.attempt < attempt) return 'never fenced';",
      is: "if (isState(view, 'OPEN') && view.attempt <= attempt) return 'never fenced';",
      why: 'OPEN at the attempt itself has been answered the line before',
    },
    {
      was: "if (clock.monotonic() + pauseMs > deadlineMs || (hasReason(error, 'FENCE_CONFLICT') && round >= 3)) throw error;",
      is: "if (clock.monotonic() + pauseMs >= deadlineMs || (hasReason(error, 'FENCE_CONFLICT') && round >= 3)) throw error;",
      why: exactly,
    },
  ],
  'control/cutover/hold.ts': [
    {
      was: 'const wanted = { holdMs, attempt, ...(traceparent === undefined ? {} : { traceparent }) };',
      is: 'const wanted = { holdMs, attempt, ...(false ? {} : { traceparent }) };',
      why: 'a member that is undefined is not written to a JSON document',
    },
    {
      was: 'if (lockTimeoutMs < LEAST_LOCK_TIMEOUT_MS) throw failure;',
      is: 'if (lockTimeoutMs <= LEAST_LOCK_TIMEOUT_MS) throw failure;',
      why: exactly,
    },
  ],
  'control/cutover/repair-decision.ts': [
    { was: "if (left.kind !== 'rows') return null;", is: 'if (false) return null;', why: 'is there for the types: what is not rows has been answered before' },
    {
      was: "const enteredLower = entered.kind === 'rows' && entered.attempt < left.attempt;",
      is: 'const enteredLower = true && entered.attempt < left.attempt;',
      why: narrowing,
    },
    { was: "if (open.kind !== 'rows' || open.state !== 'OPEN') continue;", is: "if (false || open.state !== 'OPEN') continue;", why: narrowing },
  ],
};

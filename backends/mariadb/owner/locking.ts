import type { Clock } from '../../../core/clock.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import { errorNumber } from '../errors.ts';
import type { Statements } from '../store-client.ts';

/** Everybody else's statements on the table queue behind one that waits for it: each wait is short, and they get the table in between. The first one is enough for a server that is not slow. */
const FIRST_WAIT_S = 0.2;
const LONGEST_WAIT_S = 2;
const GROWTH = 1.5;
const PAUSE_MS = 300;
const LIMIT_MS = 20_000;

/**
 * Runs one statement that needs tables in use for itself for a moment, such as CREATE TRIGGER. One that does not get them in time is tried again. PRECHECK_FAILED: it never got them within `limitMs`.
 */
export async function definePatiently(statements: Statements, clock: Clock, text: string, signal: AbortSignal, limitMs = LIMIT_MS): Promise<void> {
  let nextWaitS = FIRST_WAIT_S;
  await tryUntil(clock, limitMs, signal, async () => {
    const waitS = nextWaitS;
    nextWaitS = Math.min(waitS * GROWTH, LONGEST_WAIT_S);
    await statements.command(`SET STATEMENT max_statement_time = ${waitS} FOR ${text}`, signal);
  });
}

/** The same for a statement that must not wait for a lock: what it has looked at before might not hold any more. */
export async function defineAtOnce(statements: Statements, clock: Clock, text: string, signal: AbortSignal): Promise<void> {
  await tryUntil(clock, LIMIT_MS, signal, async () => void (await statements.command(`SET STATEMENT lock_wait_timeout = 0 FOR ${text}`, signal)));
}

/** With a binary log, who has not SUPER may make functions and triggers only where the server is told to trust him. */
const notTrusted: readonly (number | null)[] = [1418, 1419];

/** What a statement that makes a function or a trigger has failed with, where its own words do not say what helps. */
export function explained(error: unknown): unknown {
  if (!(error instanceof SwitchyardError) || !notTrusted.includes(errorNumber(error.cause))) return error;
  const fix = 'put "log_bin_trust_function_creators = ON" under [mariadbd] into the server\'s option file, and SET GLOBAL log_bin_trust_function_creators = ON';
  return new SwitchyardError('PRECHECK_FAILED', 'the server lets nobody but who has SUPER make the functions and triggers of the fence', { fix, cause: error });
}

async function tryUntil(clock: Clock, limitMs: number, signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  const deadline = clock.monotonic() + limitMs;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!hasReason(error, 'SERIALIZATION_FAILURE')) throw explained(error);
      if (clock.monotonic() > deadline) {
        throw new SwitchyardError(
          'PRECHECK_FAILED',
          `the tables could not be locked within ${limitMs / 1_000} s because transactions on them stayed open, those that only read included: end them (information_schema.INNODB_TRX, ordered by trx_started) and try again`,
          { cause: error },
        );
      }
      await clock.sleep(PAUSE_MS, signal);
    }
  }
}

import type { Clock } from '../../../core/clock.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Statements, StoreClient } from '../store-client.ts';

/** Other writers queue behind a waiting lock: each wait is short, and they get the table in between. */
const LOCK_TIMEOUT_MS = 200;
const PAUSE_MS = 300;
const LIMIT_MS = 20_000;

/**
 * A transaction that locks tables in use while preparing. One that does not get its locks in time, or runs into a deadlock, is rolled back and tried again for 20 s. PRECHECK_FAILED: never got them.
 */
export async function lockingTransaction<T>(client: StoreClient, clock: Clock, signal: AbortSignal, work: (transaction: Statements) => Promise<T>): Promise<T> {
  const deadline = clock.monotonic() + LIMIT_MS;
  for (;;) {
    try {
      return await client.transaction(signal, async (transaction) => {
        // The short deadlock check makes a running autovacuum of the table give way.
        await transaction.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}; SET LOCAL deadlock_timeout = 20`, [], signal);
        return work(transaction);
      });
    } catch (error) {
      if (!hasReason(error, 'SERIALIZATION_FAILURE')) throw error;
      if (clock.monotonic() > deadline) {
        throw new SwitchyardError(
          'PRECHECK_FAILED',
          `the tables could not be locked within ${LIMIT_MS / 1_000} s because transactions on them stayed open: end them (pg_stat_activity, ordered by xact_start) and try again`,
          {
            cause: error,
          },
        );
      }
      await clock.sleep(PAUSE_MS, signal);
    }
  }
}

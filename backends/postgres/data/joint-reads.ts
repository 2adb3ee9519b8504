import type { Clock } from '../../../core/clock.ts';
import type { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { type JointOutcome, JointReads } from '../../joint-reads.ts';
import type { Outcome, TextRow } from '../batch.ts';
import { storeError } from '../errors.ts';
import type { Session, Statement } from '../session.ts';
import { runRead } from './read.ts';

/**
 * Short reads of one table, on one connection and with one Sync. Reads that fail, or stand behind one that does, run again, each alone, unless the right to read is gone. They share a transaction, in which a later statement may not notice that the right to read was
 * taken away meanwhile.
 */
export const jointReads = (pool: ConnectionPool<Session>, clock: Clock): JointReads<TableSchema, Statement, readonly TextRow[]> =>
  new JointReads({
    clock,
    alone: (table, statement, signal) => runRead(pool, statement, signal, table),
    together: async (table, statements, signal) => {
      const session = await pool.acquire(signal);
      const { outcomes } = await session.run(statements, signal).finally(() => pool.release(session));
      const failed = outcomes?.findIndex((outcome) => !outcome.ok) ?? -1;
      const fenced = fencedBy(outcomes?.[failed], table);
      return statements.map(({ text }, i): JointOutcome<readonly TextRow[]> => {
        const outcome = outcomes?.[i];
        if (outcome?.ok === true) return { kind: 'answer', answer: outcome.rows };
        return fenced !== null && text === statements[failed]?.text ? { kind: 'failure', error: fenced } : { kind: 'again' };
      });
    },
  });

/** The failure, when it is one that every read of the same columns would meet: the right to read them is gone, as at the end of a cutover. */
function fencedBy(failed: Outcome | undefined, table: TableSchema): SwitchyardError | null {
  if (failed === undefined || failed.ok) return null;
  const error = storeError(failed.error, { table });
  return error.reason === 'FENCED' ? error : null;
}

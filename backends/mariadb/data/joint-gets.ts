import type { Clock } from '../../../core/clock.ts';
import type { GetOperation, Row } from '../../../core/operation.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { type JointOutcome, JointReads } from '../../joint-reads.ts';
import type { Session } from '../session.ts';
import { compileBatchGet } from './batch-get.ts';
import { compileGet } from './compiler.ts';
import type { FencedReads } from './fenced-reads.ts';
import { onReader } from './read.ts';
import { onlyRow } from './results.ts';

/** Reads of the same columns of one table. */
interface Group {
  readonly table: TableSchema;
  readonly columns: readonly string[];
}

/** Reads of single rows; those that come in the same turn of the event loop are one statement. Where that fails, each is tried alone, unless the fence has closed the table. */
export class JointGets {
  readonly #reads: JointReads<Group, GetOperation, Row | null>;

  constructor(pool: ConnectionPool<Session>, fenced: FencedReads, clock: Clock) {
    this.#reads = new JointReads({
      clock,
      alone: async ({ table }, operation, signal) =>
        onlyRow(table, operation, await onReader(pool, signal, (session) => fenced.read(session, compileGet(table, operation), signal))),
      together: async ({ table, columns }, operations, signal) => {
        const session = await pool.acquire(signal);
        try {
          const { read, place } = compileBatchGet(table, { keys: operations.map(({ key }) => key), columns });
          return place(await fenced.read(session, read, signal)).map((answer): JointOutcome<Row | null> => ({ kind: 'answer', answer }));
        } catch (error) {
          return operations.map((): JointOutcome<Row | null> => (hasReason(error, 'FENCED') ? { kind: 'failure', error } : { kind: 'again' }));
        } finally {
          pool.release(session);
        }
      },
    });
  }

  run(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null> {
    const { columns } = operation;
    return this.#reads.run([table.name, table.fingerprint, ...columns].join('\0'), { table, columns }, operation, signal);
  }
}

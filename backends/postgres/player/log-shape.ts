import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { StreamSpec } from '../../backend.ts';
import { logLostText, WHO_DROPS_LOGS } from '../../lost-log.ts';
import { textFromElements } from '../array-text.ts';
import { describe, type Statements } from '../store-client.ts';
import { type Lsn, formatLsn, parseLsn } from './pgoutput.ts';
import type { Partitions, TableShape } from './transaction-assembler.ts';

/** The shapes that the stream's tables have now. STREAM_FAILED (metadata `problem` SCHEMA_CHANGED): not those of `schemas`. */
export async function readShapes(
  statements: Statements,
  stream: StreamSpec,
  schemas: ReadonlyMap<string, TableSchema>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, TableShape>> {
  const shapes = new Map<string, TableShape>();
  for (const table of stream.tables) {
    const schema = schemas.get(table);
    const present = await describe(statements, table, signal);
    if (schema === undefined || present?.fingerprint !== schema.fingerprint) {
      throw new SwitchyardError(
        'STREAM_FAILED',
        `table "${table}" ${present === null ? 'is gone' : 'has changed its shape since the stream was made'}: undo the change, or create the workflow anew`,
        {
          metadata: { stream: stream.id, problem: 'SCHEMA_CHANGED', table },
        },
      );
    }
    const rows = await statements.query(
      `SELECT attname, atttypid, atttypmod FROM pg_attribute
       WHERE attrelid = (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = $1) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
      [table],
      signal,
    );
    shapes.set(table, { schema, columns: rows.map(([name, type, modifier]) => ({ name: name ?? '', typeOid: Number(type), typeModifier: Number(modifier) })) });
  }
  return shapes;
}

/** Whether the slot still holds everything behind `from`. STREAM_FAILED (metadata `problem` LOG_LOST) when not. */
export async function checkSlot(statements: Statements, stream: StreamSpec, slot: string, from: Lsn, signal: AbortSignal): Promise<void> {
  const [row] = await statements.query(`SELECT wal_status, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1`, [slot], signal);
  const lost = (why: string): SwitchyardError =>
    new SwitchyardError('STREAM_FAILED', logLostText(`from ${formatLsn(from)} on`, why), {
      metadata: { stream: stream.id, problem: 'LOG_LOST' },
    });
  if (row === undefined) throw lost(`replication slot "${slot}" is gone (${WHO_DROPS_LOGS})`);
  const [status, confirmed] = row;
  if (status === 'lost') throw lost(`replication slot "${slot}" exceeded max_slot_wal_keep_size`);
  if (confirmed !== null && confirmed !== undefined && parseLsn(confirmed) > from) throw lost(`replication slot "${slot}" begins at ${confirmed}`);
}

/**
 * Looks at the partitions of the stream's tables; null where none of them is partitioned, as in a store that a release has prepared which did not move such tables. New ones are let in where no row of theirs can be missing in the log. STREAM_FAILED (metadata `problem` SCHEMA_CHANGED): others have come, or
 * some have gone.
 */
export async function readPartitions(statements: Statements, stream: StreamSpec, signal: AbortSignal): Promise<Partitions | null> {
  const tables = textFromElements(stream.tables);
  const isPartitioned = `SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'p' AND relname = ANY ($1::text[]) AND to_regclass('switchyard.partition') IS NOT NULL LIMIT 1`;
  if ((await statements.query(isPartitioned, [tables], signal)).length === 0) return null;
  const rows = await statements.query('SELECT partition, table_name FROM switchyard.know_partitions($1::text[])', [tables], signal);
  return new Map(rows.map(([partition, table]) => [Number(partition), table ?? '']));
}

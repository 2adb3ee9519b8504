import { attempt } from '../../../core/ids.ts';
import type { Row } from '../../../core/operation.ts';
import type { EventLine, EventPlace, TableEvent } from '../../../core/table-event.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { elementsFromText } from '../array-text.ts';
import { fieldsOfRecord } from '../record-text.ts';
import { cellFromText } from '../cells.ts';
import type { TextRow } from '../batch.ts';
import type { Statement } from '../session.ts';

const statement = (text: string, ...values: readonly string[]): Statement => ({ text, values, prepared: true });

/** The number before the snapshot: whoever has got a number up to it had begun by then. */
export const lastNumberStatement = statement('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM switchyard.event_number_seq');
export const runningStatement = statement('SELECT pg_snapshot_xmin(s), pg_snapshot_xmax(s) FROM pg_current_snapshot() s');

/**
 * How far a store's events are complete: the highest number that had been given at some look, once all transactions that had begun by then have ended. Where none is running that is at once, else at a later look. One look is pending
 * at a time, so that a store that is always busy gets on from look to look.
 */
export class EventLines {
  #complete = 0n;
  #pending: { readonly last: bigint; readonly begunBefore: bigint } | null = null;

  /** `last`: read before the snapshot of the others. */
  learn(last: bigint, oldestRunning: bigint, nextToBegin: bigint): EventLine {
    if (this.#pending !== null && oldestRunning >= this.#pending.begunBefore) {
      this.#raise(this.#pending.last);
      this.#pending = null;
    }
    if (oldestRunning === nextToBegin) this.#raise(last);
    else this.#pending ??= { last, begunBefore: nextToBegin };
    return { complete: this.#complete, last };
  }

  #raise(to: bigint): void {
    if (to > this.#complete) this.#complete = to;
  }
}

export const eventsStatement = (table: string, after: EventPlace, until: bigint, limit: number): Statement =>
  statement(
    `SELECT attempt, number, kind, column_names, before_row, after_row, changed_at FROM switchyard.event
     WHERE table_name = $1 AND (attempt, number) > ($2::bigint, $3::bigint) AND number <= $4::bigint ORDER BY attempt, number LIMIT $5::integer`,
    table,
    String(after.attempt),
    String(after.number),
    String(until),
    String(limit),
  );

export const goneStatement = (table: string): Statement => statement('SELECT gone_attempt, gone_number FROM switchyard.watched WHERE table_name = $1', table);

/** WATCH_TOO_OLD where events behind the place are gone. */
export function checkGone(table: string, after: EventPlace, [gone]: readonly TextRow[]): void {
  const [goneAttempt, goneNumber] = [Number(gone?.[0] ?? -1), BigInt(gone?.[1] ?? 0)];
  if (goneAttempt < after.attempt || (goneAttempt === after.attempt && goneNumber <= after.number)) return;
  throw new SwitchyardError('WATCH_TOO_OLD', `changes of table "${table}" behind this token are not kept any more: read the table anew, and watch from now`, {
    metadata: { table },
  });
}

const kinds: Readonly<Record<string, TableEvent['kind']>> = { I: 'insert', U: 'update', D: 'delete', T: 'truncate' };

export const eventReader =
  (table: TableSchema) =>
  ([attemptText, number, kind, names, before, after, changedAt]: TextRow): TableEvent => {
    const columns = (typeof names === 'string' ? (elementsFromText(names) ?? []) : []).map((name) => table.columns.find((column) => column.name === name));
    return {
      attempt: attempt(Number(attemptText)),
      number: BigInt(number ?? 0),
      kind: kinds[kind ?? ''] ?? 'truncate',
      before: rowFromRecord(columns, before ?? null),
      after: rowFromRecord(columns, after ?? null),
      changedAtMicros: BigInt(changedAt ?? 0),
    };
  };

/** Undefined: a column that has gone since. */
function rowFromRecord(columns: readonly (ColumnSchema | undefined)[], text: string | null): Row | null {
  if (text === null) return null;
  const fields = fieldsOfRecord(text);
  const found = columns.flatMap((column, index) => (column === undefined ? [] : [{ column, cell: cellFromText(column, fields[index] ?? null) }]));
  return { columns: found.map(({ column }) => column.name), cells: found.map(({ cell }) => cell) };
}

import { attempt } from '../../../core/ids.ts';
import type { Row } from '../../../core/operation.ts';
import type { EventLine, EventPlace, TableEvent, TableEvents } from '../../../core/table-event.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { elementsFromText } from '../array-text.ts';
import { fieldsOfRecord } from '../record-text.ts';
import { cellFromText } from '../cells.ts';
import type { TextRow } from '../batch.ts';
import type { Statement } from '../session.ts';

const statement = (text: string, ...values: readonly string[]): Statement => ({ text, values, prepared: true });

export const lastNumberStatement = statement('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM switchyard.event_number_seq');
/** An own transaction id: all that were given before are smaller. A snapshot's end is none, for transactions that run may be behind it. */
export const nextTransactionStatement = statement('SELECT pg_current_xact_id()');
export const oldestRunningStatement = statement('SELECT pg_snapshot_xmin(pg_current_snapshot())');

/**
 * How far a store's events are complete: the highest number that had been given at some look, once all transactions that had begun by then have ended. Where none is running that is at once, else at a later look. One look is pending
 * at a time, so that a store that is always busy gets on from look to look.
 */
export class EventLines {
  #complete = 0n;
  #pending: { readonly last: bigint; readonly begunBefore: bigint } | null = null;

  /** Whether it has to be learned who may be writing numbers up to this one. */
  asksWhoRuns(last: bigint): boolean {
    return this.#pending === null && last > this.#complete;
  }

  /** `last` was read before the transaction id was given: whoever had got a number by then had a smaller id. */
  begin(last: bigint, transactionId: bigint): void {
    this.#pending ??= { last, begunBefore: transactionId };
  }

  /** `oldestRunning`: of a snapshot that was taken behind all that. */
  learn(last: bigint, oldestRunning: bigint): EventLine {
    if (this.#pending !== null && oldestRunning >= this.#pending.begunBefore) {
      if (this.#pending.last > this.#complete) this.#complete = this.#pending.last;
      this.#pending = null;
    }
    return { complete: this.#complete, last };
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

/** Rows of `eventsStatement` up to the first that holds a value without a cell. */
export function readEvents(table: TableSchema, rows: readonly TextRow[], cut: boolean): TableEvents {
  const read = eventReader(table);
  const events: TableEvent[] = [];
  for (const row of rows) {
    try {
      events.push(read(row));
    } catch (error) {
      if (!hasReason(error, 'VALUE_UNSUPPORTED')) throw error;
      return { events, cut: true, unreadable: { ...placeOf(row), error } };
    }
  }
  return { events, cut, unreadable: null };
}

const placeOf = ([attemptText, number]: TextRow): EventPlace => ({ attempt: attempt(Number(attemptText)), number: BigInt(number ?? 0) });

const eventReader =
  (table: TableSchema) =>
  (row: TextRow): TableEvent => {
    const [, , kind, names, before, after, changedAt] = row;
    const columns = (typeof names === 'string' ? (elementsFromText(names) ?? []) : []).map((name) => table.columns.find((column) => column.name === name));
    return {
      ...placeOf(row),
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

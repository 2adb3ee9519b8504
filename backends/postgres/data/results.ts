import { aggregateColumn } from '../../../core/aggregate-column.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { columnNamed, type ColumnSchema, type TableSchema } from '../../../core/table-schema.ts';
import type { TextRow } from '../batch.ts';
import { cellFromText } from '../cells.ts';
import { compileExists, compileWrite } from './compiler.ts';
import { batchTooLarge } from '../../request-answer.ts';
import { unreadable } from '../../unreadable-value.ts';
import type { ReadRows } from './read.ts';
import type { DoneWrite, PlannedWrite } from './write.ts';

/* From operations to statements, and from texts to rows: what calls of their own and transactions have in common. */

/** The writes' statements. `schemas` holds the shape of every table named. */
export function planned(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[]): readonly PlannedWrite[] {
  return operations.map((operation) => {
    const table = schemas.get(operation.table);
    if (table === undefined) throw new SwitchyardError('INTERNAL', `no schema was given for table "${operation.table}"`);
    const statement = compileWrite(table, operation);
    const key = missableKey(table, operation);
    return { operation, table, statement, exists: key === null ? null : compileExists(table, key) };
  });
}

/** Key of the row without which the write has no effect, or under whose condition it has none; null: it always has one. */
function missableKey(table: TableSchema, operation: WriteOperation): readonly Cell[] | null {
  if ('key' in operation) return operation.key;
  if (operation.kind === 'insert' || operation.precondition === null) return null;
  const { columns, cells } = operation.row;
  return table.primaryKey.map((name) => cells[columns.indexOf(name)] ?? null);
}

/** How a failure begins of an answer that cannot be shown. */
export const WAS_DONE = 'the write was done; its answer cannot be shown';
export const NOT_WRITTEN = 'nothing was written, for its answer cannot be shown';

export function unshown(failure: string, cause: unknown, metadata: Readonly<Record<string, string>> = {}): SwitchyardError {
  return new SwitchyardError('STORE_FAILED', `${failure}: ${cause instanceof Error ? cause.message : String(cause)}`, { metadata, cause });
}

/** What the writes returned. STORE_FAILED, beginning with `failure`, where a value has no cell. */
export function results(writes: readonly PlannedWrite[], done: readonly DoneWrite[], failure: string): readonly WriteResult[] {
  return done.map(({ row, found }, i) => {
    const write = writes[i];
    if (row === null || write === undefined || write.operation.kind === 'delete') return { row: null, found };
    const { table, operation } = write;
    try {
      return { row: rowReader(table, operation.returning)(row, 0), found };
    } catch (cause) {
      throw unshown(failure, cause, { table: table.name });
    }
  });
}

/** Reads these columns' cells out of a row of texts, from the place `offset` on. VALUE_UNSUPPORTED names the row by its key, where that is among the columns or given. */
export function rowReader(table: TableSchema, names: readonly string[], key: readonly Cell[] | null = null): (row: TextRow, offset: number) => Row {
  const columns = names.map((name) => table.columns.find((column) => column.name === name)).filter((column): column is ColumnSchema => column !== undefined);
  const keyPlaces = table.primaryKey.map((name) => names.indexOf(name));
  const shownKey = (row: TextRow, offset: number): string | null => {
    if (key !== null) return keyText(key);
    return keyPlaces.includes(-1) ? null : keyPlaces.map((place) => row[place + offset] ?? 'NULL').join(',');
  };
  return (row, offset) => {
    try {
      return { columns: names, cells: columns.map((column, i) => cellFromText(column, row[i + offset] ?? null)) };
    } catch (error) {
      throw unreadable(error, table.name, shownKey(row, offset));
    }
  };
}

/** The rows of a batch in the order of their keys: each comes with its key's place before its cells. RESULT_TOO_LARGE where some were left out. */
export function placedRows(table: TableSchema, operation: BatchGetOperation, { rows: found, cut }: ReadRows): readonly (Row | null)[] {
  if (cut) throw batchTooLarge(operation, found.length);
  const read = rowReader(table, operation.columns);
  const rows = new Array<Row | null>(operation.keys.length).fill(null);
  for (const row of found) rows[Number(row[0]) - 1] = read(row, 1);
  return rows;
}

/** The page that a query's rows are: one row more was asked for. */
export function pageOf(table: TableSchema, { columns, limit }: QueryOperation, { rows, cut }: ReadRows): QueryPage {
  const read = rowReader(table, columns);
  return { rows: rows.slice(0, limit).map((row) => read(row, 0)), more: cut || rows.length > limit };
}

/** Reads one group: its value, where there are groups, and behind it one for each aggregation. */
export function groupReader(table: TableSchema, { aggregations, groupBy }: AggregateOperation): (row: TextRow) => AggregateGroup {
  const group = groupBy === null ? null : columnNamed(table, groupBy);
  const columns = aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(table, name)));
  const first = group === null ? 0 : 1;
  return (row) => ({
    group: group === null ? null : cellFromText(group, row[0] ?? null),
    values: columns.map((column, i) => cellFromText(column, row[first + i] ?? null)),
  });
}

import type { Cell } from '../../../core/cell.ts';
import { type ChangedCell, unchanged } from '../../../core/change.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { valueFromCell } from '../cells.ts';
import { quoteIdentifier, quoteTable, type SqlValue, type Statement } from '../connection.ts';

/** Inserts the row, or gives the row with its key these cells. */
export function upsertStatement(table: TableSchema, row: readonly Cell[]): Statement {
  const key = keyIndexes(table);
  const stored = storedIndexes(table);
  // Two texts can be one key where a collation says so; then the key's own text changes too.
  const set = stored.filter((i) => !key.includes(i) || table.columns[i]?.kind === 'text').map((i) => `${columnName(table, i)} = excluded.${columnName(table, i)}`);
  const names = stored.map((i) => columnName(table, i)).join(', ');
  const conflict = `ON CONFLICT (${key.map((i) => columnName(table, i)).join(', ')}) DO ${set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`}`;
  return {
    text: `INSERT INTO ${quoteTable(table.name)} (${names}) VALUES (${stored.map(() => '?').join(', ')}) ${conflict}`,
    values: stored.map((i) => valueAt(table, i, row[i])),
  };
}

/** Gives the row with the old key the cells that were sent, its key among them; the others stay as they are. */
export function patchStatement(table: TableSchema, oldKey: readonly Cell[], row: readonly ChangedCell[]): Statement {
  const sent = storedIndexes(table).filter((i) => row[i] !== unchanged);
  const set = sent.map((i) => `${columnName(table, i)} = ?`).join(', ');
  return { text: `UPDATE ${quoteTable(table.name)} SET ${set} WHERE ${whereKey(table)}`, values: [...sent.map((i) => valueAt(table, i, row[i])), ...keyValues(table, oldKey)] };
}

export function deleteStatement(table: TableSchema, key: readonly Cell[]): Statement {
  return { text: `DELETE FROM ${quoteTable(table.name)} WHERE ${whereKey(table)}`, values: keyValues(table, key) };
}

/** A key's cells as parameters. */
export const keyValues = (table: TableSchema, key: readonly Cell[]): readonly SqlValue[] => keyIndexes(table).map((i, at) => valueAt(table, i, key[at]));
/** The condition that a row has a key. */
export const whereKey = (table: TableSchema): string =>
  keyIndexes(table)
    .map((i) => `${columnName(table, i)} = ?`)
    .join(' AND ');

/** Indexes of the columns that are written: all but generated ones. */
const storedIndexes = (table: TableSchema): readonly number[] => table.columns.flatMap((column, i) => (column.generated ? [] : [i]));
const columnName = (table: TableSchema, i: number): string => quoteIdentifier(table.columns[i]?.name ?? '');

function valueAt(table: TableSchema, i: number, cell: ChangedCell | undefined): SqlValue {
  const column = table.columns[i];
  if (column === undefined || cell === undefined || cell === unchanged) throw new SwitchyardError('INTERNAL', `a row of table "${table.name}" lacks column ${i}`);
  return valueFromCell(column, cell);
}

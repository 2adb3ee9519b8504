import { assertNever } from '../../../core/assert-never.ts';
import type { Cell } from '../../../core/cell.ts';
import { type ChangedCell, unchanged } from '../../../core/change.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { textFromElements } from '../array-text.ts';
import { cellsOf, type ChunkRows } from '../../backend.ts';
import type { KeyRange } from '../../key-range.ts';
import { cellToText } from '../cells.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import { COPY_FORM, copyLine } from '../copy-text.ts';
import type { ApplyStep } from './apply-plan.ts';

/** A statement whose parameters are all texts; a column's values are one parameter, the text of a text[]. */
export interface Statement {
  readonly text: string;
  readonly values: readonly (string | null)[];
  /** See `SentStatement`. */
  readonly input?: Buffer;
}

/** The step as one statement. */
export function stepStatement(step: ApplyStep): Statement {
  switch (step.kind) {
    case 'truncate':
      return { text: `TRUNCATE ${step.tables.map(quoteTable).join(', ')}`, values: [] };
    case 'delete':
      return deleteStatement(step.table, step.keys);
    case 'upsert':
      return upsertStatement(step.table, step.rows);
    case 'patch':
      return patchStatement(step.table, step.columns, step.rows);
    case 'move':
      return moveStatement(step.table, step.oldKey, step.row);
    default:
      return assertNever(step);
  }
}

/** Conditions that join `t` with the unnested parameters `u`, for whatever follows WHERE or ON. */
export const keyJoin = (table: TableSchema): string =>
  keyIndexes(table)
    .map((i) => `t.${columnName(table, i)} = ${cast(table, i)}`)
    .join(' AND ');

/** `unnest(...) AS u (c0, c3)` over one text[] parameter a column, numbered from $1. */
export const unnested = (indexes: readonly number[]): string =>
  `unnest(${indexes.map((_, at) => `$${at + 1}::text[]`).join(', ')}) AS u (${indexes.map((i) => `c${i}`).join(', ')})`;

/** One parameter for each column: the text of the array of its cells. */
export function columnParameters(table: TableSchema, indexes: readonly number[], rows: readonly (readonly ChangedCell[])[]): readonly string[] {
  return indexes.map((i) => textFromElements(rows.map((row) => cellToText(columnAt(table, i), cellAt(table, row, i)))));
}

/** A whole row's places from a key's cells; the other places are null. */
export function rowOfKey(table: TableSchema, key: readonly Cell[]): readonly Cell[] {
  const row: Cell[] = table.columns.map(() => null);
  for (const [at, i] of keyIndexes(table).entries()) row[i] = key[at] ?? null;
  return row;
}

/** Rows none of whose keys are there. It costs the server half of what an INSERT of arrays does. */
export function copyStatement(table: TableSchema, rows: ChunkRows): Statement {
  const indexes = storedIndexes(table);
  const text = `COPY ${quoteTable(table.name)} (${indexes.map((i) => columnName(table, i)).join(', ')}) FROM STDIN`;
  if ('form' in rows && rows.form === COPY_FORM) return { text, values: [], input: rows.bytes };
  const lines = cellsOf(rows).map((row) => copyLine(indexes.map((i) => cellToText(columnAt(table, i), cellAt(table, row, i)))));
  return { text, values: [], input: Buffer.from(lines.join('')) };
}

/** Takes away what is between two keys, both included. */
export function clearStatement(table: TableSchema, { first, last }: KeyRange): Statement {
  const indexes = keyIndexes(table);
  const values: (string | null)[] = [];
  const placed = (key: readonly Cell[]): string =>
    indexes.map((i, at) => `$${values.push(cellToText(columnAt(table, i), key[at] ?? null))}::text::${columnAt(table, i).nativeType}`).join(', ');
  const names = indexes.map((i) => columnName(table, i)).join(', ');
  return { text: `DELETE FROM ${quoteTable(table.name)} WHERE (${names}) >= (${placed(first)}) AND (${names}) <= (${placed(last)})`, values };
}

function deleteStatement(table: TableSchema, keys: readonly (readonly Cell[])[]): Statement {
  const indexes = keyIndexes(table);
  return {
    text: `DELETE FROM ${quoteTable(table.name)} AS t USING ${unnested(indexes)} WHERE ${keyJoin(table)}`,
    values: columnParameters(
      table,
      indexes,
      keys.map((key) => rowOfKey(table, key)),
    ),
  };
}

function upsertStatement(table: TableSchema, rows: readonly (readonly Cell[])[]): Statement {
  const indexes = storedIndexes(table);
  const target = `INSERT INTO ${quoteTable(table.name)} (${indexes.map((i) => columnName(table, i)).join(', ')}) OVERRIDING SYSTEM VALUE`;
  return {
    text: `${target} SELECT ${indexes.map((i) => cast(table, i)).join(', ')} FROM ${unnested(indexes)} ${onConflict(table)}`,
    values: columnParameters(table, indexes, rows),
  };
}

function patchStatement(table: TableSchema, columns: readonly number[], rows: readonly (readonly ChangedCell[])[]): Statement {
  const indexes = [...keyIndexes(table), ...columns];
  const set = columns.map((i) => `${columnName(table, i)} = ${cast(table, i)}`).join(', ');
  return { text: `UPDATE ${quoteTable(table.name)} AS t SET ${set} FROM ${unnested(indexes)} WHERE ${keyJoin(table)}`, values: columnParameters(table, indexes, rows) };
}

/** Delete and insert in one statement: an identity column that is GENERATED ALWAYS cannot be updated. */
function moveStatement(table: TableSchema, oldKey: readonly Cell[], row: readonly ChangedCell[]): Statement {
  const values: (string | null)[] = [];
  const parameter = (i: number, cell: Cell): string => `$${values.push(cellToText(columnAt(table, i), cell))}::text::${columnAt(table, i).nativeType}`;
  const where = keyIndexes(table).map((i, at) => `${columnName(table, i)} = ${parameter(i, oldKey[at] ?? null)}`);
  const indexes = storedIndexes(table);
  const cells = indexes.map((i) => {
    const cell = row[i];
    return cell === undefined || cell === unchanged ? `old.${columnName(table, i)}` : parameter(i, cell);
  });
  const names = indexes.map((i) => columnName(table, i)).join(', ');
  const moved = `WITH old AS (DELETE FROM ${quoteTable(table.name)} WHERE ${where.join(' AND ')} RETURNING *)`;
  return { text: `${moved} INSERT INTO ${quoteTable(table.name)} (${names}) OVERRIDING SYSTEM VALUE SELECT ${cells.join(', ')} FROM old ${onConflict(table)}`, values };
}

function onConflict(table: TableSchema): string {
  const key = keyIndexes(table);
  const set = storedIndexes(table)
    .filter((i) => !key.includes(i))
    .map((i) => `${columnName(table, i)} = excluded.${columnName(table, i)}`);
  return `ON CONFLICT (${key.map((i) => columnName(table, i)).join(', ')}) DO ${set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`}`;
}

/** Indexes of the columns that are written: all but generated ones. */
const storedIndexes = (table: TableSchema): readonly number[] => table.columns.flatMap((column, i) => (column.generated ? [] : [i]));
const cast = (table: TableSchema, i: number): string => `u.c${i}::${columnAt(table, i).nativeType}`;
const columnName = (table: TableSchema, i: number): string => quoteIdentifier(columnAt(table, i).name);

function columnAt(table: TableSchema, i: number): ColumnSchema {
  const column = table.columns[i];
  if (column === undefined) throw new SwitchyardError('INTERNAL', `table "${table.name}" has no column ${i}`);
  return column;
}

function cellAt(table: TableSchema, row: readonly ChangedCell[], i: number): Cell {
  const cell = row[i];
  if (cell === undefined || cell === unchanged) throw new SwitchyardError('INTERNAL', `a row of table "${table.name}" lacks column "${columnAt(table, i).name}"`);
  return cell;
}

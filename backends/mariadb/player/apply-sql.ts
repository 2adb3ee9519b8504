import { assertNever } from '../../../core/assert-never.ts';
import type { Cell } from '../../../core/cell.ts';
import { type ChangedCell, unchanged } from '../../../core/change.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import type { KeyRange } from '../../key-range.ts';
import { cellToParameter } from '../cells.ts';
import { requireFit } from '../column-fit.ts';
import { comparand } from '../comparison.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import type { Parameter, Statement } from '../session.ts';
import type { ChangeStep, CopyStep } from './apply-plan.ts';

/** Rows of one statement come in these numbers only, so that the texts of statements are few and stay parsed. Beyond 200 keys the server would estimate from statistics how many rows they have, and may read the whole table. */
const groupSizes = [128, 32, 8, 2, 1] as const;
/** So many values a prepared statement can have. */
const MOST_VALUES = 60_000;
/** A statement's rows come to so many bytes, roughly, but for a single row: far less than what a server takes at once. */
const MOST_BYTES = 2 * 1024 * 1024;
/** So long are the texts that load rows, roughly, but for the last row: some thousands of small rows, and far less than what a server takes at once. */
const LOAD_BYTES = 256 * 1024;
const LARGE_ROW_BYTES = 64 * 1024;

/** The step as statements, in order. VALUE_INVALID: a cell that the column would not keep as it is. */
export function stepStatements(step: ChangeStep | CopyStep): Iterable<Statement> {
  switch (step.kind) {
    case 'clear':
      // TRUNCATE would commit by itself.
      return [{ text: `DELETE FROM ${quoteIdentifier(step.table)}`, values: [], form: 'kept' }];
    case 'delete':
      return deleteStatements(step.table, step.keys);
    case 'deleteBetween':
      return [betweenStatement(step.table, step.range)];
    case 'insert':
      return insertStatements(step.table, step.rows);
    case 'load':
      return loadStatements(step.table, step.rows);
    case 'update':
      return updateStatements(step.table, step.oldKey, step.row);
    default:
      return assertNever(step);
  }
}

interface Group<Row> {
  readonly rows: readonly Row[];
}

/** Cuts rows, each of so many values and bytes, into groups for one statement each. */
export function inGroups<Row>(rows: readonly Row[], valuesPerRow: number, bytesOf: (row: Row) => number): readonly Group<Row>[] {
  const groups: Group<Row>[] = [];
  for (let at = 0; at < rows.length; ) {
    const fitting = fittingRows(rows, at, bytesOf);
    const size = groupSizes.find((each) => each <= fitting && each * valuesPerRow <= MOST_VALUES) ?? 1;
    groups.push({ rows: rows.slice(at, at + size) });
    at += size;
  }
  return groups;
}

function fittingRows<Row>(rows: readonly Row[], from: number, bytesOf: (row: Row) => number): number {
  let bytes = 0;
  for (let at = from; at < rows.length; at += 1) {
    bytes += bytesOf(rows[at] as Row);
    if (bytes > MOST_BYTES) return Math.max(at - from, 1);
  }
  return rows.length - from;
}

/** The condition that a row has one of so many keys, with its parameters: one after the other those of each key. `prefix`: such as "t.". */
export function hasKey(table: TableSchema, keys: readonly (readonly Cell[])[], prefix = ''): { readonly text: string; readonly values: readonly Parameter[] } {
  const columns = keyColumns(table);
  const values = keys.flatMap((key) => columns.map((column, at) => cellToParameter(column, key[at] ?? null)));
  const name = (column: ColumnSchema): string => `${prefix}${quoteIdentifier(column.name)}`;
  const [only] = columns;
  // Of a row value IN a list the server uses no index.
  const text =
    columns.length === 1 && only !== undefined
      ? `${name(only)} IN (${keys.map((key) => comparand(only, key[0] ?? null)).join(', ')})`
      : keys.map((key) => `(${columns.map((column, at) => `${name(column)} = ${comparand(column, key[at] ?? null)}`).join(' AND ')})`).join(' OR ');
  return { text, values };
}

export const keyColumns = (table: TableSchema): readonly ColumnSchema[] => keyIndexes(table).map((i) => columnAt(table, i));

function deleteStatements(table: TableSchema, keys: readonly (readonly Cell[])[]): readonly Statement[] {
  return inGroups(keys, table.primaryKey.length, bytesOfCells).map(({ rows }) => {
    const { text, values } = hasKey(table, rows);
    return { text: `DELETE FROM ${quoteIdentifier(table.name)} WHERE ${text}`, values, form: 'kept' };
  });
}

function betweenStatement(table: TableSchema, { first, last }: KeyRange): Statement {
  const [column] = keyColumns(table) as [ColumnSchema];
  const name = quoteIdentifier(column.name);
  const [from = null, to = null] = [first[0], last[0]];
  return {
    text: `DELETE FROM ${quoteIdentifier(table.name)} WHERE ${name} >= ${comparand(column, from)} AND ${name} <= ${comparand(column, to)}`,
    values: [cellToParameter(column, from), cellToParameter(column, to)],
    form: 'kept',
  };
}

/** INSERTs with the values in their texts, each of many rows: bound to a statement that is kept, every value costs both sides several times as much. Large rows, which would double, are bound. */
function* loadStatements(table: TableSchema, rows: readonly (readonly Cell[])[]): Iterable<Statement> {
  const indexes = storedIndexes(table);
  const columns = indexes.map((i) => columnAt(table, i));
  const into = insertInto(table, columns);
  let text = '';
  for (const row of rows) {
    if (bytesOfCells(row) > LARGE_ROW_BYTES) {
      yield* insertStatements(table, [row]);
      continue;
    }
    const values = indexes.map((i, at) => literal(assigned(columns[at] as ColumnSchema, row[i])));
    text += `${text === '' ? '' : ','}(${values.join(',')})`;
    if (text.length < LOAD_BYTES) continue;
    yield { text: into + text, values: [], form: 'command' };
    text = '';
  }
  if (text !== '') yield { text: into + text, values: [], form: 'command' };
}

const literal = (value: Parameter): string => (value === null ? 'NULL' : typeof value === 'string' ? quoteText(value) : `x'${value.toString('hex')}'`);

const insertInto = (table: TableSchema, columns: readonly ColumnSchema[]): string =>
  `INSERT INTO ${quoteIdentifier(table.name)} (${columns.map(({ name }) => quoteIdentifier(name)).join(', ')}) VALUES `;

function insertStatements(table: TableSchema, rows: readonly (readonly Cell[])[]): readonly Statement[] {
  const indexes = storedIndexes(table);
  const columns = indexes.map((i) => columnAt(table, i));
  const into = insertInto(table, columns);
  const places = `(${columns.map(() => '?').join(', ')})`;
  return inGroups(rows, columns.length, bytesOfCells).map((group) => ({
    text: into + group.rows.map(() => places).join(', '),
    values: group.rows.flatMap((row) => indexes.map((i, at) => assigned(columns[at] as ColumnSchema, row[i]))),
    form: 'kept',
  }));
}

/** Every column is assigned, those that were not sent to themselves: one that is ON UPDATE CURRENT_TIMESTAMP keeps its value then. The row that has the new key already makes way. */
function updateStatements(table: TableSchema, oldKey: readonly Cell[], row: readonly ChangedCell[]): readonly Statement[] {
  const indexes = storedIndexes(table);
  const sent = indexes.filter((i) => row[i] !== unchanged);
  const set = indexes.map((i) => {
    const name = quoteIdentifier(columnAt(table, i).name);
    return `${name} = ${row[i] === unchanged ? name : '?'}`;
  });
  const old = hasKey(table, [oldKey]);
  const newKey = keyIndexes(table).map((i) => row[i] as Cell);
  const update: Statement = {
    text: `UPDATE ${quoteIdentifier(table.name)} SET ${set.join(', ')} WHERE ${old.text}`,
    values: [...sent.map((i) => assigned(columnAt(table, i), row[i])), ...old.values],
    form: 'kept',
  };
  const found = hasKey(table, [newKey]);
  const hasMoved = newKey.some((cell, at) => cell !== oldKey[at]);
  const makeWay: Statement = {
    text: `DELETE FROM ${quoteIdentifier(table.name)} WHERE ${found.text} AND NOT (${old.text})`,
    values: [...found.values, ...old.values],
    form: 'kept',
  };
  return hasMoved ? [makeWay, update] : [update];
}

/** Indexes of the columns that are written: all but generated ones. */
const storedIndexes = (table: TableSchema): readonly number[] => table.columns.flatMap((column, i) => (column.generated ? [] : [i]));

function assigned(column: ColumnSchema, cell: ChangedCell | undefined): Parameter {
  if (cell === undefined || cell === unchanged) throw new SwitchyardError('INTERNAL', `a row lacks column "${column.name}"`);
  requireFit(column, cell);
  return cellToParameter(column, cell);
}

function columnAt(table: TableSchema, i: number): ColumnSchema {
  const column = table.columns[i];
  if (column === undefined) throw new SwitchyardError('INTERNAL', `table "${table.name}" has no column ${i}`);
  return column;
}

const bytesOfCells = (cells: readonly Cell[]): number =>
  cells.reduce<number>((sum, cell) => sum + (typeof cell === 'string' ? cell.length : cell instanceof Uint8Array ? cell.length : 16), 0);

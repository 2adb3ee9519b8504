import type { Cell } from '../../../core/cell.ts';
import type { AggregateOperation, Aggregation, GetOperation, QueryOperation, RowLock, WriteOperation } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { behind, orderText } from '../../keyset.ts';
import { cellToParameter } from '../cells.ts';
import { requireFit } from '../column-fit.ts';
import { comparand, inOrder, ordered } from '../comparison.ts';
import { quoteIdentifier } from '../connection.ts';
import type { Statement } from '../session.ts';
import { compileFilter } from './filters.ts';
import type { Read } from './read.ts';
import { Values } from './values.ts';

// Operations → SQL. Values travel as parameters only, in the order in which the text names them. Keys are equal as the store's own key says (its column's collation); everything else compares by bytes.

/** The row with the key. */
export function compileGet(table: TableSchema, operation: GetOperation, lock: RowLock | null = null): Read {
  const values = new Values(table);
  const where = values.keyCondition(operation.key);
  return { table, columns: columnsOf(operation.columns), source: `FROM ${quoteIdentifier(table.name)} WHERE ${where}${lockText(lock)}`, values: values.all, isPoint: true };
}

/** A page of rows in the asked order, behind `after`, and one row more. */
export function compileQuery(table: TableSchema, operation: QueryOperation, lock: RowLock | null = null): Read {
  const values = new Values(table);
  const conditions: string[] = [];
  if (operation.filter !== null) conditions.push(compileFilter(operation.filter, values));
  if (operation.after !== null) {
    const parameter = (column: ColumnSchema, cell: Cell): string => inOrder(column, values.compared(column, cell));
    conditions.push(behind(table, operation.orderBy, operation.after, { ordered: inOrder, parameter, spellOut: true }));
  }
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  // What an index alone can answer locks, when it is shared, an entry of that index alone: the row's other columns could be changed.
  const others = lock === 'share' ? table.columns.map(({ name }) => name).filter((name) => !operation.columns.includes(name)) : [];
  return {
    table,
    columns: columnsOf([...operation.columns, ...others]),
    source: `FROM ${quoteIdentifier(table.name)}${where} ORDER BY ${orderText(table, operation.orderBy, inOrder, nullsLargest)} LIMIT ${values.raw(String(operation.limit + 1))}${lockText(lock)}`,
    values: values.all,
    ...(operation.maxBytes === undefined ? {} : { maxBytes: operation.maxBytes }),
  };
}

/** MariaDB takes NULL for the smallest, and cannot be told otherwise. */
const nullsLargest = (column: string, descending: boolean): string => (descending ? `(${column} IS NULL) DESC, ${column} DESC` : `(${column} IS NULL), ${column}`);

/** A row for each group: the group's value, where there are groups, and behind it one for each aggregation. */
export function compileAggregate(table: TableSchema, operation: AggregateOperation): Read {
  const values = new Values(table);
  const where = operation.filter === null ? '' : ` WHERE ${compileFilter(operation.filter, values)}`;
  const results = operation.aggregations.map((aggregation) => aggregated(table, aggregation));
  const from = `FROM ${quoteIdentifier(table.name)}${where}`;
  if (operation.groupBy === null) return { table, columns: results, source: from, values: values.all };
  const group = columnNamed(table, operation.groupBy);
  const by = ordered(group);
  const source = `${from} GROUP BY ${by} ORDER BY ${nullsLargest(inOrder(group), false)} LIMIT ${values.raw(String(operation.limit))}`;
  return { table, columns: [quoteIdentifier(group.name), ...results], source, values: values.all };
}

function aggregated(table: TableSchema, aggregation: Aggregation): string {
  if (aggregation.kind === 'count') return 'COUNT(*)';
  const column = columnNamed(table, aggregation.column);
  // A sum of integers is a decimal already, and one of floats a double.
  return aggregation.kind === 'sum' ? `SUM(${quoteIdentifier(column.name)})` : `${aggregation.kind.toUpperCase()}(${ordered(column)})`;
}

/** One write. An insert or upsert answers with the returned columns, where some are asked for; an update never does. */
export function compileWrite(table: TableSchema, operation: WriteOperation): Statement {
  const values = new Values(table);
  switch (operation.kind) {
    case 'insert':
      return statement(`${insertInto(table, operation, values)}${returningClause(operation.returning)}`, values);
    case 'upsert': {
      const insert = insertInto(table, operation, values);
      const set = operation.row.columns.filter((name) => !table.primaryKey.includes(name)).map((name) => `${quoteIdentifier(name)} = VALUES(${quoteIdentifier(name)})`);
      return statement(`${insert} ON DUPLICATE KEY UPDATE ${[guardedSelf(table, operation, values), ...set].join(', ')}${returningClause(operation.returning)}`, values);
    }
    case 'update': {
      const set = [
        ...operation.set.columns.map((name, i) => `${quoteIdentifier(name)} = ${values.assigned(columnNamed(table, name), operation.set.cells[i] ?? null)}`),
        ...operation.add.columns.map((name, i) => `${quoteIdentifier(name)} = ${increased(columnNamed(table, name), operation.add.cells[i] ?? null, values)}`),
      ];
      if (set.length === 0) throw new SwitchyardError('ARGUMENT_INVALID', 'an update must name a column to set or to add to');
      return statement(`UPDATE ${quoteIdentifier(table.name)} SET ${set.join(', ')} WHERE ${guardedKey(operation, values)}`, values);
    }
    case 'delete':
      return statement(`DELETE FROM ${quoteIdentifier(table.name)} WHERE ${guardedKey(operation, values)}`, values);
  }
}

/** What an upsert is where there is no row with its key: the store's error names the key that is in the way. */
export function compilePlainInsert(table: TableSchema, operation: Extract<WriteOperation, { kind: 'upsert' }>): Statement {
  const values = new Values(table);
  return statement(`${insertInto(table, operation, values)}${returningClause(operation.returning)}`, values);
}

/** The returned columns of the row that an update has just written. */
export function compileReread(table: TableSchema, { key, set, add, returning }: Extract<WriteOperation, { kind: 'update' }>): Statement {
  const values = new Values(table);
  const conditions = table.primaryKey.map((name, i) => {
    const column = columnNamed(table, name);
    const [isSet, isAdded] = [set.columns.indexOf(name), add.columns.indexOf(name)];
    const cell = (isSet < 0 ? key[i] : set.cells[isSet]) ?? null;
    if (isAdded < 0) return values.ownEqual(column, cell);
    return `${quoteIdentifier(name)} = ${values.compared(column, cell)} + ${addend(column, add.cells[isAdded] ?? null, values)}`;
  });
  return statement(`SELECT ${returning.map(quoteIdentifier).join(', ')} FROM ${quoteIdentifier(table.name)} WHERE ${conditions.join(' AND ')}`, values);
}

/** Of the key's row, where there is one, whether it satisfies the write's condition. */
export function compileLook(table: TableSchema, operation: WriteOperation, key: readonly Cell[]): Read {
  const values = new Values(table);
  const precondition = 'precondition' in operation ? operation.precondition : null;
  const met = precondition === null ? '1' : `(${compileFilter(precondition, values)}) IS TRUE`;
  const source = `FROM ${quoteIdentifier(table.name)} WHERE ${values.keyCondition(key)}`;
  return { table, columns: [met], source, values: values.all, isPoint: true };
}

const statement = (text: string, values: Values): Statement => ({ text, values: values.all, form: 'kept' });
const columnsOf = (names: readonly string[]): readonly string[] => names.map(quoteIdentifier);
const lockTexts: Readonly<Record<RowLock, string>> = { share: ' LOCK IN SHARE MODE', update: ' FOR UPDATE' };
export const lockText = (lock: RowLock | null): string => (lock === null ? '' : lockTexts[lock]);
const returningClause = (names: readonly string[]): string => (names.length === 0 ? '' : ` RETURNING ${names.map(quoteIdentifier).join(', ')}`);

function insertInto(table: TableSchema, { row: { columns, cells } }: Extract<WriteOperation, { row: unknown }>, values: Values): string {
  const list = columns.map((name, i) => values.assigned(columnNamed(table, name), cells[i] ?? null));
  return `INSERT INTO ${quoteIdentifier(table.name)} (${columns.map(quoteIdentifier).join(', ')}) VALUES (${list.join(', ')})`;
}

/**
 * A duplicate may be one of any unique key, and would be updated all the same; only the row with this very key may be, and where there is a condition only one that satisfies it. Whatever else is met ends the statement with an error of its own (`isCollision`):
 * a subquery of two rows. It comes first, for later assignments see what earlier ones have set.
 */
function guardedSelf(table: TableSchema, { precondition }: Extract<WriteOperation, { kind: 'upsert' }>, values: Values): string {
  const stored = (name: string): string => `${quoteIdentifier(table.name)}.${quoteIdentifier(name)}`;
  const same = table.primaryKey.map((name) => `${stored(name)} = VALUES(${quoteIdentifier(name)})`);
  const condition = [...same, ...(precondition === null ? [] : [compileFilter(precondition, values)])].join(' AND ');
  const self = stored(table.primaryKey[0] ?? '');
  return `${self} = IF(${condition}, ${self}, (SELECT ${self} UNION ALL SELECT ${self}))`;
}

function guardedKey({ key, precondition }: Extract<WriteOperation, { kind: 'update' | 'delete' }>, values: Values): string {
  const condition = values.keyCondition(key);
  return precondition === null ? condition : `${condition} AND ${compileFilter(precondition, values)}`;
}

const increased = (column: ColumnSchema, cell: Cell, values: Values): string => `${quoteIdentifier(column.name)} + ${addend(column, cell, values)}`;

function addend(column: ColumnSchema, cell: Cell, values: Values): string {
  // What is added to an unsigned number may be negative.
  const typed: ColumnSchema = column.kind === 'uint64' && typeof cell === 'bigint' && cell < 0n ? { ...column, kind: 'int64' } : column;
  requireFit(typed, cell);
  values.raw(cellToParameter(typed, cell));
  return comparand(typed, cell);
}

import type { Cell, ColumnKind } from '../../../core/cell.ts';
import type { AggregateOperation, Aggregation, CompareOperator, Filter, QueryOperation, WriteOperation } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { behind, orderText } from '../../keyset.ts';
import { selected, selectedValue, valueFromCell } from '../cells.ts';
import { declaredType } from '../column-types.ts';
import { quoteIdentifier, quoteTable, quoteText, type SqlValue, type Statement } from '../connection.ts';
import { decimalOrder } from '../decimal-text.ts';

// Operations → SQL. Values travel as parameters only, in the order in which the text names them. Keys are equal as the store's own key says (its column's collation); everything else compares by bytes. OR ABORT: a table's own ON CONFLICT REPLACE or IGNORE
// would delete other rows or do nothing where a caller must be told of a conflict.

/** The row with the key. */
export function compileGet(table: TableSchema, key: readonly Cell[], columns: readonly string[]): Statement {
  const values = new Values(table);
  const where = keyCondition(table, key, values);
  return values.statement(`SELECT ${selection(table, columns)} FROM ${quoteTable(table.name)} WHERE ${where}`);
}

/** A page of rows in the asked order, behind `after`, and one row more; it can be stopped at any row that it looks at. */
export function compileQuery(table: TableSchema, operation: QueryOperation, columns: readonly string[]): Statement {
  const values = new Values(table);
  const conditions = ['switchyard_go_on()'];
  if (operation.filter !== null) conditions.push(compileFilter(operation.filter, values));
  if (operation.after !== null) conditions.push(behind(table, operation.orderBy, operation.after, { ordered, parameter: (column, cell) => comparand(column, cell, values) }));
  const order = orderText(table, operation.orderBy, ordered);
  const limit = values.addRaw(BigInt(operation.limit + 1));
  return values.statement(`SELECT ${selection(table, columns)} FROM ${quoteTable(table.name)} WHERE ${conditions.join(' AND ')} ORDER BY ${order} LIMIT ${limit}`);
}

/** A row for each group: the group's value, where there are groups, and behind it one for each aggregation. */
export function compileAggregate(table: TableSchema, operation: AggregateOperation): Statement {
  const values = new Values(table);
  const conditions = ['switchyard_go_on()'];
  if (operation.filter !== null) conditions.push(compileFilter(operation.filter, values));
  const results = operation.aggregations.map((aggregation) => aggregated(table, aggregation));
  const from = ` FROM ${quoteTable(table.name)} WHERE ${conditions.join(' AND ')}`;
  if (operation.groupBy === null) return values.statement(`SELECT ${results.join(', ')}${from}`);
  const group = columnNamed(table, operation.groupBy);
  const limit = values.addRaw(BigInt(operation.limit));
  return values.statement(`SELECT ${[selected(group), ...results].join(', ')}${from} GROUP BY ${ordered(group)} ORDER BY ${ordered(group)} NULLS LAST LIMIT ${limit}`);
}

function aggregated(table: TableSchema, aggregation: Aggregation): string {
  if (aggregation.kind === 'count') return 'count(*)';
  const column = columnNamed(table, aggregation.column);
  const name = quoteIdentifier(column.name);
  if (aggregation.kind === 'sum') return column.kind === 'float32' || column.kind === 'float64' ? `sum(${name})` : `switchyard_sum(${name})`;
  if (column.kind === 'decimal') return `switchyard_${aggregation.kind}(${name})`;
  return selectedValue(column, `${aggregation.kind}(${ordered(column)})`);
}

/** One write; its rows tell how many there were, and are the returned columns where some are asked for. */
export function compileWrite(table: TableSchema, operation: WriteOperation): Statement {
  const values = new Values(table);
  switch (operation.kind) {
    case 'insert':
      return values.statement(`${insertInto(table, operation, values)}${returning(table, operation.returning)}`);
    case 'upsert': {
      const named = operation.row.columns.filter((name) => !table.primaryKey.includes(name));
      // With nothing to set, the key is set to itself: DO NOTHING would return no row.
      const set = (named.length === 0 ? table.primaryKey : named).map((name) => `${quoteIdentifier(name)} = excluded.${quoteIdentifier(name)}`);
      const insert = insertInto(table, operation, values);
      const key = table.primaryKey.map(quoteIdentifier).join(', ');
      const guard = operation.precondition === null ? '' : ` WHERE ${compileFilter(operation.precondition, values)}`;
      return values.statement(`${insert} ON CONFLICT (${key}) DO UPDATE SET ${set.join(', ')}${guard}${returning(table, operation.returning)}`);
    }
    case 'update': {
      const set = [
        ...operation.set.columns.map((name, i) => `${quoteIdentifier(name)} = ${values.add(keyed(table, name, operation.set.cells[i] ?? null), operation.set.cells[i] ?? null)}`),
        ...operation.add.columns.map((name, i) => increase(columnNamed(table, name), operation.add.cells[i] ?? null, values)),
      ];
      if (set.length === 0) throw new SwitchyardError('ARGUMENT_INVALID', 'an update must name a column to set or to add to');
      const where = guardedKey(table, operation.key, operation.precondition, values);
      return values.statement(`UPDATE OR ABORT ${quoteTable(table.name)} SET ${set.join(', ')} WHERE ${where}${returning(table, operation.returning)}`);
    }
    case 'delete':
      return values.statement(`DELETE FROM ${quoteTable(table.name)} WHERE ${guardedKey(table, operation.key, operation.precondition, values)} RETURNING 1`);
  }
}

/** One row when the key's row exists, none otherwise. */
export function compileExists(table: TableSchema, key: readonly Cell[]): Statement {
  const values = new Values(table);
  return values.statement(`SELECT 1 FROM ${quoteTable(table.name)} WHERE ${keyCondition(table, key, values)}`);
}

/** Collects the parameters of one statement; called in the order of the text. */
class Values {
  readonly table: TableSchema;
  readonly #values: SqlValue[] = [];

  constructor(table: TableSchema) {
    this.table = table;
  }

  add(column: ColumnSchema, cell: Cell): string {
    return this.addRaw(valueFromCell(column, cell));
  }

  addRaw(value: SqlValue): string {
    this.#values.push(value);
    return '?';
  }

  statement(text: string): Statement {
    return { text, values: this.#values };
  }
}

const selection = (table: TableSchema, names: readonly string[]): string => names.map((name) => selected(columnNamed(table, name))).join(', ');
const returning = (table: TableSchema, names: readonly string[]): string => ` RETURNING ${names.length === 0 ? '1' : selection(table, names)}`;

function keyCondition(table: TableSchema, key: readonly Cell[], values: Values): string {
  return table.primaryKey.map((name, i) => `${quoteIdentifier(name)} = ${values.add(columnNamed(table, name), key[i] ?? null)}`).join(' AND ');
}

function guardedKey(table: TableSchema, key: readonly Cell[], precondition: Filter | null, values: Values): string {
  const condition = keyCondition(table, key, values);
  return precondition === null ? condition : `${condition} AND ${compileFilter(precondition, values)}`;
}

function insertInto(table: TableSchema, { row: { columns, cells } }: Extract<WriteOperation, { row: unknown }>, values: Values): string {
  for (const name of table.primaryKey) if (!columns.includes(name) && !columnNamed(table, name).hasDefault) throw nullKey(table, name);
  if (columns.length === 0) return `INSERT OR ABORT INTO ${quoteTable(table.name)} DEFAULT VALUES`;
  const list = columns.map((name, i) => values.add(keyed(table, name, cells[i] ?? null), cells[i] ?? null));
  return `INSERT OR ABORT INTO ${quoteTable(table.name)} (${columns.map(quoteIdentifier).join(', ')}) VALUES (${list.join(', ')})`;
}

/** The column that gets the cell. An ordinary table would take a NULL into its key, any number of times. */
function keyed(table: TableSchema, name: string, cell: Cell): ColumnSchema {
  if (cell === null && table.primaryKey.includes(name)) throw nullKey(table, name);
  return columnNamed(table, name);
}

function nullKey(table: TableSchema, column: string): SwitchyardError {
  return new SwitchyardError('NOT_NULL_VIOLATION', `column "${column}" of the primary key of "${table.name}" must have a value`, {
    metadata: { table: table.name, columns: column },
  });
}

const addableKinds: readonly ColumnKind[] = ['int16', 'int32', 'int64', 'uint64', 'float32', 'float64', 'decimal'];

function increase(column: ColumnSchema, cell: Cell, values: Values): string {
  if (!addableKinds.includes(column.kind)) throw new SwitchyardError('ARGUMENT_INVALID', `column "${column.name}" (${column.nativeType}) cannot be added to`);
  const name = quoteIdentifier(column.name);
  // What is added to an unsigned number may be negative.
  const addend = column.kind === 'uint64' && typeof cell === 'bigint' ? values.addRaw(String(cell)) : values.add(column, cell);
  return `${name} = switchyard_add(${quoteText(column.kind)}, ${quoteText(column.nativeType)}, ${name}, ${addend})`;
}

function compileFilter(filter: Filter, values: Values): string {
  switch (filter.kind) {
    case 'compare': {
      const column = columnNamed(values.table, filter.column);
      return compared(column, filter.operator, filter.value, values);
    }
    case 'in': {
      const column = columnNamed(values.table, filter.column);
      if (filter.values.length === 0) return '0';
      if (column.kind === 'decimal')
        return `switchyard_decimal(${quoteIdentifier(column.name)}) IN (${filter.values.map((value) => values.addRaw(orderOf(column, value))).join(', ')})`;
      return `${ordered(column)} IN (${filter.values.map((value) => values.add(column, filterCell(value))).join(', ')})`;
    }
    case 'isNull':
      return `${quoteIdentifier(columnNamed(values.table, filter.column).name)} IS NULL`;
    case 'prefix': {
      const column = columnNamed(values.table, filter.column);
      const length = BigInt([...filter.text].length);
      return `substr(${quoteIdentifier(column.name)}, 1, ${length}) COLLATE BINARY = ${values.add(column, filter.text)}`;
    }
    case 'like': {
      const column = columnNamed(values.table, filter.column);
      return `switchyard_like(${values.add(column, filter.pattern)}, ${quoteIdentifier(column.name)})`;
    }
    case 'tuple':
      return comparedTuple(filter, values);
    case 'and':
      return filter.filters.length === 0
        ? '1'
        : joined(
            filter.filters.map((inner) => compileFilter(inner, values)),
            'AND',
          );
    case 'or':
      return filter.filters.length === 0
        ? '0'
        : joined(
            filter.filters.map((inner) => compileFilter(inner, values)),
            'OR',
          );
    case 'not':
      return `NOT (${compileFilter(filter.filter, values)})`;
  }
}

/** Conditions in brackets, halved again and again: SQLite takes an expression of a thousand levels, and a plain chain has one for each condition. */
function joined(conditions: readonly string[], operator: 'AND' | 'OR'): string {
  if (conditions.length <= 2) return `(${conditions.join(` ${operator} `)})`;
  const half = Math.ceil(conditions.length / 2);
  return `(${joined(conditions.slice(0, half), operator)} ${operator} ${joined(conditions.slice(half), operator)})`;
}

function compared(column: ColumnSchema, operator: CompareOperator, value: Cell, values: Values): string {
  if (column.kind !== 'decimal') return `${ordered(column)} ${operator} ${values.add(column, filterCell(value))}`;
  // With a scale equal decimals are equal texts, which an index can find.
  if (operator === '=' && declaredType(column.nativeType)?.modifiers.length !== 0) {
    const text = fittingText(column, value);
    if (text !== null) return `${ordered({ ...column, kind: 'text' })} = ${values.addRaw(text)}`;
  }
  return `switchyard_decimal(${quoteIdentifier(column.name)}) ${operator} ${values.addRaw(orderOf(column, value))}`;
}

function comparedTuple({ columns: names, operator, values: cells }: Extract<Filter, { kind: 'tuple' }>, values: Values): string {
  const columns = names.map((name) => columnNamed(values.table, name));
  const parameters = columns.map((column, i) => comparand(column, filterCell(cells[i] ?? null), values));
  return `(${columns.map(ordered).join(', ')}) ${operator} (${parameters.join(', ')})`;
}

/** The other side of a comparison with `ordered`. */
const comparand = (column: ColumnSchema, cell: Cell, values: Values): string => (column.kind === 'decimal' ? values.addRaw(orderOf(column, cell)) : values.add(column, cell));

/** The column as one side of a comparison and as a term of an order. */
function ordered(column: ColumnSchema): string {
  const name = quoteIdentifier(column.name);
  switch (column.kind) {
    case 'bool':
    case 'int16':
    case 'int32':
    case 'int64':
    case 'float32':
    case 'float64':
    case 'bytes':
      return name;
    case 'decimal':
      return `switchyard_decimal(${name})`;
    default:
      return `${name} COLLATE BINARY`;
  }
}

/** A value to compare with what is stored, where there is no -0. */
const filterCell = (cell: Cell): Cell => (cell === 0 ? 0 : cell);

function orderOf(column: ColumnSchema, value: Cell): string | null {
  if (value === null) return null;
  const order = typeof value === 'string' ? decimalOrder(value) : null;
  if (order === null)
    throw new SwitchyardError('VALUE_INVALID', `the value compared with column "${column.name}" (${column.nativeType}) is no decimal`, { metadata: { column: column.name } });
  return order;
}

/** The decimal's text in the column's scale; null when it has none there, so that no row can be equal by text. */
function fittingText(column: ColumnSchema, value: Cell): SqlValue {
  try {
    return valueFromCell(column, value);
  } catch {
    return null;
  }
}

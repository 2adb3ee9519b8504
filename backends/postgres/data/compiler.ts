import type { Cell, ScalarKind } from '../../../core/cell.ts';
import type {
  AggregateOperation,
  Aggregation,
  BatchGetOperation,
  CompareOperator,
  Filter,
  GetOperation,
  OrderTerm,
  QueryOperation,
  WriteOperation,
} from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, columnNamed, storedTypeOf, type TableSchema } from '../../../core/table-schema.ts';
import { textFromElements } from '../array-text.ts';
import { bufferOf, cellToText } from '../cells.ts';
import { requireFit } from './column-fit.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import { behind, orderText } from '../../keyset.ts';
import type { Parameter } from '../batch.ts';
import type { Statement } from '../session.ts';

// Operations → SQL. Values travel as parameters only. A parameter's type is left to the server to infer from its column, so that no cast can round or cut a value; where a cast
// cannot be avoided it names the type without its length.

/** The row with the key. */
export function compileGet(table: TableSchema, operation: GetOperation): Statement {
  const values = new Values(table);
  const where = keyCondition(table, operation.key, values);
  return values.statement(`SELECT ${columnList(operation.columns)} FROM ${quoteTable(table.name)} WHERE ${where}`);
}

/** The rows with the keys; the first cell of each is the key's place, counted from 1. */
export function compileBatchGet(table: TableSchema, operation: BatchGetOperation): Statement {
  const values = new Values(table);
  const keyColumns = table.primaryKey.map((name) => columnNamed(table, name));
  const lists = keyColumns.map(
    (column, i) =>
      `${values.addList(
        column,
        operation.keys.map((key) => key[i] ?? null),
      )}::${castType(column)}[]`,
  );
  const aliases = keyColumns.map((_, i) => `k${i + 1}`);
  const on = keyColumns.map((column, i) => `t.${quoteIdentifier(column.name)} = wanted.k${i + 1}`).join(' AND ');
  const columns = operation.columns.map((name) => `t.${quoteIdentifier(name)}`).join(', ');
  const statement = values.statement(
    `SELECT wanted.place, ${columns} FROM unnest(${lists.join(', ')}) WITH ORDINALITY wanted (${aliases.join(', ')}, place) JOIN ${quoteTable(table.name)} t ON ${on}`,
  );
  return withLimit(statement, operation);
}

/** A page of rows in the asked order, behind `after`, and one row more. */
export function compileQuery(table: TableSchema, operation: QueryOperation): Statement {
  const values = new Values(table);
  const conditions: string[] = [];
  if (operation.filter !== null) conditions.push(compileFilter(operation.filter, values));
  if (operation.after !== null) conditions.push(compileAfter(operation.orderBy, operation.after, values));
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  const order = orderText(table, operation.orderBy, ordered);
  const limit = values.addRaw(String(operation.limit + 1));
  const statement = values.statement(`SELECT ${columnList(operation.columns)} FROM ${quoteTable(table.name)}${where} ORDER BY ${order} LIMIT ${limit}`);
  return withLimit(statement, operation);
}

const withLimit = (statement: Statement, { maxBytes }: { readonly maxBytes?: number }): Statement => (maxBytes === undefined ? statement : { ...statement, maxBytes });

/** A row for each group: the group's value, where there are groups, and behind it one for each aggregation. */
export function compileAggregate(table: TableSchema, operation: AggregateOperation): Statement {
  const values = new Values(table);
  const where = operation.filter === null ? '' : ` WHERE ${compileFilter(operation.filter, values)}`;
  const results = operation.aggregations.map((aggregation) => aggregated(table, aggregation));
  const from = ` FROM ${quoteTable(table.name)}${where}`;
  if (operation.groupBy === null) return values.statement(`SELECT ${results.join(', ')}${from}`);
  const group = columnNamed(table, operation.groupBy);
  const limit = values.addRaw(String(operation.limit));
  const name = quoteIdentifier(group.name);
  return values.statement(`SELECT ${[name, ...results].join(', ')}${from} GROUP BY ${name} ORDER BY ${ordered(group)} NULLS LAST LIMIT ${limit}`);
}

function aggregated(table: TableSchema, aggregation: Aggregation): string {
  if (aggregation.kind === 'count') return 'count(*)';
  const column = columnNamed(table, aggregation.column);
  if (aggregation.kind !== 'sum') return `${aggregation.kind}(${ordered(column)})`;
  // A sum of float4 would be a float4; one of int8 is a numeric already, and that of the smaller ones would be an int8.
  return column.kind === 'float32' || column.kind === 'float64' ? `sum(${quoteIdentifier(column.name)}::float8)` : `sum(${quoteIdentifier(column.name)}::numeric)`;
}

/** One write; its rows are the returned columns, its row count tells whether the row was there. */
export function compileWrite(table: TableSchema, operation: WriteOperation): Statement {
  const values = new Values(table);
  switch (operation.kind) {
    case 'insert':
      return values.statement(`${insertInto(table, operation, values)}${returningClause(operation.returning)}`);
    case 'upsert': {
      const named = operation.row.columns.filter((name) => !table.primaryKey.includes(name));
      // With nothing to set, the key is set to itself: DO NOTHING would return no row.
      const set = (named.length === 0 ? table.primaryKey : named).map((name) => `${quoteIdentifier(name)} = EXCLUDED.${quoteIdentifier(name)}`);
      const insert = insertInto(table, operation, values);
      return values.statement(
        `${insert} ON CONFLICT (${columnList(table.primaryKey)}) DO UPDATE SET ${set.join(', ')}${upsertGuard(operation.precondition, values)}${returningClause(operation.returning)}`,
      );
    }
    case 'update': {
      const set = [...assignments(table, operation.set, values, assign), ...assignments(table, operation.add, values, increase)];
      if (set.length === 0) throw new SwitchyardError('ARGUMENT_INVALID', 'an update must name a column to set or to add to');
      const where = guardedKey(table, operation.key, operation.precondition, values);
      return values.statement(`UPDATE ${quoteTable(table.name)} SET ${set.join(', ')} WHERE ${where}${returningClause(operation.returning)}`);
    }
    case 'delete':
      return values.statement(`DELETE FROM ${quoteTable(table.name)} WHERE ${guardedKey(table, operation.key, operation.precondition, values)}`);
  }
}

/** One row when the key's row exists, none otherwise. */
export function compileExists(table: TableSchema, key: readonly Cell[]): Statement {
  const values = new Values(table);
  return values.statement(`SELECT 1 FROM ${quoteTable(table.name)} WHERE ${keyCondition(table, key, values)}`);
}

/** Numbers the parameters of one statement. */
class Values {
  readonly table: TableSchema;
  readonly #values: Parameter[] = [];

  constructor(table: TableSchema) {
    this.table = table;
  }

  add(column: ColumnSchema, cell: Cell): string {
    return this.addRaw(column.kind === 'bytes' && cell instanceof Uint8Array ? bufferOf(cell) : cellToText(column, cell));
  }

  /** One array parameter of these cells. */
  addList(column: ColumnSchema, cells: readonly Cell[]): string {
    return this.addRaw(textFromElements(cells.map((cell) => cellToText(column, cell))));
  }

  addRaw(value: Parameter): string {
    this.#values.push(value);
    return `$${this.#values.length}`;
  }

  statement(text: string): Statement {
    return { text, values: this.#values, prepared: true };
  }
}

const columnList = (names: readonly string[]): string => names.map(quoteIdentifier).join(', ');
const returningClause = (names: readonly string[]): string => (names.length === 0 ? '' : ` RETURNING ${columnList(names)}`);

function keyCondition(table: TableSchema, key: readonly Cell[], values: Values): string {
  return table.primaryKey.map((name, i) => `${quoteIdentifier(name)} = ${values.add(columnNamed(table, name), key[i] ?? null)}`).join(' AND ');
}

function guardedKey(table: TableSchema, key: readonly Cell[], precondition: Filter | null, values: Values): string {
  const condition = keyCondition(table, key, values);
  return precondition === null ? condition : `${condition} AND ${compileFilter(precondition, values)}`;
}

/** In a query of its own the names of columns are those of the stored row, not of the new one as well. */
const upsertGuard = (precondition: Filter | null, values: Values): string =>
  precondition === null ? '' : ` WHERE (SELECT ${compileFilter(precondition, values)} FROM (SELECT stored.*) AS found)`;

function insertInto(table: TableSchema, operation: Extract<WriteOperation, { row: unknown }>, values: Values): string {
  const { columns, cells } = operation.row;
  const into = `INSERT INTO ${quoteTable(table.name)} AS stored`;
  if (columns.length === 0) return `${into} DEFAULT VALUES`;
  const list = columns.map((name, i) => values.add(...fitting(table, name, cells[i] ?? null)));
  return `${into} (${columnList(columns)}) VALUES (${list.join(', ')})`;
}

type Assignment = (column: ColumnSchema, parameter: string) => string;
const assign: Assignment = (column, parameter) => `${quoteIdentifier(column.name)} = ${parameter}`;
const increase: Assignment = (column, parameter) => `${quoteIdentifier(column.name)} = ${quoteIdentifier(column.name)} + ${parameter}::${castType(column)}`;

function assignments(table: TableSchema, row: { readonly columns: readonly string[]; readonly cells: readonly Cell[] }, values: Values, assignment: Assignment): readonly string[] {
  return row.columns.map((name, i) => {
    const [column, cell] = fitting(table, name, row.cells[i] ?? null);
    return assignment(column, values.add(column, cell));
  });
}

function fitting(table: TableSchema, name: string, cell: Cell): [ColumnSchema, Cell] {
  const column = columnNamed(table, name);
  requireFit(column, cell);
  return [column, cell];
}

function compileFilter(filter: Filter, values: Values): string {
  switch (filter.kind) {
    case 'compare': {
      const column = columnNamed(values.table, filter.column);
      const parameter = values.add(column, filter.value);
      return `${compared(column, filter.operator)} ${filter.operator} ${isJsonArray(column) ? `(${parameter}::json[])::text` : parameter}`;
    }
    case 'in': {
      const column = columnNamed(values.table, filter.column);
      if (column.kind !== 'array') return `${compared(column, '=')} = ANY(${values.addList(column, filter.values)})`;
      return filter.values.length === 0 ? 'false' : `${quoteIdentifier(column.name)} IN (${filter.values.map((value) => values.add(column, value)).join(', ')})`;
    }
    case 'isNull':
      return `${quoteIdentifier(filter.column)} IS NULL`;
    case 'prefix':
      return `starts_with(${matched(columnNamed(values.table, filter.column))}, ${values.add(columnNamed(values.table, filter.column), filter.text)})`;
    case 'like':
      return `${matched(columnNamed(values.table, filter.column))} LIKE ${values.add(columnNamed(values.table, filter.column), filter.pattern)}`;
    case 'tuple': {
      const columns = filter.columns.map((name) => columnNamed(values.table, name));
      return `(${columns.map((column) => compared(column, filter.operator)).join(', ')}) ${filter.operator} (${columns.map((column, i) => values.add(column, filter.values[i] ?? null)).join(', ')})`;
    }
    case 'and':
      return filter.filters.length === 0 ? 'true' : `(${filter.filters.map((inner) => compileFilter(inner, values)).join(' AND ')})`;
    case 'or':
      return filter.filters.length === 0 ? 'false' : `(${filter.filters.map((inner) => compileFilter(inner, values)).join(' OR ')})`;
    case 'not':
      return `NOT (${compileFilter(filter.filter, values)})`;
  }
}

/** The column as a text to match. */
const matched = ({ name, kind }: ColumnSchema): string => (kind === 'enum' ? `${quoteIdentifier(name)}::text` : quoteIdentifier(name));

/** The column as one side of a comparison. Equal texts are equal bytes under every collation that is served; only their order needs one that all stores agree on. */
function compared(column: ColumnSchema, operator: CompareOperator): string {
  // The type json has no comparison of its own; its text is what callers see.
  if ((column.kind === 'json' && storedTypeOf(column) === 'json') || isJsonArray(column)) return `${quoteIdentifier(column.name)}::text`;
  return operator === '=' || operator === '<>' ? quoteIdentifier(column.name) : ordered(column);
}

const isJsonArray = (column: ColumnSchema): boolean => column.kind === 'array' && storedTypeOf(column) === 'json[]';

/** The column as a term of an order: texts by their bytes in UTF-8, and enums likewise, whatever order they were declared in. */
function ordered(column: ColumnSchema): string {
  if (column.kind === 'enum') return `${quoteIdentifier(column.name)}::text COLLATE "C"`;
  const isText = (column.kind === 'array' ? column.elementKind : column.kind) === 'text';
  return isText ? `${quoteIdentifier(column.name)} COLLATE "C"` : quoteIdentifier(column.name);
}

function compileAfter(orderBy: readonly OrderTerm[], after: readonly Cell[], values: Values): string {
  const numbers = new Map<string, string>();
  const parameter = (column: ColumnSchema, cell: Cell): string => {
    const number = numbers.get(column.name) ?? values.add(column, cell);
    numbers.set(column.name, number);
    return number;
  };
  return behind(values.table, orderBy, after, { ordered, parameter });
}

const castTypes: Readonly<Partial<Record<ScalarKind, string>>> = {
  bool: 'bool',
  int16: 'int2',
  int32: 'int4',
  int64: 'int8',
  float32: 'float4',
  float64: 'float8',
  decimal: 'numeric',
  bytes: 'bytea',
  uuid: 'uuid',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
};

/** The column's type for a cast, without length or precision: a cast to those rounds and cuts. */
function castType(column: ColumnSchema): string {
  if (column.kind === 'text') return storedTypeOf(column).startsWith('character(') ? 'bpchar' : 'text';
  const known = column.kind === 'array' ? undefined : castTypes[column.kind];
  return known ?? storedTypeOf(column);
}

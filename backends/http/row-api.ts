import { type DescMessage, type DescMethodUnary, fromJson, type JsonValue, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { aggregateColumn } from '../../core/aggregate-column.ts';
import { assertNever } from '../../core/assert-never.ts';
import type { Aggregation } from '../../core/operation.ts';
import { columnNamed, type ColumnSchema, type TableSchema } from '../../core/table-schema.ts';
import {
  type Comparison_Operator,
  Comparison_OperatorSchema,
  DataService,
  type Filter,
  ListTablesResponseSchema,
  type Mutation,
} from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { type Row, TableSchemaSchema, type Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { jsonFromValue, valueFromJson } from '../../runtime/json/cell-json.ts';
import type { JsonNode } from '../../runtime/json/json-node.ts';
import { parseJson } from '../../runtime/json/json-parser.ts';
import { columnFromMessage } from '../../runtime/wire/table-schema.ts';
import type { HttpCall } from './caller.ts';

/* The calls of the data API that a foreign service is asked, as its documented JSON over HTTP (docs/http.md): rows are plain objects of the table's columns, so every call but the description needs the table's shape. */

/** The shapes of tables, by the names that the service has for them. */
export type Shapes = ReadonlyMap<string, TableSchema>;

type Method = DescMethodUnary<DescMessage, DescMessage>;
const data = DataService.method;
const deepest = 100;
const text = (value: string): string => JSON.stringify(value);

/** The tables that a request names. */
export function tablesOf(method: Method, request: object): readonly string[] {
  if ((method as unknown) === data.mutate) return (request as MessageShape<typeof data.mutate.input>).mutations.map(({ kind }) => kind.value?.table ?? '');
  const { table } = request as { readonly table?: string };
  return table === undefined || (method as unknown) === data.describeTable ? [] : [table];
}

/** What is sent for a request, on these shapes. */
export function httpCallOf<I extends DescMessage>(method: DescMethodUnary<I, DescMessage>, request: MessageShape<I>, shapes: Shapes): HttpCall {
  const is = (other: unknown): boolean => (method as unknown) === other;
  if (is(data.listTables)) {
    const { pageSize, pageToken } = request as unknown as MessageShape<typeof data.listTables.input>;
    return { method: 'GET', path: `/v1/tables?pageSize=${pageSize}${pageToken === '' ? '' : `&pageToken=${encodeURIComponent(pageToken)}`}`, body: null };
  }
  if (is(data.describeTable)) return { method: 'GET', path: pathOf((request as unknown as MessageShape<typeof data.describeTable.input>).table), body: null };
  if (is(data.get)) {
    const { table, key, columns } = request as unknown as MessageShape<typeof data.get.input>;
    const shape = shapeOf(shapes, table);
    return { method: 'GET', path: `${pathOf(table)}/rows/${keyPath(shape, key)}?columns=${columns.map(encodeURIComponent).join(',')}`, body: null };
  }
  if (is(data.batchGet)) {
    const { table, keys, columns } = request as unknown as MessageShape<typeof data.batchGet.input>;
    const shape = shapeOf(shapes, table);
    return post(`${pathOf(table)}:batchGet`, { keys: `[${keys.map((key) => rowText(shape, key)).join()}]`, columns: JSON.stringify(columns) });
  }
  if (is(data.query)) {
    const { table, filter, orderBy, columns, pageSize, pageToken } = request as unknown as MessageShape<typeof data.query.input>;
    const shape = shapeOf(shapes, table);
    const order = orderBy.map(({ column, descending }) => ({ column, descending }));
    return post(`${pathOf(table)}:query`, {
      ...filterMember(shape, filter),
      orderBy: JSON.stringify(order),
      columns: JSON.stringify(columns),
      pageSize: String(pageSize),
      ...(pageToken === '' ? {} : { pageToken: text(pageToken) }),
    });
  }
  if (is(data.aggregate)) {
    const { table, filter, aggregations, groupBy } = request as unknown as MessageShape<typeof data.aggregate.input>;
    const asked = aggregations.map(({ kind }) => (kind.case === 'count' ? { count: {} } : { [kind.case ?? '']: kind.value }));
    return post(`${pathOf(table)}:aggregate`, {
      ...filterMember(shapeOf(shapes, table), filter),
      aggregations: JSON.stringify(asked),
      ...(groupBy === '' ? {} : { groupBy: text(groupBy) }),
    });
  }
  if (is(data.mutate)) {
    const { mutations } = request as unknown as MessageShape<typeof data.mutate.input>;
    return post('/v1:mutate', { mutations: `[${mutations.map((mutation) => mutationText(shapes, mutation)).join()}]` });
  }
  throw new Error(`${method.name} is asked of no foreign service over HTTP`);
}

/** What an answer's JSON says, as the method's message. ARGUMENT_INVALID, VALUE_INVALID: it is not what the API says. */
export function answerOf<O extends DescMessage>(method: DescMethodUnary<DescMessage, O>, request: object, shapes: Shapes, json: string): MessageInitShape<O> {
  const is = (other: unknown): boolean => (method as unknown) === other;
  if (is(data.listTables)) return fromJson(ListTablesResponseSchema, JSON.parse(json) as JsonValue, { ignoreUnknownFields: true }) as unknown as MessageInitShape<O>;
  if (is(data.describeTable)) return { schema: fromJson(TableSchemaSchema, JSON.parse(json) as JsonValue, { ignoreUnknownFields: true }) } as unknown as MessageInitShape<O>;
  const node = parseJson(json, 'the answer', deepest, Number.POSITIVE_INFINITY);
  if (is(data.mutate)) {
    const { mutations } = request as MessageShape<typeof data.mutate.input>;
    const results = elementsOf(memberOf(node, 'results')).map((result, index) => {
      const shape = shapeOf(shapes, mutations[index]?.kind.value?.table ?? '');
      const deleted = memberOf(result, 'deleted');
      return { ...optionalRow(shape, memberOf(result, 'row')), deleted: deleted?.kind === 'boolean' && deleted.value };
    });
    return { results } as unknown as MessageInitShape<O>;
  }
  const shape = shapeOf(shapes, (request as { readonly table: string }).table);
  if (is(data.get)) return optionalRow(shape, node) as unknown as MessageInitShape<O>;
  if (is(data.batchGet)) return { entries: elementsOf(memberOf(node, 'entries')).map((entry) => optionalRow(shape, memberOf(entry, 'row'))) } as unknown as MessageInitShape<O>;
  if (is(data.query)) {
    const token = memberOf(node, 'nextPageToken');
    const rows = elementsOf(memberOf(node, 'rows')).map((row) => rowOf(shape, row));
    return { rows, nextPageToken: token?.kind === 'string' ? token.value : '' } as unknown as MessageInitShape<O>;
  }
  return groupsOf(shape, request as MessageShape<typeof data.aggregate.input>, node) as unknown as MessageInitShape<O>;
}

/** A description as the shape that rows are read and written by. */
export const shapeFrom = (name: string, schema: MessageShape<typeof TableSchemaSchema>): TableSchema => ({
  name,
  columns: schema.columns.map((column) => columnFromMessage(name, column, { storedType: '', ownWay: '', numbered: false })),
  primaryKey: schema.primaryKey,
  uniqueKeys: [],
  fingerprint: schema.fingerprint,
});

const post = (path: string, members: Readonly<Record<string, string>>): HttpCall => ({
  method: 'POST',
  path,
  body: `{${Object.entries(members)
    .map(([name, json]) => `${text(name)}:${json}`)
    .join()}}`,
});

const pathOf = (table: string): string => `/v1/tables/${encodeURIComponent(table).replaceAll(':', '%3A')}`;

function shapeOf(shapes: Shapes, table: string): TableSchema {
  const shape = shapes.get(table);
  if (shape === undefined) throw new Error(`table ${table} has not been described`);
  return shape;
}

/** One part for each column of the key, in key order, percent-encoded. */
function keyPath(shape: TableSchema, key: Row | undefined): string {
  return shape.primaryKey
    .map((name) => {
      const value = key?.cells[name];
      if (value === undefined) throw new Error(`the key lacks ${name}`);
      if (value.kind.case === 'jsonValue') return encodeURIComponent(value.kind.value);
      const json = jsonFromValue(value, columnNamed(shape, name));
      return encodeURIComponent(json.startsWith('"') ? (JSON.parse(json) as string) : json);
    })
    .join(',');
}

function rowText(shape: TableSchema, row: Row | undefined): string {
  const members = Object.entries(row?.cells ?? {}).map(([name, value]) => `${text(name)}:${jsonFromValue(value, columnNamed(shape, name))}`);
  return `{${members.join()}}`;
}

function filterMember(shape: TableSchema, filter: Filter | undefined): { readonly filter?: string } {
  return filter === undefined ? {} : { filter: filterText(shape, filter) };
}

function filterText(shape: TableSchema, { kind }: Filter): string {
  const value = (name: string, given: Value | undefined): string => (given === undefined ? 'null' : jsonFromValue(given, columnNamed(shape, name)));
  switch (kind.case) {
    case 'compare': {
      const { column, operator, value: given } = kind.value;
      return `{"compare":{"column":${text(column)},"operator":"${operatorName(operator)}","value":${value(column, given)}}}`;
    }
    case 'in':
      return `{"in":{"column":${text(kind.value.column)},"values":[${kind.value.values.map((given) => value(kind.value.column, given)).join()}]}}`;
    case 'tuple': {
      const { columns, operator, values } = kind.value;
      const given = columns.map((name, index) => value(name, values[index]));
      return `{"tuple":{"columns":${JSON.stringify(columns)},"operator":"${operatorName(operator)}","values":[${given.join()}]}}`;
    }
    case 'isNull':
      return `{"isNull":{"column":${text(kind.value.column)}}}`;
    case 'prefix':
      return `{"prefix":{"column":${text(kind.value.column)},"text":${text(kind.value.text)}}}`;
    case 'like':
      return `{"like":{"column":${text(kind.value.column)},"pattern":${text(kind.value.pattern)}}}`;
    case 'and':
    case 'or':
      return `{"${kind.case}":[${kind.value.filters.map((each) => filterText(shape, each)).join()}]}`;
    case 'not':
      return `{"not":${filterText(shape, kind.value)}}`;
    case undefined:
      throw new Error('a filter without a kind');
    default:
      return assertNever(kind);
  }
}

const operatorName = (operator: Comparison_Operator): string => Comparison_OperatorSchema.value[operator]?.name ?? '';

function mutationText(shapes: Shapes, { kind }: Mutation): string {
  if (kind.case === undefined) throw new Error('a mutation without a kind');
  const { table } = kind.value;
  const shape = shapeOf(shapes, table);
  const members: Record<string, string> = { table: text(table) };
  if ('returning' in kind.value) members.returning = JSON.stringify(kind.value.returning);
  if ('row' in kind.value && kind.value.row !== undefined) members.row = rowText(shape, kind.value.row);
  if ('key' in kind.value && kind.value.key !== undefined) members.key = rowText(shape, kind.value.key);
  if ('add' in kind.value && kind.value.add !== undefined) members.add = rowText(shape, kind.value.add);
  if ('precondition' in kind.value && kind.value.precondition !== undefined) members.precondition = filterText(shape, kind.value.precondition);
  if (kind.case === 'delete') members.allowMissing = String(kind.value.allowMissing);
  const inner = Object.entries(members).map(([name, json]) => `${text(name)}:${json}`);
  return `{"${kind.case}":{${inner.join()}}}`;
}

const memberOf = (node: JsonNode, name: string): JsonNode | undefined => (node.kind === 'object' ? node.members.get(name) : undefined);
const elementsOf = (node: JsonNode | undefined): readonly JsonNode[] => (node?.kind === 'array' ? node.elements : []);

function optionalRow(shape: TableSchema, node: JsonNode | undefined): { readonly row?: Row } {
  return node?.kind === 'object' ? { row: rowOf(shape, node) } : {};
}

function rowOf(shape: TableSchema, node: JsonNode): Row {
  const cells: Record<string, Value> = {};
  if (node.kind === 'object') for (const [name, member] of node.members) cells[name] = valueFromJson(member, columnNamed(shape, name), 'row');
  return { $typeName: 'switchyard.data.v1.Row', cells };
}

function groupsOf(shape: TableSchema, { aggregations, groupBy }: MessageShape<typeof data.aggregate.input>, node: JsonNode) {
  const columns = aggregations.map(({ kind }): ColumnSchema => {
    const aggregation: Aggregation = kind.case === undefined || kind.case === 'count' ? { kind: 'count' } : { kind: kind.case, column: kind.value };
    return aggregateColumn(aggregation, (name) => columnNamed(shape, name));
  });
  return {
    groups: elementsOf(memberOf(node, 'groups')).map((group) => {
      const own = memberOf(group, 'group');
      const values = elementsOf(memberOf(group, 'values')).map((value, index) => valueFromJson(value, columns[index] as ColumnSchema, 'values'));
      return groupBy === '' || own === undefined ? { values } : { group: valueFromJson(own, columnNamed(shape, groupBy), 'group'), values };
    }),
  };
}

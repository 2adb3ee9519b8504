import { create, type DescEnum, type DescField, type DescMessage, type MessageShape, ScalarType } from '@bufbuild/protobuf';
import { closestName, didYouMean } from '../../../core/closest-name.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { UpdateRequest } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Value } from '../../../gen/switchyard/data/v1/value_pb.ts';
import { columnOf } from '../../codec/columns.ts';
import type { TableHandle } from '../../codec/table-handle.ts';
import { mostValues } from '../../codec/validate-filter.ts';
import { mostKeys } from '../../codec/validate-reads.ts';
import { valueFromJson } from '../../../runtime/json/cell-json.ts';
import { type JsonNode, shownNode } from '../../../runtime/json/json-node.ts';
import { amountsFromJson, changesFromJson, objectOf, rowFromJson } from './row-json.ts';

/* Requests from plain JSON, driven by the messages' descriptors. Only five messages have a form of their own: a Row is an object of columns, the values of comparisons are plain, and a list of filters is an array. */

const rowType = 'switchyard.data.v1.Row';
const comparisonType = 'switchyard.data.v1.Comparison';
const inListType = 'switchyard.data.v1.InList';
const tupleType = 'switchyard.data.v1.TupleComparison';
const filterListType = 'switchyard.data.v1.FilterList';
const updateType = 'switchyard.data.v1.UpdateRequest';

/** Operators of a comparison as they are written in JSON; the proto's names are understood too. */
export const operatorNames: Readonly<Record<string, string>> = {
  '=': 'OPERATOR_EQUAL',
  '<>': 'OPERATOR_NOT_EQUAL',
  '<': 'OPERATOR_LESS',
  '<=': 'OPERATOR_LESS_OR_EQUAL',
  '>': 'OPERATOR_GREATER',
  '>=': 'OPERATOR_GREATER_OR_EQUAL',
};

/** Shapes by the table names that the request uses. */
export type Shapes = ReadonlyMap<string, TableHandle>;
type Init = Record<string, unknown>;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);
const under = (at: string, name: string): string => (at === '' ? name : `${at}.${name}`);

/** The tables that a message names, by its JSON. What is malformed is left for the decoding to refuse. */
export function tablesIn(message: DescMessage, node: JsonNode | undefined, found = new Set<string>()): ReadonlySet<string> {
  if (node?.kind !== 'object' || message.typeName === rowType) return found;
  for (const field of message.fields) {
    const member = node.members.get(field.jsonName) ?? node.members.get(field.name);
    if (field.name === 'table' && member?.kind === 'string') found.add(member.value);
    if (field.message === undefined || member === undefined) continue;
    for (const one of member.kind === 'array' ? member.elements : [member]) tablesIn(field.message, one, found);
  }
  return found;
}

/** Reads requests whose columns are those of the tables' shapes. */
export class RequestReader {
  readonly #shapes: Shapes;

  constructor(shapes: Shapes) {
    this.#shapes = shapes;
  }

  /** A message from its JSON object. `at` stands before every field's name in messages. `table` is the one that its rows are of, where it does not name one itself. Members of `given` are set already. */
  message<M extends DescMessage>(desc: M, node: JsonNode | null, at: string, table: string, given: Init = {}): MessageShape<M> {
    const init: Init = { ...given };
    if (node !== null) {
      const { members } = objectOf(node, at === '' ? 'the body' : at);
      const named = members.get('table');
      const of = named?.kind === 'string' ? named.value : table;
      for (const [name, member] of members) this.#setField(init, desc, this.#fieldOf(desc, name, at), member, under(at, name), of);
    }
    return create(desc, init as Parameters<typeof create<M>>[1]);
  }

  /** Sets one field of a message's initial value, in its own oneof where it belongs to one. */
  setField(init: Init, desc: DescMessage, field: DescField, node: JsonNode, at: string, table: string): void {
    this.#setField(init, desc, field, node, at, table);
  }

  #fieldOf(desc: DescMessage, name: string, at: string): DescField {
    const field = desc.fields.find((candidate) => candidate.jsonName === name || candidate.name === name);
    if (field !== undefined) return field;
    const names = desc.fields.map(({ jsonName }) => jsonName);
    throw argument(`${under(at, name)}: unknown field${didYouMean(closestName(name, names))}; known are ${names.join(', ')}`);
  }

  #setField(init: Init, desc: DescMessage, field: DescField, node: JsonNode, at: string, table: string): void {
    if (node.kind === 'null' && field.message?.typeName !== rowType && !isValue(field)) return; // as if it were left out
    if (desc.typeName === updateType && field.name === 'row') {
      this.#setChanges(init, node, at, table);
      return;
    }
    if (desc.typeName === updateType && field.name === 'add') {
      init.add = merged(init.add as UpdateRequest['add'], amountsFromJson(node, this.#shape(table, at), at), at);
      return;
    }
    const value = this.#fieldValue(field, node, at, table);
    const target = field.oneof === undefined ? field.localName : field.oneof.localName;
    if (init[target] !== undefined)
      throw argument(`${at}: ${field.oneof === undefined ? 'it is given twice' : `only one of ${field.oneof.fields.map(({ jsonName }) => jsonName).join(', ')} can be set`}`);
    init[target] = field.oneof === undefined ? value : { case: field.localName, value };
  }

  #setChanges(init: Init, node: JsonNode, at: string, table: string): void {
    const { set, add } = changesFromJson(node, this.#shape(table, at), at);
    // As over gRPC: an update that only adds has no row.
    if (Object.keys(set.cells).length > 0) init.row = set;
    if (Object.keys(add.cells).length > 0) init.add = merged(init.add as UpdateRequest['add'], add, at);
  }

  #fieldValue(field: DescField, node: JsonNode, at: string, table: string): unknown {
    switch (field.fieldKind) {
      case 'scalar':
        return scalarOf(field.scalar, node, at);
      case 'enum':
        return enumOf(field.enum, node, at);
      case 'message':
        return this.#messageValue(field.message, node, at, table);
      case 'list': {
        if (node.kind !== 'array') throw argument(`${at}: got ${shownNode(node)}; must be an array`);
        const elements = field.message?.typeName === rowType ? atMost(mostKeys, node.elements, at, field.localName) : node.elements;
        return elements.map((element, index) => this.#element(field, element, `${at}[${index}]`, table));
      }
      case 'map':
        throw new Error(`${field.parent.typeName}.${field.name}: no request has a map`);
    }
  }

  #element(field: DescField & { fieldKind: 'list' }, node: JsonNode, at: string, table: string): unknown {
    switch (field.listKind) {
      case 'scalar':
        return scalarOf(field.scalar, node, at);
      case 'enum':
        return enumOf(field.enum, node, at);
      case 'message':
        return this.#messageValue(field.message, node, at, table);
    }
  }

  #messageValue(desc: DescMessage, node: JsonNode, at: string, table: string): unknown {
    switch (desc.typeName) {
      case rowType:
        return rowFromJson(node, this.#shape(table, at), at);
      case filterListType: {
        if (node.kind !== 'array') throw argument(`${at}: got ${shownNode(node)}; must be an array of filters`);
        const filter = desc.fields[0]?.message;
        if (filter === undefined) throw new Error('FilterList holds no filters');
        return { filters: node.elements.map((element, index) => this.message(filter, element, `${at}[${index}]`, table)) };
      }
      case comparisonType:
      case inListType:
        return this.#comparison(desc, node, at, table);
      case tupleType:
        return this.#tuple(desc, node, at, table);
      default:
        return this.message(desc, node, at, table);
    }
  }

  /** A condition on one column: its values are of that column's kind. */
  #comparison(desc: DescMessage, node: JsonNode, at: string, table: string): unknown {
    const { members } = objectOf(node, at);
    const handle = this.#shape(table, at);
    const named = members.get('column');
    if (named?.kind !== 'string') throw argument(`${at}.column: ${named === undefined ? 'missing' : `got ${shownNode(named)}`}; must be the name of a column`);
    const column = columnOf(handle, named.value, `${at}.column`);
    // Messages name the field that holds the value, not a row.
    const comparand = (value: JsonNode): Value => valueFromJson(value, column, at);
    const init: Init = {};
    for (const [name, member] of members) {
      const field = this.#fieldOf(desc, name, at);
      if (!isValue(field)) this.#setField(init, desc, field, member, under(at, name), table);
      else if (field.fieldKind !== 'list') init[field.localName] = comparand(member);
      else if (member.kind !== 'array') throw argument(`${at}.${name}: got ${shownNode(member)}; must be an array of values`);
      else init[field.localName] = atMost(mostValues, member.elements, `${at}.${name}`, 'values').map(comparand);
    }
    return create(desc, init);
  }

  /** A condition on several columns: each value is of its own column's kind. */
  #tuple(desc: DescMessage, node: JsonNode, at: string, table: string): unknown {
    const { members } = objectOf(node, at);
    const init: Init = {};
    for (const [name, member] of members) {
      const field = this.#fieldOf(desc, name, at);
      if (!isValue(field)) this.#setField(init, desc, field, member, under(at, name), table);
    }
    const handle = this.#shape(table, at);
    const columns = ((init.columns ?? []) as readonly string[]).map((name, index) => columnOf(handle, name, `${at}.columns[${index}]`));
    const given = members.get('values');
    if (given !== undefined && given.kind !== 'array') throw argument(`${at}.values: got ${shownNode(given)}; must be an array of values`);
    const values = given?.elements ?? [];
    if (values.length !== columns.length) throw argument(`${at}.values: got ${values.length}; must be one for each of the ${columns.length} columns`);
    init.values = columns.flatMap((column, index) => values.slice(index, index + 1).map((value) => valueFromJson(value, column, at)));
    return create(desc, init);
  }

  #shape(table: string, at: string): TableHandle {
    const handle = this.#shapes.get(table);
    if (handle === undefined) throw argument(`${at}: the table that it belongs to is missing; give "table" beside it`);
    return handle;
  }
}

/** Refuses a list that is too long before its elements are read. */
function atMost(most: number, elements: readonly JsonNode[], at: string, what: string): readonly JsonNode[] {
  if (elements.length > most) throw argument(`${at}: got ${elements.length}; must be 1 to ${most} ${what}`);
  return elements;
}

const isValue = (field: DescField): boolean => field.message?.typeName === 'switchyard.data.v1.Value';

function merged(given: UpdateRequest['add'], more: NonNullable<UpdateRequest['add']>, at: string): NonNullable<UpdateRequest['add']> {
  const twice = Object.keys(more.cells).find((name) => Object.hasOwn(given?.cells ?? {}, name));
  if (twice !== undefined) throw argument(`${at}.${twice}: an amount is given twice`);
  return { ...more, cells: { ...given?.cells, ...more.cells } };
}

function scalarOf(type: ScalarType, node: JsonNode, at: string): unknown {
  switch (type) {
    case ScalarType.STRING:
      if (node.kind === 'string') return node.value;
      throw argument(`${at}: got ${shownNode(node)}; must be a string`);
    case ScalarType.BOOL:
      if (node.kind === 'boolean') return node.value;
      throw argument(`${at}: got ${shownNode(node)}; must be true or false`);
    case ScalarType.INT32: {
      const value = node.kind === 'number' ? Number(node.source) : Number.NaN;
      if (Number.isInteger(value) && Math.abs(value) < 0x8000_0000) return value;
      throw argument(`${at}: got ${shownNode(node)}; must be an integer`);
    }
    case ScalarType.INT64: {
      const text = node.kind === 'number' ? node.source : node.kind === 'string' ? node.value : '';
      if (/^-?\d{1,18}$/.test(text)) return BigInt(text);
      throw argument(`${at}: got ${shownNode(node)}; must be an integer`);
    }
    default:
      throw new Error(`${at}: no request has a field of scalar type ${type}`);
  }
}

function enumOf(desc: DescEnum, node: JsonNode, at: string): number {
  const name = node.kind === 'string' ? (operatorNames[node.value] ?? node.value) : '';
  const value = desc.values.find((candidate) => candidate.name === name);
  if (value !== undefined && value.number !== 0) return value.number;
  const known = desc.name === 'Operator' ? Object.keys(operatorNames) : desc.values.filter(({ number }) => number !== 0).map((candidate) => candidate.name);
  throw argument(`${at}: got ${shownNode(node)}; must be one of ${known.join(', ')}`);
}

import type { DescEnum, DescField, DescMessage } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import type { ScalarKind } from '../../../core/cell.ts';
import type { ColumnSchema } from '../../../core/table-schema.ts';
import { jsonForms } from '../../../runtime/json/cell-json.ts';
import { operatorNames } from '../json/request-json.ts';

/** A JSON Schema (2020-12), as OpenAPI 3.1 takes it. */
export type Schema = Readonly<Record<string, unknown>>;

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

const notFinite = { type: 'string', enum: ['NaN', 'Infinity', '-Infinity'] };
const integerText = (pattern: string): Schema => ({ type: 'string', pattern });
const signed = '^-?\\d+$';

/** What a cell of this kind is written as. */
const written: Readonly<Record<ScalarKind, Schema>> = {
  bool: { type: 'boolean' },
  int16: { type: 'integer', minimum: -0x8000, maximum: 0x7fff },
  int32: { type: 'integer', format: 'int32' },
  int64: { ...integerText(signed), format: 'int64' },
  uint64: { ...integerText('^\\d+$'), format: 'uint64' },
  float32: { anyOf: [{ type: 'number', format: 'float' }, notFinite] },
  float64: { anyOf: [{ type: 'number', format: 'double' }, notFinite] },
  decimal: { type: 'string', format: 'decimal' },
  text: { type: 'string' },
  bytes: { type: 'string', contentEncoding: 'base64' },
  uuid: { type: 'string', format: 'uuid' },
  date: { type: 'string', format: 'date' },
  time: { type: 'string', pattern: '^\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?$' },
  timestamp: { type: 'string' },
  timestamptz: { type: 'string', format: 'date-time' },
  json: {},
  enum: { type: 'string' },
};
const alsoNumber: readonly ScalarKind[] = ['int64', 'uint64', 'decimal'];
const numberKinds: readonly string[] = ['int16', 'int32', 'int64', 'uint64', 'float32', 'float64', 'decimal'];

function scalarSchema(kind: ScalarKind, given: boolean): Schema {
  return given && alsoNumber.includes(kind) ? { anyOf: [written[kind], { type: kind === 'decimal' ? 'number' : 'integer' }] } : written[kind];
}

/** A column's value as it is written or, `given`, as it may be sent. */
export function columnSchema(column: ColumnSchema, given: boolean): Schema {
  const kind = column.kind === 'array' ? column.elementKind : column.kind;
  const scalar = kind === undefined ? {} : scalarSchema(kind, given);
  const schema = column.kind === 'array' ? { type: 'array', items: nullable(scalar) } : scalar;
  const description = `${column.nativeType}${kind === undefined ? '' : `: ${column.kind === 'array' ? 'an array, each element ' : ''}${jsonForms[kind]}`}`;
  return { ...(column.nullable ? nullable(schema) : schema), description };
}

/** A column's change in a PATCH: a new value or, for a number, an amount to add. */
export function changeSchema(column: ColumnSchema): Schema {
  const schema = columnSchema(column, true);
  if (!numberKinds.includes(column.kind)) return schema;
  return { anyOf: [schema, { type: 'object', properties: { $add: columnSchema({ ...column, nullable: false }, true) }, required: ['$add'], additionalProperties: false }] };
}

const nullable = (schema: Schema): Schema => (Object.keys(schema).length === 0 ? schema : { anyOf: [schema, { type: 'null' }] });

/** Schemas of messages for the fields that are no rows; `rowOf` says what a Row, a Filter or a FilterList is where it stands. */
export function messageSchema(desc: DescMessage, schemaOf: (message: DescMessage, field: DescField) => Schema, without: readonly string[] = []): Schema {
  const fields = desc.fields.filter(({ name }) => !without.includes(name));
  const properties = Object.fromEntries(fields.map((field) => [field.jsonName, fieldSchema(field, schemaOf)]));
  return { type: 'object', properties, additionalProperties: false };
}

/** Schema of one field. */
export function fieldSchema(field: DescField, schemaOf: (message: DescMessage, field: DescField) => Schema): Schema {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarFieldSchema(field.scalar);
    case 'enum':
      return enumSchema(field.enum);
    case 'message':
      return schemaOf(field.message, field);
    case 'list': {
      const items = field.message !== undefined ? schemaOf(field.message, field) : field.listKind === 'enum' ? enumSchema(field.enum) : scalarFieldSchema(field.scalar);
      return { type: 'array', items };
    }
    case 'map':
      return { type: 'object' };
  }
}

const scalarFieldSchema = (type: ScalarType | undefined): Schema =>
  type === ScalarType.BOOL
    ? { type: 'boolean' }
    : type === ScalarType.INT32 || type === ScalarType.INT64
      ? { type: 'integer', format: type === ScalarType.INT32 ? 'int32' : 'int64' }
      : { type: 'string' };

function enumSchema(desc: DescEnum): Schema {
  return { type: 'string', enum: desc.name === 'Operator' ? [...Object.keys(operatorNames), ...Object.values(operatorNames)] : desc.values.map(({ name }) => name) };
}

import type { DescField, DescMessage, DescMethod } from '@bufbuild/protobuf';
import type { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { HttpBinding } from '../../../runtime/http/bindings.ts';
import { fieldSchema, messageSchema, ref, type Schema } from './json-schema.ts';
import { type DocumentedTable, idOf, rowSchemaOf, tableSchemas } from './table-schemas.ts';

/* The OpenAPI 3.1 document: paths, parameters and messages from the proto's descriptors, rows from the tables' shapes of this moment. One path a table, so that a caller's tools know its columns. */

const rowType = 'switchyard.data.v1.Row';
const summaries: Readonly<Record<keyof typeof DataService.method, string>> = {
  get: 'One row by primary key',
  batchGet: 'Rows by primary key, in the order asked for; a missing row is null',
  query: 'Rows by a filter, paged',
  streamQuery: 'Rows by a filter, as many as there are',
  aggregate: 'Counts, sums, smallest and largest values, of all rows that match or by group',
  insert: 'Adds a row',
  insertMany: 'Adds rows: all or none',
  upsert: 'Adds the row or, where its key exists, sets the given columns',
  update: 'Changes one row: new values, or {"$add": n} for a number',
  delete: 'Removes one row',
  transact: 'An interactive transaction',
  watch: 'Every change of a table',
  mutate: 'Several writes to tables of one keyspace: all or none',
  describeTable: "A table's columns and keys",
  listTables: 'The tables that can be named',
};
const summaryOf = (method: string): string => (summaries as Readonly<Record<string, string>>)[method] ?? method;

const header = (description: string, schema: Schema): Schema => ({ description, schema });
const watchDescription =
  'Server-sent events: "change" with kind, before, after and changedAt; "position" where nothing has changed for a while; "failure", a Problem, where the watch breaks. An id is the token of what comes behind its event: send it as Last-Event-ID';
const streamDescription =
  'Lines of JSON: {"row": …} for each row; {"nextPageToken": …} behind each piece, which is where to go on from there, empty behind the last row; {"error": …}, a Problem, where the stream breaks';
// OpenAPI 3.1 has no word for the parts of a stream; the descriptions tell them.
const lines = { schema: { type: 'string' } };
const etagHeader = header('Changes whenever the row does', { type: 'string' });
const timeoutParameter = { $ref: '#/components/parameters/XRequestTimeout' };
const requestIdParameters = ['IdempotencyKey', 'SwitchyardCaller'].map((name) => ({ $ref: `#/components/parameters/${name}` }));
const takesRequestId = ({ input }: DescMethod): boolean => input.fields.some((field) => field.name === 'request_id');
const failure = { $ref: '#/components/responses/Problem' };

/** The document for these tables. Tables that cannot be served are simply not among them. */
export function openApiDocument(bindings: readonly HttpBinding[], tables: readonly DocumentedTable[]): Schema {
  const paths: Record<string, Record<string, Schema>> = {
    '/healthz': {
      get: {
        operationId: 'healthz',
        summary: 'Whether the gateway serves',
        responses: { 200: jsonResponse('It serves', health), 503: jsonResponse('It does not, or is about to stop', health) },
      },
    },
    '/openapi.json': { get: { operationId: 'openapi', summary: 'This document', responses: { 200: jsonResponse('The document', { type: 'object' }), default: failure } } },
  };
  const schemas: Record<string, Schema> = { ...sharedSchemas };
  for (const binding of bindings) {
    const isOfTable = binding.template.segments.some((segment) => 'variable' in segment && segment.variable === 'table');
    for (const table of isOfTable ? tables : [null]) {
      const path = table === null ? binding.template.text : binding.template.text.replace('{table}', encodeURIComponent(table.name));
      paths[path] = { ...paths[path], [binding.httpMethod.toLowerCase()]: operation(binding, table, schemas) };
    }
  }
  for (const table of tables) Object.assign(schemas, tableSchemas(table));
  return {
    openapi: '3.1.0',
    info: { title: 'Switchyard data API', version: 'v1', description: 'Rows of tables, wherever they are stored just now. Errors are problem details; decide by their reason.' },
    paths,
    components: {
      schemas,
      parameters: {
        IdempotencyKey: {
          name: 'Idempotency-Key',
          in: 'header',
          description: 'Request id: a repetition with the same id and content gets the first result and writes nothing',
          schema: { type: 'string' },
        },
        SwitchyardCaller: {
          name: 'Switchyard-Caller',
          in: 'header',
          description: "As whom the caller presents itself: request ids are each caller's own",
          schema: { type: 'string' },
        },
        XRequestTimeout: { name: 'X-Request-Timeout', in: 'header', description: 'Deadline of the call, such as "1.5s" or "250ms"', schema: { type: 'string' } },
      },
      responses: { Problem: { description: 'The failure, with its reason', content: { 'application/problem+json': { schema: ref('Problem') } } } },
    },
  };
}

/** Schemas of messages, put here as they are met. */
type Collected = Record<string, Schema>;

function operation(binding: HttpBinding, table: DocumentedTable | null, collected: Collected): Schema {
  const { method, body } = binding;
  const name = table?.name ?? null;
  const schemaOf = (message: DescMessage, field: DescField): Schema => nestedSchema(message, field, method.name, name, collected);
  const inPath = binding.template.segments.flatMap((segment) => ('variable' in segment && segment.variable !== 'table' ? [segment.variable] : []));
  const parameters = [
    ...inPath.map((variable) => ({ name: variable, in: 'path', required: true, description: keyDescription(table), schema: { type: 'string' } })),
    ...[...new Set(binding.parameters.values())].filter((field) => field.name !== 'request_id').map((field) => queryParameter(field, schemaOf)),
    ...(method.name === 'Get' ? [{ name: 'If-None-Match', in: 'header', schema: { type: 'string' } }] : []),
    ...(method.name === 'Update' || method.name === 'Delete' ? [{ name: 'If-Match', in: 'header', schema: { type: 'string' } }] : []),
    ...(takesRequestId(method) ? requestIdParameters : []),
    timeoutParameter,
  ];
  const bodySchema = body === '*' ? messageSchema(method.input, schemaOf, ['table', 'request_id']) : body === null ? null : fieldSchema(body, schemaOf);
  return {
    operationId: name === null ? method.localName : `${method.localName}.${idOf(name)}`,
    summary: summaryOf(method.localName),
    ...(name === null ? {} : { tags: [name] }),
    parameters,
    ...(bodySchema === null ? {} : { requestBody: { required: true, content: { 'application/json': { schema: bodySchema } } } }),
    responses: responses(binding, name, collected),
  };
}

function responses({ method, responseBody }: HttpBinding, table: string | null, collected: Collected): Schema {
  // Rows in answers are whole rows, whatever the request holds.
  const schemaOf = (message: DescMessage, field: DescField): Schema => nestedSchema(message, field, '', table, collected);
  if (method.name === 'Watch') return { 200: { description: watchDescription, content: { 'text/event-stream': lines } }, default: failure };
  if (method.methodKind === 'server_streaming') return { 200: { description: streamDescription, content: { 'application/x-ndjson': lines } }, default: failure };
  const schema = responseBody === null ? messageSchema(method.output, schemaOf) : fieldSchema(responseBody, schemaOf);
  const ok = jsonResponse('Done', schema);
  const isRow = responseBody?.message?.typeName === rowType;
  const more: Record<string, Schema> = {};
  if (method.name === 'Get') more[304] = { description: 'The row is the one that If-None-Match names', headers: { ETag: etagHeader } };
  if (method.name === 'Insert') more[201] = { ...ok, headers: { ETag: etagHeader, Location: header('Path of the new row', { type: 'string' }) } };
  if (method.name === 'Update' || method.name === 'Delete') more[412] = failure;
  if (takesRequestId(method)) more[422] = failure;
  return { 200: isRow ? { ...ok, headers: { ETag: etagHeader } } : ok, ...more, default: failure };
}

function queryParameter(field: DescField, schemaOf: (message: DescMessage, field: DescField) => Schema): Schema {
  const schema = fieldSchema(field, schemaOf);
  const base = { name: field.jsonName, in: 'query' };
  if (field.fieldKind === 'message') return { ...base, content: { 'application/json': { schema } } };
  return { ...base, schema, ...(field.fieldKind === 'list' ? { style: 'form', explode: false } : {}) };
}

function nestedSchema(message: DescMessage, field: DescField, method: string, table: string | null, collected: Collected): Schema {
  switch (message.typeName) {
    case rowType:
      return field.parent.name.endsWith('Entry') || field.parent.name.endsWith('Result')
        ? { anyOf: [rowSchemaOf(method, field.name, table), { type: 'null' }] }
        : rowSchemaOf(method, field.name, table);
    case 'switchyard.data.v1.Value':
      return {};
    case 'switchyard.data.v1.FilterList':
      return { type: 'array', items: ref('Filter'), minItems: 1 };
    default: {
      const inner =
        (of: string | null) =>
        (nested: DescMessage, nestedField: DescField): Schema =>
          nestedSchema(nested, nestedField, '', of, collected);
      // What holds rows of one table belongs to that table's operation; everything else is the same everywhere.
      if (table !== null && message.fields.some((one) => one.message?.typeName === rowType)) return messageSchema(message, inner(table));
      if (collected[message.name] === undefined) {
        collected[message.name] = {}; // it may hold itself
        const schema = messageSchema(message, inner(null), ['validate_only', 'request_id']); // of a Mutate's parts: they belong to the whole
        collected[message.name] = message.oneofs.length > 0 ? { ...schema, minProperties: 1, maxProperties: 1 } : schema;
      }
      return ref(message.name);
    }
  }
}

function keyDescription(table: DocumentedTable | null): string {
  const columns = table?.handle.schema.primaryKey.join(', ') ?? '';
  return `The primary key (${columns}): one part a column, each percent-encoded, joined by commas`;
}

const jsonResponse = (description: string, schema: Schema): Schema => ({ description, content: { 'application/json': { schema } } });

const health = { type: 'object', properties: { status: { type: 'string', enum: ['SERVING', 'NOT_SERVING'] } }, required: ['status'] };
const sharedSchemas: Readonly<Record<string, Schema>> = {
  AnyRow: { type: 'object', description: 'An object of the columns of the table that is named beside it' },
  Problem: {
    type: 'object',
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
      code: { type: 'string', description: "The canonical status code's name" },
      domain: { type: 'string' },
      reason: { type: 'string', description: 'Decide by this' },
      metadata: { type: 'object', additionalProperties: { type: 'string' } },
      retryAfterMs: { type: 'integer' },
    },
    required: ['type', 'title', 'status', 'detail', 'code', 'domain', 'reason', 'metadata'],
  },
};

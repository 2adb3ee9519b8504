import type { DescField, DescMessage, MessageShape } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { closestName, didYouMean } from '../../core/closest-name.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { BoundCall } from './routes.ts';
import { HttpError } from '../../runtime/http/http-error.ts';
import { type JsonNode, stringNode } from '../../runtime/json/json-node.ts';
import { parseJson } from '../../runtime/json/json-parser.ts';
import { RequestReader, type Shapes, tablesIn } from './json/request-json.ts';
import { keyFromPath, percentDecoded } from './json/row-json.ts';
import { httpLimits } from './limits.ts';

/** A request's parts as they came, parsed but not yet understood. */
export interface HttpParts {
  readonly call: BoundCall;
  /** The body's JSON; null where the binding has none. */
  readonly body: JsonNode | null;
  readonly parameters: readonly (readonly [DescField, JsonNode])[];
}

/** The query string's parameters as fields of the method's request. Lists are comma-separated or repeated; messages are JSON. */
export function bindParameters(call: BoundCall, query: string): HttpParts['parameters'] {
  const { parameters } = call.binding;
  const texts = new Map<DescField, string[]>();
  for (const part of query.split('&')) {
    if (part === '') continue;
    const [rawName = '', ...rest] = part.split('=');
    const name = formDecoded(rawName, 'a query parameter');
    const field = parameters.get(name);
    if (field === undefined) throw unknownParameter(name, call);
    const list = texts.get(field) ?? [];
    list.push(formDecoded(rest.join('='), name));
    texts.set(field, list);
  }
  return [...texts].map(([field, values]) => [field, parameterNode(field, values)] as const);
}

function unknownParameter(name: string, { binding }: BoundCall): HttpError {
  const known = [...new Set([...binding.parameters.values()].map(({ jsonName }) => jsonName))];
  const advice = known.length === 0 ? 'there are none here' : `known are ${known.join(', ')}`;
  return new HttpError(400, `query parameter "${name.slice(0, 64)}": unknown${didYouMean(closestName(name, known))}; ${advice}`);
}

function parameterNode(field: DescField, values: readonly string[]): JsonNode {
  const [text = ''] = values;
  if (field.fieldKind === 'list' && field.listKind === 'scalar')
    return { kind: 'array', elements: values.flatMap((value) => value.split(',').filter((name) => name !== '')).map(stringNode), source: '' };
  if (values.length > 1) throw new HttpError(400, `query parameter "${field.jsonName}": given ${values.length} times; once is enough`);
  if (field.fieldKind === 'enum' || (field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING)) return stringNode(text);
  return parseJson(text, `query parameter "${field.jsonName}"`, httpLimits.jsonDepth);
}

/** Names of the tables that a request is about, as its caller gave them. */
export function tablesOf({ call, body }: HttpParts): ReadonlySet<string> {
  const table = tableOf(call);
  if (table !== null) return new Set([table]);
  return call.binding.body === '*' ? tablesIn(call.binding.method.input, body ?? undefined) : new Set();
}

/** The table in the path; null where the path has none. */
export function tableOf({ variables }: BoundCall): string | null {
  const raw = variables.get('table');
  if (raw === '') throw new SwitchyardError('ARGUMENT_INVALID', 'table: missing; give "orders" or "keyspace.orders"');
  return raw === undefined ? null : percentDecoded(raw, 'table');
}

/** The method's request message out of path, query and body, on these shapes. */
export function bindRequest({ call, body, parameters }: HttpParts, shapes: Shapes): MessageShape<DescMessage> {
  const { binding, variables } = call;
  const desc = binding.method.input;
  const reader = new RequestReader(shapes);
  const table = tableOf(call) ?? '';
  const init: Record<string, unknown> = {};
  for (const [name, raw] of variables) {
    const handle = shapes.get(table);
    if (name === 'table') init.table = table;
    else if (name === 'key' && handle !== undefined) init.key = keyFromPath(raw, handle);
    else throw new Error(`${binding.template.text}: variable ${name} has no meaning`);
  }
  for (const [field, node] of parameters) reader.setField(init, desc, field, node, field.jsonName, table);
  if (binding.body === '*') {
    if (table !== '' && body?.kind === 'object' && body.members.has('table')) throw new SwitchyardError('ARGUMENT_INVALID', 'table: it is in the path; leave it out of the body');
    return reader.message(desc, body, '', table, init);
  }
  if (binding.body !== null && body !== null) reader.setField(init, desc, binding.body, body, binding.body.jsonName, table);
  return reader.message(desc, null, '', table, init);
}

function formDecoded(text: string, field: string): string {
  return percentDecoded(text.replaceAll('+', ' '), field);
}

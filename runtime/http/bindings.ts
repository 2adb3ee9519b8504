import { type DescField, type DescMethod, type DescService, getOption, hasOption } from '@bufbuild/protobuf';
import { http } from '../../gen/google/api/annotations_pb.ts';
import type { HttpRule } from '../../gen/google/api/http_pb.ts';
import { type PathTemplate, parseTemplate } from './path-template.ts';

export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH';

/** One way to call a method over HTTP, as its google.api.http option says. */
export interface HttpBinding {
  readonly method: DescMethod;
  readonly httpMethod: HttpMethod;
  readonly template: PathTemplate;
  /** The field that the body is, "*" for all that the path does not hold, null for no body. */
  readonly body: DescField | '*' | null;
  /** The field that the answer is; null: the whole message. */
  readonly responseBody: DescField | null;
  /** Fields that are query parameters, by both of their names. */
  readonly parameters: ReadonlyMap<string, DescField>;
}

/** All bindings of a service; a method without an annotation is not served over HTTP. */
export function bindingsOf(service: DescService): readonly HttpBinding[] {
  return service.methods.flatMap((method) => {
    if (!hasOption(method, http)) return [];
    const rule = getOption(method, http);
    return [rule, ...rule.additionalBindings].map((one) => bindingOf(method, one));
  });
}

function bindingOf(method: DescMethod, rule: HttpRule): HttpBinding {
  const { pattern } = rule;
  if (pattern.case === undefined || pattern.case === 'custom') throw new Error(`${method.name}: its google.api.http has no pattern of a known method`);
  const template = parseTemplate(pattern.value);
  const field = (name: string, of = method.input): DescField => {
    const found = of.fields.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`${method.name}: its google.api.http names ${name}, which ${of.typeName} does not have`);
    return found;
  };
  const inPath = template.segments.flatMap((segment) => ('variable' in segment ? [field(segment.variable).name] : []));
  const body = rule.body === '' || rule.body === '*' ? rule.body || null : field(rule.body);
  const free = body === '*' ? [] : method.input.fields.filter((candidate) => candidate !== body && !inPath.includes(candidate.name));
  return {
    method,
    httpMethod: pattern.case.toUpperCase() as HttpMethod,
    template,
    body: body as HttpBinding['body'],
    responseBody: rule.responseBody === '' ? null : field(rule.responseBody, method.output),
    parameters: new Map(free.flatMap((candidate) => [[candidate.jsonName, candidate] as const, [candidate.name, candidate] as const])),
  };
}

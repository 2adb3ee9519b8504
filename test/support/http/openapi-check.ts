/* What makes an OpenAPI 3.1 document one, as far as ours uses it: a structural check, and a check of values against its schemas. */

type Json = Readonly<Record<string, unknown>>;

const methods = ['get', 'put', 'post', 'delete', 'patch'];
const schemaTypes = ['object', 'array', 'string', 'integer', 'number', 'boolean', 'null'];
const schemaWords = [
  '$ref',
  'type',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'anyOf',
  'enum',
  'format',
  'pattern',
  'minimum',
  'maximum',
  'minItems',
  'minProperties',
  'maxProperties',
  'description',
  'contentEncoding',
];
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const objectAt = (value: unknown, at: string): Json => {
  if (!isObject(value)) throw new Error(`${at} is no object`);
  return value;
};

export interface OpenApiOperation {
  readonly id: string;
  readonly path: string;
  readonly method: string;
  readonly operation: Json;
}

/** A document that has been found to be structurally valid. */
export class OpenApiDocument {
  readonly #document: Json;
  readonly operations: readonly OpenApiOperation[];

  /** Throws with everything that is wrong. */
  constructor(document: unknown) {
    this.#document = objectAt(document, 'the document');
    const problems: string[] = [];
    this.operations = this.#check((problem) => problems.push(problem));
    if (problems.length > 0) throw new Error(`not an OpenAPI document:\n${problems.join('\n')}`);
  }

  /** What a local reference leads to. */
  resolve(reference: string): Json {
    if (!reference.startsWith('#/')) throw new Error(`${reference} is no local reference`);
    let at: unknown = this.#document;
    for (const part of reference.slice(2).split('/')) at = isObject(at) ? at[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
    return objectAt(at, reference);
  }

  /** The schema of an operation's answer with this status; null: the answer has no content. Throws where the status is not described. */
  answerSchema(operation: Json, status: number): Json | null {
    const responses = objectAt(operation.responses, 'responses');
    const response = this.#followed(objectAt(responses[String(status)] ?? responses.default, `response ${status}`));
    if (response.content === undefined) return null;
    const [media] = Object.values(objectAt(response.content, 'content'));
    return objectAt(objectAt(media, 'media type').schema, 'schema');
  }

  #followed(object: Json): Json {
    return typeof object.$ref === 'string' ? this.resolve(object.$ref) : object;
  }

  #check(problem: (text: string) => void): readonly OpenApiOperation[] {
    const document = this.#document;
    if (!/^3\.1\.\d+$/.test(String(document.openapi))) problem(`openapi: ${String(document.openapi)}`);
    const info = objectAt(document.info, 'info');
    for (const name of ['title', 'version']) if (typeof info[name] !== 'string') problem(`info.${name} is missing`);
    for (const [kind, named] of Object.entries(objectAt(document.components, 'components')))
      for (const name of Object.keys(objectAt(named, kind))) if (!/^[a-zA-Z0-9._-]+$/.test(name)) problem(`component ${kind}.${name} has an invalid name`);
    this.#checkReferences(document, 'document', problem);
    for (const [name, schema] of Object.entries(objectAt(objectAt(document.components, 'components').schemas, 'schemas'))) this.#checkSchema(schema, name, problem);

    const operations: OpenApiOperation[] = [];
    for (const [path, item] of Object.entries(objectAt(document.paths, 'paths'))) {
      if (!path.startsWith('/')) problem(`path ${path} does not begin with /`);
      for (const [method, operation] of Object.entries(objectAt(item, path))) {
        if (!methods.includes(method)) problem(`${path} has the method ${method}`);
        const checked = objectAt(operation, `${method} ${path}`);
        this.#checkOperation(path, `${method} ${path}`, checked, problem);
        operations.push({ id: String(checked.operationId), path, method, operation: checked });
      }
    }
    if (new Set(operations.map(({ id }) => id)).size !== operations.length) problem('operation ids are not unique');
    return operations;
  }

  #checkReferences(value: unknown, at: string, problem: (text: string) => void): void {
    if (Array.isArray(value)) for (const [index, element] of value.entries()) this.#checkReferences(element, `${at}[${index}]`, problem);
    if (!isObject(value)) return;
    if (typeof value.$ref === 'string') {
      try {
        this.resolve(value.$ref);
      } catch {
        problem(`${at}: ${value.$ref} leads nowhere`);
      }
    }
    for (const [name, member] of Object.entries(value)) this.#checkReferences(member, `${at}.${name}`, problem);
  }

  #checkOperation(path: string, at: string, operation: Json, problem: (text: string) => void): void {
    if (typeof operation.operationId !== 'string' || operation.operationId === '') problem(`${at} has no operationId`);
    const parameters = ((operation.parameters ?? []) as readonly Json[]).map((parameter) => this.#followed(parameter));
    const wanted = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
    const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
    if (JSON.stringify([...wanted].sort()) !== JSON.stringify([...declared].sort())) problem(`${at}: the path has (${wanted.join()}), its parameters are (${declared.join()})`);
    for (const parameter of parameters) {
      const name = `${at} parameter ${String(parameter.name)}`;
      if (!['path', 'query', 'header'].includes(String(parameter.in))) problem(`${name} is in ${String(parameter.in)}`);
      if (parameter.in === 'path' && parameter.required !== true) problem(`${name} is not required`);
      if ((parameter.schema === undefined) === (parameter.content === undefined)) problem(`${name} must have a schema or content`);
      if (parameter.schema !== undefined) this.#checkSchema(parameter.schema, name, problem);
      if (parameter.content !== undefined) this.#checkContent(parameter.content, name, problem);
    }
    const keys = parameters.map(({ name, in: place }) => `${String(place)} ${String(name)}`);
    if (new Set(keys).size !== keys.length) problem(`${at} has a parameter twice`);
    if (operation.requestBody !== undefined) this.#checkContent(objectAt(operation.requestBody, at).content, `${at} body`, problem);
    const responses = Object.entries(objectAt(operation.responses, `${at} responses`));
    if (responses.length === 0) problem(`${at} has no responses`);
    for (const [status, given] of responses) {
      const response = this.#followed(objectAt(given, `${at} ${status}`));
      if (!/^([1-5]\d\d|default)$/.test(status)) problem(`${at}: ${status} is no status`);
      if (typeof response.description !== 'string') problem(`${at} ${status} has no description`);
      if (response.content !== undefined) this.#checkContent(response.content, `${at} ${status}`, problem);
    }
  }

  #checkContent(content: unknown, at: string, problem: (text: string) => void): void {
    const media = Object.values(objectAt(content, at));
    if (media.length === 0) problem(`${at} has no media type`);
    for (const one of media) this.#checkSchema(objectAt(one, at).schema, at, problem);
  }

  #checkSchema(given: unknown, at: string, problem: (text: string) => void): void {
    if (typeof given === 'boolean') return;
    const schema = objectAt(given, at);
    for (const word of Object.keys(schema)) if (!schemaWords.includes(word)) problem(`${at}: ${word} is no word of a schema`);
    if (schema.type !== undefined && !schemaTypes.includes(String(schema.type))) problem(`${at}: type ${String(schema.type)}`);
    for (const [name, property] of Object.entries((schema.properties ?? {}) as Json)) this.#checkSchema(property, `${at}.${name}`, problem);
    for (const name of (schema.required ?? []) as readonly string[])
      if ((schema.properties as Json | undefined)?.[name] === undefined) problem(`${at}: ${name} is required but no property`);
    for (const one of (schema.anyOf ?? []) as readonly unknown[]) this.#checkSchema(one, at, problem);
    if (schema.items !== undefined) this.#checkSchema(schema.items, `${at}[]`, problem);
    if (schema.additionalProperties !== undefined) this.#checkSchema(schema.additionalProperties, `${at}.*`, problem);
  }

  /** Where a value is not what its schema says; null: nowhere. */
  misfit(given: unknown, value: unknown, at = '$'): string | null {
    if (given === true) return null;
    if (given === false) return `${at}: nothing is allowed here`;
    const schema = this.#followed(given as Json);
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    if (schema.type !== undefined && schema.type !== type && !(schema.type === 'integer' && Number.isInteger(value)))
      return `${at}: ${type} where ${String(schema.type)} is expected`;
    if (Array.isArray(schema.enum) && !schema.enum.includes(value)) return `${at}: ${String(value)} is none of ${schema.enum.join()}`;
    if (typeof schema.pattern === 'string' && !new RegExp(schema.pattern, 'u').test(String(value))) return `${at}: ${String(value)} does not match ${schema.pattern}`;
    if (Array.isArray(schema.anyOf) && schema.anyOf.every((one) => this.misfit(one, value, at) !== null))
      return `${at}: ${JSON.stringify(value)} fits none of ${JSON.stringify(schema.anyOf)}`;
    if (Array.isArray(value))
      return value.map((element, index) => (schema.items === undefined ? null : this.misfit(schema.items, element, `${at}[${index}]`))).find((found) => found !== null) ?? null;
    if (!isObject(value)) return null;
    const missing = ((schema.required ?? []) as readonly string[]).find((name) => value[name] === undefined);
    if (missing !== undefined) return `${at}.${missing} is missing`;
    const count = Object.keys(value).length;
    if (count < Number(schema.minProperties ?? 0) || count > Number(schema.maxProperties ?? count)) return `${at}: ${count} members`;
    for (const [name, member] of Object.entries(value)) {
      const found = this.misfit((schema.properties as Json | undefined)?.[name] ?? schema.additionalProperties ?? true, member, `${at}.${name}`);
      if (found !== null) return found;
    }
    return null;
  }
}

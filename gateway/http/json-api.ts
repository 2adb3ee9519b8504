import type { DescField, DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import type { IncomingHttpHeaders } from 'node:http';
import { CALLER_KEY } from '../../core/request-record.ts';
import { timestampText } from '../../core/time-text.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import {
  type AggregateRequest,
  Change_Kind,
  type DataService,
  type DeleteRequest,
  type GetRequest,
  type MutateRequest,
  type StreamQueryRequest,
  type StreamQueryResponseSchema,
  type UpdateRequest,
  type WatchRequest,
  type WatchResponseSchema,
} from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { RpcContext, RpcImplementation } from '../../runtime/grpc-server.ts';
import { columnOf } from '../codec/columns.ts';
import { checkCaller, contentDigest } from '../codec/once.ts';
import type { TableHandle } from '../codec/table-handle.ts';
import type { Executor } from '../flow/executor.ts';
import type { CallObserver } from '../observed-call.ts';
import { bindParameters, bindRequest, type HttpParts, tableOf, tablesOf } from './bind-request.ts';
import type { HttpBinding } from '../../runtime/http/bindings.ts';
import type { BoundCall } from './routes.ts';
import { wholeRow, writeIfMatch } from '../conditional-write.ts';
import { isMatch, rowTag } from '../row-tag.ts';
import { quotedTag, tagCondition } from './etag.ts';
import { type HttpAnswer, HttpError, problemAnswer } from '../../runtime/http/http-error.ts';
import { fieldToJson, groupsToJson, messageToJson, type WriteRow } from './json/answer-json.ts';
import type { JsonNode } from '../../runtime/json/json-node.ts';
import type { Shapes } from './json/request-json.ts';
import { keyToPath, rowToJson } from './json/row-json.ts';
import { checkBodyHeaders, idempotencyKey, refuseUnservedHeaders } from './request-headers.ts';

export interface JsonApiOptions {
  readonly service: RpcImplementation<typeof DataService>;
  readonly executor: Executor;
  readonly observer: CallObserver;
}

const readMethods: ReadonlySet<string> = new Set(['Get', 'BatchGet', 'Query', 'StreamQuery', 'Aggregate']);

/** What a request says of itself before its body is read. */
export interface HttpHead {
  readonly call: BoundCall;
  /** Behind the path's "?", as it was sent. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly signal: AbortSignal;
  readonly deadline: number;
}

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;
type AnyHandler = (request: AnyMessage, context: RpcContext) => Promise<AnyInit>;

/** The data API as JSON over HTTP: turns a request into the message of the method that its path is bound to, calls the same service as gRPC does, and writes the answer in the columns of the table. */
export class JsonApi {
  readonly #options: JsonApiOptions;

  constructor(options: JsonApiOptions) {
    this.#options = options;
  }

  /** Answers one call. `readBody` is called at most once. Failures are SwitchyardErrors, measured like those of the service. */
  async answer(head: HttpHead, readBody: () => Promise<JsonNode>): Promise<HttpAnswer> {
    const { call } = head;
    let unfit: unknown;
    const context: RpcContext = {
      ...contextOf(head),
      onUnfit: (error) => {
        unfit = error;
      },
    };
    let parts: HttpParts;
    let shapes: Shapes;
    let request: AnyMessage;
    try {
      refuseUnservedHeaders(head.headers, call);
      checkBodyHeaders(head.headers, call);
      const parameters = bindParameters(call, head.query);
      parts = { call, body: call.binding.body === null ? null : await readBody(), parameters };
      shapes = await this.#shapes(parts, context);
      [request, shapes] = await this.#bind(head, parts, shapes, context);
    } catch (error) {
      return await this.#options.observer.observe(call.binding.method.name, call.variables.get('table') ?? '', context, () => Promise.reject(error));
    }
    try {
      return await this.#run(head, request, shapes, context);
    } catch (error) {
      // The route may lead to another shape than the one that the values were read by.
      if (!hasReason(error, 'VALUE_INVALID', 'COLUMN_UNKNOWN')) throw error;
      const fresh = await this.#freshShapes(shapes, context);
      // What a store says of a write may come after the write: only the next call is read by the fresh shapes then.
      if (fresh === null || (error !== unfit && !readMethods.has(call.binding.method.name))) throw error;
      return await this.#run(head, requestOf(head, parts, fresh), fresh, context);
    }
  }

  async #bind(head: HttpHead, parts: HttpParts, shapes: Shapes, context: RpcContext): Promise<[AnyMessage, Shapes]> {
    try {
      return [requestOf(head, parts, shapes), shapes];
    } catch (error) {
      const fresh = hasReason(error, 'VALUE_INVALID', 'COLUMN_UNKNOWN', 'ARGUMENT_INVALID') ? await this.#freshShapes(shapes, context) : null;
      if (fresh === null) throw error;
      return [requestOf(head, parts, fresh), fresh];
    }
  }

  async #shapes(parts: HttpParts, context: RpcContext): Promise<Shapes> {
    const shapes = new Map<string, TableHandle>();
    if (parts.call.binding.method.name === 'DescribeTable') return shapes;
    for (const name of tablesOf(parts)) if (name !== '') shapes.set(name, await this.#options.executor.shape(context, name));
    return shapes;
  }

  /** The shapes as the stores tell them now; null where they are the same. */
  async #freshShapes(known: Shapes, context: RpcContext): Promise<Shapes | null> {
    const fresh = new Map<string, TableHandle>();
    for (const name of known.keys()) fresh.set(name, await this.#options.executor.describe(context, name));
    return [...fresh].some(([name, handle]) => known.get(name) !== handle) ? fresh : null;
  }

  async #run(head: HttpHead, request: AnyMessage, shapes: Shapes, context: RpcContext): Promise<HttpAnswer> {
    const { binding } = head.call;
    const table = tableOf(head.call);
    const handle = (table === null ? undefined : shapes.get(table)) ?? null;
    switch (binding.method.name) {
      case 'StreamQuery':
        return await this.#stream(request as StreamQueryRequest, handle, context);
      case 'Watch':
        return await this.#watch(head, request as WatchRequest, handle, context);
      case 'Get':
        if (handle !== null) return await this.#get(head, request as GetRequest, handle, context);
        break;
      case 'Insert':
      case 'Upsert':
      case 'Update':
        if (handle !== null) return this.#written(head, request, handle, await this.#write(head, request, handle, context));
        break;
      case 'Delete':
        if (handle !== null) return json(200, messageToJson(binding.method.output, await this.#write(head, request, handle, context), rowWriter(handle)));
        break;
      case 'Aggregate':
        if (handle !== null) return json(200, groupsToJson(await this.#options.service.aggregate(request as AggregateRequest, context), handle, request as AggregateRequest));
        break;
    }
    const answer = await this.#call(binding.method.localName, request, context);
    const writeRow: WriteRow = binding.method.name === 'Mutate' ? mutationWriter(request as MutateRequest, shapes) : rowWriter(handle);
    return json(200, answerBody(binding, answer, writeRow));
  }

  async #get(head: HttpHead, request: GetRequest, handle: TableHandle, context: RpcContext): Promise<HttpAnswer> {
    const { columns } = request;
    for (const name of columns) columnOf(handle, name, 'columns');
    const condition = tagCondition('If-None-Match', head.headers['if-none-match'], true);
    let row: WireRow;
    try {
      // The tag is of the whole row, whatever part of it is asked for.
      row = await this.#read({ ...request, columns: [] }, context);
    } catch (error) {
      // A row without a tag, for not all of it can be read.
      if (columns.length === 0 || condition !== null || !hasReason(error, 'VALUE_UNSUPPORTED')) throw error;
      return json(200, rowToJson(await this.#read(request, context), handle, new Set(columns)));
    }
    const tag = rowTag(row);
    const headers = { etag: quotedTag(tag) };
    if (condition !== null && isMatch(condition, tag)) return { status: 304, headers, body: null };
    return json(200, rowToJson(row, handle, columns.length === 0 ? undefined : new Set(columns)), headers);
  }

  /** A line for each row, and behind each piece one that tells where to go on. What fails before the first piece fails as any other call does. */
  async #stream(request: StreamQueryRequest, handle: TableHandle | null, context: RpcContext): Promise<HttpAnswer> {
    const pieces = this.#options.service.streamQuery(request, context)[Symbol.asyncIterator]();
    const first = await pieces.next();
    return { status: 200, headers: { 'content-type': 'application/x-ndjson' }, body: rowLines(first, pieces, handle) };
  }

  /** Server-sent events: what breaks is taken up again by the browser itself, with the last id that it has seen. */
  async #watch(head: HttpHead, request: WatchRequest, handle: TableHandle | null, context: RpcContext): Promise<HttpAnswer> {
    const last = head.headers['last-event-id'];
    const answers = this.#options.service.watch(typeof last === 'string' && last !== '' ? { ...request, token: last } : request, context)[Symbol.asyncIterator]();
    const first = await answers.next();
    return { status: 200, headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }, body: changeEvents(first, answers, handle) };
  }

  async #read(request: GetRequest, context: RpcContext): Promise<WireRow> {
    const { row } = await this.#options.service.get(request, context);
    if (row === undefined) throw new Error('a row that was found is missing in its answer');
    return row as WireRow;
  }

  async #write(head: HttpHead, request: AnyMessage, handle: TableHandle, context: RpcContext): Promise<AnyInit> {
    const { localName, input } = head.call.binding.method;
    const condition = tagCondition('If-Match', head.headers['if-match'], false);
    if (condition === null) return await this.#call(localName, request, context);
    const conditional = request as UpdateRequest | DeleteRequest;
    const noMatch = (why: string): HttpError => new HttpError(412, `If-Match: ${why}; nothing was written`, 'PRECONDITION_FAILED');
    const access = { read: () => this.#read(wholeRow(conditional), context), primaryKey: handle.schema.primaryKey, noMatch };
    // A repetition finds another row, so that another condition is put into its message: its content is what the caller sent.
    const known = conditional.requestId === '' ? context : { ...context, contentDigest: contentDigest(input, request, `If-Match: ${head.headers['if-match']}`) };
    return await writeIfMatch(condition, conditional, access, (one) => this.#call(localName, one, known));
  }

  /** What a write returned: the row, its tag where it is whole, and where to find a new one. */
  #written(head: HttpHead, request: AnyMessage, handle: TableHandle, answer: AnyInit): HttpAnswer {
    const { row } = answer as { readonly row?: WireRow };
    if (row === undefined) return json(200, '{}');
    const headers: Record<string, string> = {};
    if (handle.columnNames.every((name) => Object.hasOwn(row.cells, name))) headers.etag = quotedTag(rowTag(row));
    if (head.call.binding.method.name !== 'Insert') return json(200, rowToJson(row, handle), headers);
    const sent = (request as { readonly row?: WireRow }).row;
    const key = keyToPath({ ...row, cells: { ...sent?.cells, ...row.cells } }, handle);
    if (key !== null) headers.location = `/v1/tables/${head.call.variables.get('table') ?? ''}/rows/${key}`;
    return json(201, rowToJson(row, handle), headers);
  }

  #call(localName: string, request: AnyMessage, context: RpcContext): Promise<AnyInit> {
    const handler = (this.#options.service as unknown as Readonly<Record<string, AnyHandler>>)[localName];
    if (handler === undefined) throw new Error(`the service has no method ${localName}`);
    return handler.call(this.#options.service, request, context);
  }
}

/** The method's request with the id that its caller gave in a header. */
function requestOf(head: HttpHead, parts: HttpParts, shapes: Shapes): AnyMessage {
  const request = bindRequest(parts, shapes);
  const key = idempotencyKey(head.headers);
  // A read needs no id to be repeated.
  if (key === '' || !('requestId' in request)) return request;
  if (request.requestId !== '' && request.requestId !== key) throw new SwitchyardError('ARGUMENT_INVALID', 'requestId: differs from Idempotency-Key; give one of them');
  return Object.assign(request, { requestId: key });
}

/** The call as the service knows it; of the headers only the trace's parent and the caller's name are passed on. */
/** Values that metadata may have. */
const carriable = /^[ -~]*$/;

function contextOf({ headers, signal, deadline }: HttpHead): RpcContext {
  const metadata = new Metadata();
  for (const name of ['traceparent', CALLER_KEY]) {
    const value = headers[name];
    if (typeof value !== 'string') continue;
    if (carriable.test(value)) metadata.set(name, value);
    else if (name === CALLER_KEY) checkCaller(value); // a trace that cannot be continued is begun anew
  }
  return { signal, deadline, metadata, protocol: 'http' };
}

const json = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body,
});

type Piece = MessageInitShape<typeof StreamQueryResponseSchema>;

/** JSON in one line: a json column's text is kept as it was given, and between its tokens there may be line breaks. Within a string there is none as it is. */
const inLine = (json: string): string => json.replaceAll(/[\r\n]/g, ' ');

/** The stream's lines. One that breaks ends with a line that says why: the status is sent already. */
async function* rowLines(first: IteratorResult<Piece>, pieces: AsyncIterator<Piece>, handle: TableHandle | null): AsyncGenerator<string> {
  try {
    for (let piece = first; piece.done !== true; piece = await pieces.next()) {
      const { rows = [], nextPageToken = '' } = piece.value;
      yield `${rows.map((row) => `{"row":${inLine(rowToJson(row as WireRow, handle))}}\n`).join('')}{"nextPageToken":${JSON.stringify(nextPageToken)}}\n`;
    }
  } catch (error) {
    yield `{"error":${problemAnswer(error).body}}\n`;
  } finally {
    await pieces.return?.();
  }
}

type Told = MessageInitShape<typeof WatchResponseSchema>;
const kindNames: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(Change_Kind).map(([name, kind]) => [kind, name]));

/** An event for each change; the last of an answer has the token behind all of them as its id. Answers without changes keep the connection alive, and its id young. */
async function* changeEvents(first: IteratorResult<Told>, answers: AsyncIterator<Told>, handle: TableHandle | null): AsyncGenerator<string> {
  const row = (found: unknown): string => (found === undefined ? 'null' : inLine(rowToJson(found as WireRow, handle)));
  try {
    for (let answer = first; answer.done !== true; answer = await answers.next()) {
      const { changes = [], token = '' } = answer.value;
      const events = changes.map(({ kind = 0, before, after, changedAtMicros = 0n }, index) => {
        const id = index === changes.length - 1 ? `id: ${token}\n` : '';
        return `${id}event: change\ndata: {"kind":"${kindNames[kind]}","before":${row(before)},"after":${row(after)},"changedAt":"${timestampText(changedAtMicros, true)}"}\n\n`;
      });
      yield events.length > 0 ? events.join('') : `id: ${token}\nevent: position\ndata: {}\n\n`;
    }
  } catch (error) {
    // Not "error": a browser calls the loss of a connection that.
    yield `event: failure\ndata: ${problemAnswer(error).body}\n\n`;
  } finally {
    await answers.return?.();
  }
}

const rowWriter =
  (handle: TableHandle | null): WriteRow =>
  (row) =>
    rowToJson(row, handle);

/** Rows of a Mutate are of the table that their mutation named. */
const mutationWriter =
  ({ mutations }: MutateRequest, shapes: Shapes): WriteRow =>
  (row, index) =>
    rowToJson(row, shapes.get(mutations[index]?.kind.value?.table ?? '') ?? null);

function answerBody({ method, responseBody }: HttpBinding, answer: AnyInit, writeRow: WriteRow): string {
  if (responseBody === null) return messageToJson(method.output, answer, writeRow);
  return fieldToJson(responseBody, memberOf(answer, responseBody), writeRow);
}

const memberOf = (message: AnyInit, field: DescField): unknown => (message as Readonly<Record<string, unknown>>)[field.localName];

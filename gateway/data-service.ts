import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { DataService, type DeleteRequest, type GetRequest, type UpdateRequest } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { WriteResult } from '../core/operation.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { RpcContext, RpcImplementation } from '../runtime/grpc-server.ts';
import { encodeSchema, rowEncoder } from './codec/encode.ts';
import { contentDigest } from './codec/once.ts';
import { encodePage } from './codec/page.ts';
import { insertsOf, routed, writesOf } from './codec/prepare-writes.ts';
import type { TableHandle } from './codec/table-handle.ts';
import { decodeAggregate, encodeGroups } from './codec/validate-aggregate.ts';
import { checkKeys, checkRead, decodeBatchGet, decodeGet, decodeQuery, pageSizeOf, rowNotFound } from './codec/validate-reads.ts';
import { checkWrite, type WriteKind, type WriteRequest } from './codec/validate-writes.ts';
import { noTag, wholeRow, writeIfMatch } from './conditional-write.ts';
import type { Call } from './flow/call.ts';
import type { Executor } from './flow/executor.ts';
import type { Transactions } from './flow/open-transaction.ts';
import { listTablesPage, type TableList } from './list-tables.ts';
import type { CallObserver } from './observed-call.ts';
import { rowTag } from './row-tag.ts';
import { streamRows } from './stream-rows.ts';
import { transact } from './transact.ts';
import { type WatchParts, watchTable } from './watch.ts';
import { runWrites, type WriteMethod, type WriteToDo } from './writes.ts';

export interface DataServiceOptions {
  readonly executor: Executor;
  readonly transactions: Transactions;
  readonly watching: WatchParts;
  /** Aborts, with the reason that callers are told, when the gateway begins to stop: streams without an end of their own go on elsewhere. */
  readonly stopping: AbortSignal;
  readonly observer: CallObserver;
  readonly tables: TableList;
}

/** The data API over the executor: every method checks its request, turns it into core operations on the shape that the route leads to, and its results into messages. */
export function dataService({ executor, transactions, watching, observer, tables, stopping }: DataServiceOptions): RpcImplementation<typeof DataService> {
  const writeOne = <I extends DescMessage, O extends DescMessage>(
    method: WriteMethod<I, O>,
    kind: WriteKind,
    request: WriteToDo<I, O>['request'] & WriteRequest,
    context: RpcContext,
    answer: (result: WriteResult, handle: TableHandle) => MessageInitShape<O>,
  ): Promise<MessageInitShape<O>> =>
    observer.observe(methodName(kind), request.table, context, async (call) => {
      checkWrite(request);
      const only = (results: readonly WriteResult[], handles: ReadonlyMap<string, TableHandle>) => answer(at(results, 0), routed(handles, request.table));
      return await runWrites(executor, call, {
        method,
        form: kind,
        request,
        writes: [{ name: request.table, kind, request, at: '' }],
        contentDigest: context.contentDigest,
        answer: only,
      });
    });

  const readRow = (call: Call, request: GetRequest) =>
    executor.read(call, request.table, async (store, handle) => {
      const found = await store.get(handle.schema, decodeGet(handle, request), call.signal);
      if (found === null) throw rowNotFound(request.table);
      return rowEncoder(handle)(found);
    });

  /** The write, where the row has the tag that the request names. */
  const underTag = async <R extends UpdateRequest | DeleteRequest, A>(
    { input }: { readonly input: DescMessage },
    request: R,
    context: RpcContext,
    write: (request: R, context: RpcContext) => Promise<A>,
  ): Promise<A> => {
    const { etag, table } = request;
    if (etag === '') return await write(request, context);
    checkWrite(request);
    const { primaryKey } = (await executor.shape(context, table)).schema;
    const { checkAnswer: _, ...unanswered } = context;
    const read = () => observer.observe('Get', table, unanswered, (call) => readRow(call, wholeRow(request)));
    const noMatch = (why: string) => noTag(table, why);
    // A repetition finds another row, so that another condition is put into its message: its content is what the caller sent.
    const known = request.requestId === '' || context.contentDigest !== undefined ? context : { ...context, contentDigest: contentDigest(input, request) };
    return await writeIfMatch(new Set([etag]), { ...request, etag: '' }, { read, primaryKey, noMatch }, (one) => write(one, known));
  };

  const untilStopping = (call: Call): Call => ({ ...call, signal: AbortSignal.any([call.signal, stopping]) });

  return {
    get: (request, context) =>
      observer.observe('Get', request.table, context, async (call) => {
        checkRead(request);
        const row = await readRow(call, request);
        return request.withEtag ? { row, etag: rowTag(row) } : { row };
      }),
    batchGet: (request, context) =>
      observer.observe('BatchGet', request.table, context, async (call) => {
        checkRead(request);
        checkKeys(request);
        return await executor.read(call, request.table, async (store, handle) => {
          const rows = await store.batchGet(handle.schema, decodeBatchGet(handle, request), call.signal);
          const encode = rowEncoder(handle);
          return { entries: rows.map((found) => (found === null ? {} : { row: encode(found) })) };
        });
      }),
    query: (request, context) =>
      observer.observe('Query', request.table, context, async (call) => {
        checkRead(request);
        return await executor.read(call, request.table, async (store, handle, ref) => {
          const decoded = decodeQuery(handle, ref.table, request);
          return encodePage(handle, decoded, await store.query(handle.schema, decoded.operation, call.signal));
        });
      }),
    streamQuery: (request, context) => observer.observeStream('StreamQuery', request.table, context, (call) => streamRows(executor, untilStopping(call), request)),
    aggregate: (request, context) =>
      observer.observe('Aggregate', request.table, context, async (call) => {
        checkRead(request);
        return await executor.read(call, request.table, async (store, handle) => {
          const operation = decodeAggregate(handle, request);
          return encodeGroups(handle, operation, await store.aggregate(handle.schema, operation, call.signal));
        });
      }),
    insert: (request, context) => writeOne(DataService.method.insert, 'insert', request, context, rowAnswer),
    insertMany: (request, context) =>
      observer.observe('InsertMany', request.table, context, async (call) => {
        const writes = insertsOf(request);
        const answer = (results: readonly WriteResult[], handles: ReadonlyMap<string, TableHandle>) => {
          const encode = rowEncoder(routed(handles, request.table));
          return { rows: results.flatMap(({ row }) => (row === null ? [] : [encode(row)])) };
        };
        return await runWrites(executor, call, { method: DataService.method.insertMany, form: 'insertMany', request, writes, contentDigest: context.contentDigest, answer });
      }),
    upsert: (request, context) => writeOne(DataService.method.upsert, 'upsert', request, context, rowAnswer),
    update: (request, context) => underTag(DataService.method.update, request, context, (one, of) => writeOne(DataService.method.update, 'update', one, of, rowAnswer)),
    delete: (request, context) =>
      underTag(DataService.method.delete, request, context, (one, of) => writeOne(DataService.method.delete, 'delete', one, of, ({ found }) => ({ deleted: found }))),
    mutate: (request, context) =>
      observer.observe('Mutate', request.mutations[0]?.kind.value?.table ?? '', context, async (call) => {
        const writes = writesOf(request);
        const answer = (results: readonly WriteResult[], handles: ReadonlyMap<string, TableHandle>) => ({
          results: writes.map(({ name, kind }, index) => {
            const result = at(results, index);
            return { ...rowAnswer(result, routed(handles, name)), deleted: kind === 'delete' && result.found };
          }),
        });
        return await runWrites(executor, call, { method: DataService.method.mutate, form: 'mutate', request, writes, contentDigest: context.contentDigest, answer });
      }),
    transact: (requests, context) => observer.observeStream('Transact', '', context, (call) => transact(transactions, call, requests)),
    watch: (request, context) => observer.observeStream('Watch', request.table, context, (call) => watchTable(watching, untilStopping(call), request)),
    describeTable: (request, context) =>
      observer.observe('DescribeTable', request.table, context, async (call) => {
        if (request.table === '') throw new SwitchyardError('ARGUMENT_INVALID', 'table: missing; give "orders" or "keyspace.orders"');
        return { schema: encodeSchema((await executor.describe(call, request.table)).schema, request.table) };
      }),
    listTables: (request, context) =>
      observer.observe('ListTables', '', context, async (call) => listTablesPage(await tables.names(call.signal), pageSizeOf(request.pageSize), request.pageToken)),
  };
}

const rowAnswer = ({ row }: WriteResult, handle: TableHandle) => (row === null ? {} : { row: rowEncoder(handle)(row) });

const methodName = (kind: WriteKind): string => DataService.method[kind].name;

function at(results: readonly WriteResult[], index: number): WriteResult {
  const result = results[index];
  if (result === undefined) throw new Error('the store answered with fewer results than there were writes');
  return result;
}

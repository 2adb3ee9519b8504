import type { DataService } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row } from '../core/operation.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { RpcContext, RpcImplementation } from '../runtime/grpc-server.ts';
import { encodeSchema, rowEncoder } from './codec/encode.ts';
import { encodePageToken } from './codec/page-token.ts';
import { type NamedWrite, preparerOf, writesOf } from './codec/prepare-writes.ts';
import type { TableHandle } from './codec/table-handle.ts';
import { checkRead, decodeBatchGet, decodeGet, decodeQuery, mostKeys, pageSizeOf } from './codec/validate-reads.ts';
import { checkWrite, type WriteKind, type WriteRequest } from './codec/validate-writes.ts';
import type { Call } from './flow/call.ts';
import type { Executor, WriteAnswer } from './flow/executor.ts';
import { listTablesPage, type TableList } from './list-tables.ts';
import type { CallObserver } from './observed-call.ts';

export interface DataServiceOptions {
  readonly executor: Executor;
  readonly observer: CallObserver;
  readonly tables: TableList;
}

/** The data API over the executor: every method checks its request, turns it into core operations on the shape that the route leads to, and its results into messages. */
export function dataService({ executor, observer, tables }: DataServiceOptions): RpcImplementation<typeof DataService> {
  const write = async (call: Call, writes: readonly NamedWrite[], validateOnly: boolean): Promise<WriteAnswer | null> => {
    const names = [...new Set(writes.map(({ name }) => name))];
    const prepare = preparerOf(writes);
    if (!validateOnly) return await executor.write(call, names, prepare);
    await executor.validate(call, names, prepare);
    return null;
  };
  const writeOne = (method: string, kind: WriteKind, request: WriteRequest, context: RpcContext): Promise<OneAnswer | null> =>
    observer.observe(method, request.table, context, async (call) => {
      checkWrite(request);
      const answer = await write(call, [{ name: request.table, kind, request, at: '' }], request.validateOnly);
      const result = answer?.results[0];
      const handle = answer?.handles.get(request.table);
      if (result === undefined || handle === undefined) return null;
      return { row: encodeRow(handle, result.row), found: result.found };
    });
  const row = (answer: OneAnswer | null) => (answer?.row === undefined ? {} : { row: answer.row });

  return {
    get: (request, context) =>
      observer.observe('Get', request.table, context, async (call) => {
        checkRead(request);
        return await executor.read(call, request.table, async (store, handle) => {
          const operation = decodeGet(handle, request);
          const found = await store.get(handle.schema, operation, call.signal);
          if (found === null) throw rowNotFound(request.table);
          return { row: rowEncoder(handle)(found) };
        });
      }),
    batchGet: (request, context) =>
      observer.observe('BatchGet', request.table, context, async (call) => {
        checkRead(request);
        const count = request.keys.length;
        if (count === 0 || count > mostKeys) throw new SwitchyardError('ARGUMENT_INVALID', `keys: got ${count}; must be 1 to ${mostKeys}`);
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
          const { operation, columns, digest } = decodeQuery(handle, ref.table, request);
          const rows = await store.query(handle.schema, operation, call.signal);
          const page = rows.slice(0, operation.limit - 1);
          const last = rows.length > page.length ? page[page.length - 1] : undefined;
          const after = last === undefined ? null : operation.orderBy.map((term) => last.cells[last.columns.indexOf(term.column)] ?? null);
          return { rows: page.map(rowEncoder(handle, columns)), nextPageToken: after === null ? '' : encodePageToken(handle, operation.orderBy, digest, after) };
        });
      }),
    insert: async (request, context) => row(await writeOne('Insert', 'insert', request, context)),
    upsert: async (request, context) => row(await writeOne('Upsert', 'upsert', request, context)),
    update: async (request, context) => row(await writeOne('Update', 'update', request, context)),
    delete: async (request, context) => ({ deleted: (await writeOne('Delete', 'delete', request, context))?.found ?? false }),
    mutate: (request, context) =>
      observer.observe('Mutate', request.mutations[0]?.kind.value?.table ?? '', context, async (call) => {
        const writes = writesOf(request);
        const answer = await write(call, writes, request.validateOnly);
        if (answer === null) return {};
        const results = writes.map(({ name, kind }, index) => {
          const result = answer.results[index];
          const handle = answer.handles.get(name);
          if (result === undefined || handle === undefined) throw new Error('the store answered with fewer results than there were writes');
          const encoded = encodeRow(handle, result.row);
          return { deleted: kind === 'delete' && result.found, ...(encoded === undefined ? {} : { row: encoded }) };
        });
        return { results };
      }),
    describeTable: (request, context) =>
      observer.observe('DescribeTable', request.table, context, async (call) => {
        if (request.table === '') throw new SwitchyardError('ARGUMENT_INVALID', 'table: missing; give "orders" or "keyspace.orders"');
        return { schema: encodeSchema((await executor.describe(call, request.table)).schema, request.table) };
      }),
    listTables: (request, context) =>
      observer.observe('ListTables', '', context, async (call) => listTablesPage(await tables.names(call.signal), pageSizeOf(request.pageSize), request.pageToken)),
  };
}

interface OneAnswer {
  readonly row: ReturnType<ReturnType<typeof rowEncoder>> | undefined;
  readonly found: boolean;
}

const encodeRow = (handle: TableHandle, row: Row | null) => (row === null ? undefined : rowEncoder(handle)(row));

const rowNotFound = (table: string): SwitchyardError => new SwitchyardError('ROW_NOT_FOUND', `table "${table}" has no row with that primary key`, { metadata: { table } });

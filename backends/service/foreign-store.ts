import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { FenceRow } from '../../core/fence.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import type { OnceAnswer } from '../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { EventLine, TableEvents } from '../../core/table-event.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { DataService, type DescribeTableResponse } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { optionalFilter } from '../../runtime/wire/filter-message.ts';
import { columnFromMessage } from '../../runtime/wire/table-schema.ts';
import { schemaOf } from '../../runtime/wire/write-message.ts';
import type { DataStore, DataTransaction, PoolStatus } from '../backend.ts';
import { behindFilter } from './behind-filter.ts';
import { read } from './failures.ts';
import { mutationOf, resultOf } from './foreign-writes.ts';
import { groupsFromMessage } from './requests.ts';
import { soundSchema } from './sound-schema.ts';
import type { Effect, Transport } from './transport.ts';
import { rowMessage, rowOf } from './wire-rows.ts';

export interface ForeignStoreOptions {
  /** The keyspace here, for messages. */
  readonly keyspace: string;
  /** What the service calls it; null: its tables are named without one. */
  readonly remoteKeyspace: string | null;
  readonly transport: Transport;
}

const data = DataService.method;
/** Of a page, and of the keys of a BatchGet: what the API allows. */
const mostRows = 1_000;
/** No service has more tables. */
const mostTables = 100_000;

/**
 * The gateway's store where a foreign service implements the data API. It reads and writes, and that is all: nothing is known of a fence, of records of requests, of events; so no table moves out of it or into it, and no write is promised to be
 * done once.
 */
export class ForeignDataStore implements DataStore {
  readonly #options: ForeignStoreOptions;

  constructor(options: ForeignStoreOptions) {
    this.#options = options;
  }

  async checkLogin(signal: AbortSignal): Promise<void> {
    await this.#ask(data.listTables, { pageSize: 1 }, signal);
  }

  async listTables(signal: AbortSignal): Promise<readonly string[]> {
    const names = new Set<string>();
    for (let pageToken = ''; names.size <= mostTables; ) {
      const page = await this.#ask(data.listTables, { pageSize: mostRows, pageToken }, signal);
      const before = names.size;
      for (const name of page.tables) names.add(name);
      pageToken = page.nextPageToken;
      if (pageToken === '') return this.#bareNames([...names]);
      // It would go on for ever.
      if (names.size === before) throw this.#faulty('lists tables in pages that bring none');
    }
    throw this.#faulty(`lists more than ${mostTables} tables`);
  }

  async describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    let answer: DescribeTableResponse;
    try {
      answer = await this.#ask(data.describeTable, { table: this.#named(table) }, signal);
    } catch (error) {
      if (hasReason(error, 'TABLE_UNKNOWN', 'ROW_NOT_FOUND')) return null;
      throw error;
    }
    const { schema } = answer;
    if (schema === undefined) return null;
    return soundSchema({
      name: table,
      columns: schema.columns.map((column) => columnFromMessage(table, column, { storedType: '', ownWay: '', numbered: false })),
      primaryKey: schema.primaryKey,
      uniqueKeys: schema.uniqueKeys.map(({ name, columns }) => ({ name, columns })),
      fingerprint: schema.fingerprint,
    });
  }

  async get(table: TableSchema, { key, columns }: GetOperation, signal: AbortSignal): Promise<Row | null> {
    try {
      const { row } = await this.#ask(data.get, { table: this.#named(table.name), key: rowMessage(table, table.primaryKey, key), columns: [...columns] }, signal);
      return this.#read(() => rowOf(table, columns, row));
    } catch (error) {
      if (hasReason(error, 'ROW_NOT_FOUND')) return null;
      throw error;
    }
  }

  async batchGet(table: TableSchema, { keys, columns }: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    const rows: (Row | null)[] = [];
    for (let at = 0; at < keys.length; at += mostRows) {
      const some = keys.slice(at, at + mostRows);
      const wanted = some.map((key) => rowMessage(table, table.primaryKey, key));
      const { entries } = await this.#ask(data.batchGet, { table: this.#named(table.name), keys: wanted, columns: [...columns] }, signal);
      if (entries.length !== some.length)
        throw new SwitchyardError('STORE_FAILED', `the service of keyspace "${this.#options.keyspace}" gave ${entries.length} entries for ${some.length} keys`);
      rows.push(...this.#read(() => entries.map(({ row }) => (row === undefined ? null : rowOf(table, columns, row)))));
    }
    return rows;
  }

  async query(table: TableSchema, { filter, orderBy, columns, limit, after }: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    const behind = after === null ? null : behindFilter(table, orderBy, after);
    const both = filter === null || behind === null ? (filter ?? behind) : ({ kind: 'and', filters: [filter, behind] } as const);
    const order = orderBy.map(({ column, descending }) => ({ column, descending }));
    const request = { table: this.#named(table.name), ...optionalFilter(table, both), orderBy: order, columns: [...columns], pageSize: Math.min(limit, mostRows) };
    const { rows, nextPageToken } = await this.#ask(data.query, request, signal);
    return this.#read(() => ({ rows: rows.map((row) => rowOf(table, columns, row)), more: nextPageToken !== '' }));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    const { filter, aggregations, groupBy } = operation;
    const asked = aggregations.map((each) => (each.kind === 'count' ? { kind: { case: 'count' as const, value: {} } } : { kind: { case: each.kind, value: each.column } }));
    const answer = await this.#ask(data.aggregate, { table: this.#named(table.name), ...optionalFilter(table, filter), aggregations: asked, groupBy: groupBy ?? '' }, signal);
    return this.#read(() => groupsFromMessage(table, operation, { $typeName: 'switchyard.store.v1.AggregateResponse', groups: answer.groups }));
  }

  async write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
  ): Promise<T> {
    if (operations.length === 0) return answer([]);
    const mutations = operations.map((operation) => mutationOf(schemaOf(schemas, operation.table), this.#named(operation.table), operation));
    const { results } = await this.#ask(data.mutate, { mutations }, signal, 'write');
    const done = this.#read(
      () =>
        operations.map((operation, index) => {
          const result = results[index];
          if (result === undefined) throw new Error(`${results.length} results for ${operations.length} writes`);
          return resultOf(schemaOf(schemas, operation.table), operation, result);
        }),
      true,
    );
    try {
      return answer(done);
    } catch (cause) {
      throw new SwitchyardError('STORE_FAILED', `the write was done; its answer cannot be shown: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }

  writeOnce(): Promise<OnceAnswer> {
    return Promise.reject(
      new SwitchyardError(
        'REQUEST_IDS_NOT_KEPT',
        `the store of keyspace "${this.#options.keyspace}" is behind a foreign service, which keeps no request ids that could be relied on; leave the request id out`,
      ),
    );
  }

  begin(): Promise<DataTransaction> {
    return Promise.reject(this.#hasNo('interactive transactions'));
  }

  eventLine(): Promise<EventLine> {
    return Promise.reject(this.#hasNo('changes for watchers'));
  }

  events(): Promise<TableEvents> {
    return Promise.reject(this.#hasNo('changes for watchers'));
  }

  async isWatched(): Promise<boolean> {
    return false;
  }

  /** A foreign service has none: its tables are where the rules say. */
  async fenceRows(): Promise<readonly FenceRow[]> {
    return [];
  }

  async warmUp(_tables: readonly TableSchema[], _connections: number, signal: AbortSignal): Promise<void> {
    await this.#options.transport.connect(signal);
  }

  poolStatus(): PoolStatus {
    return this.#options.transport.status();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.transport[Symbol.asyncDispose]();
  }

  #named(table: string): string {
    const { remoteKeyspace } = this.#options;
    return remoteKeyspace === null ? table : `${remoteKeyspace}.${table}`;
  }

  /** Of the tables that the service names, those of the keyspace, bare. */
  #bareNames(names: readonly string[]): readonly string[] {
    const { remoteKeyspace } = this.#options;
    const bare = names.flatMap((name) => {
      const dot = name.indexOf('.');
      if (dot < 0) return [name];
      return name.slice(0, dot) === remoteKeyspace ? [name.slice(dot + 1)] : [];
    });
    return [...new Set(bare)].sort();
  }

  #faulty(what: string): SwitchyardError {
    return new SwitchyardError('STORE_FAILED', `the service of keyspace "${this.#options.keyspace}" ${what}`);
  }

  #hasNo(what: string): SwitchyardError {
    return new SwitchyardError('NOT_SUPPORTED', `the store of keyspace "${this.#options.keyspace}" is behind a foreign service, of which no ${what} are known`);
  }

  #ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
    effect: Effect = 'read',
  ): Promise<MessageShape<O>> {
    return this.#options.transport.unary(method, request, { signal, effect });
  }

  #read<T>(make: () => T, done = false): T {
    return read(this.#options.keyspace, done, make);
  }
}

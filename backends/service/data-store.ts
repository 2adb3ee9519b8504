import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { FenceRow } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import type { AnswerBound, OnceAnswer, OnceRequest } from '../../core/request-record.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { EventLine, EventPlace, TableEvent, TableEvents } from '../../core/table-event.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { Change_Kind } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { DataStoreService, type TableEvent as WireEvent, type UnreadableEvent } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import { wireForms } from '../../runtime/wire/answer-bytes.ts';
import { namedFromMessage } from '../../runtime/wire/cells.ts';
import { fenceRowFromMessage } from '../../runtime/wire/fence-message.ts';
import { schemaFromMessage, shapeMessage } from '../../runtime/wire/table-schema.ts';
import type { DataStore, DataTransaction, PoolStatus, TransactionOptions } from '../backend.ts';
import { read } from './failures.ts';
import {
  aggregateMessage,
  batchGetMessage,
  getMessage,
  groupsFromMessage,
  pageFromMessage,
  queryMessage,
  rowFromMessage,
  rowsFromMessage,
  writesMessage,
  writtenFromMessage,
} from './requests.ts';
import { soundSchema } from './sound-schema.ts';
import { beginTransaction } from './transaction.ts';
import type { Effect, Transport } from './transport.ts';
import { wholeNumber } from './whole-number.ts';

export interface ServiceStoreOptions {
  /** The keyspace here, for messages. */
  readonly keyspace: string;
  /** What the service calls it. */
  readonly remoteKeyspace: string;
  readonly transport: Transport;
}

const store = DataStoreService.method;

/** The gateway's store where a gateway of another Switchyard passes its own on. Whatever that one's store does and refuses, this one does and refuses. */
export class ServiceDataStore implements DataStore {
  readonly #keyspace: string;
  readonly #remote: { readonly keyspace: string };
  readonly #transport: Transport;

  constructor({ keyspace, remoteKeyspace, transport }: ServiceStoreOptions) {
    this.#keyspace = keyspace;
    this.#remote = { keyspace: remoteKeyspace };
    this.#transport = transport;
  }

  async checkLogin(signal: AbortSignal): Promise<void> {
    await this.#ask(store.checkLogin, this.#remote, signal);
  }

  async listTables(signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#ask(store.listTables, this.#remote, signal)).tables;
  }

  async describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    const { schema } = await this.#ask(store.describeTable, { ...this.#remote, table }, signal);
    return schema === undefined ? null : soundSchema(schemaFromMessage(schema));
  }

  async get(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null> {
    const answer = await this.#ask(store.get, { ...this.#remote, ...getMessage(table, operation) }, signal);
    return this.#read(() => rowFromMessage(table, operation.columns, answer));
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    const answer = await this.#ask(store.batchGet, { ...this.#remote, ...batchGetMessage(table, operation) }, signal);
    return this.#read(() => rowsFromMessage(table, operation, answer));
  }

  async query(table: TableSchema, operation: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    const answer = await this.#ask(store.query, { ...this.#remote, ...queryMessage(table, operation) }, signal);
    return this.#read(() => pageFromMessage(table, operation.columns, answer));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    const answer = await this.#ask(store.aggregate, { ...this.#remote, ...aggregateMessage(table, operation) }, signal);
    return this.#read(() => groupsFromMessage(table, operation, answer));
  }

  async write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
    bound?: AnswerBound,
  ): Promise<T> {
    if (operations.length === 0) return answer([]);
    const held = bound === undefined ? {} : boundMessage(bound);
    const answered = await this.#ask(store.write, { ...this.#remote, ...writesMessage(schemas, operations), ...held }, signal, 'write');
    const results = this.#read(() => writtenFromMessage(schemas, operations, answered), true);
    try {
      return answer(results);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SwitchyardError('STORE_FAILED', `the write was done; its answer cannot be shown: ${why}`, { cause });
    }
  }

  async writeOnce(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    const { caller, id, table, digest, answer } = request;
    const message = { ...this.#remote, ...writesMessage(schemas, operations), caller, id, table, digest, ...boundMessage(answer) };
    const { result, repeated } = await this.#ask(store.writeOnce, message, signal, 'write');
    return { result, repeated };
  }

  begin(options: TransactionOptions, signal: AbortSignal): Promise<DataTransaction> {
    return beginTransaction(this.#transport, this.#keyspace, this.#remote.keyspace, options, signal);
  }

  async eventLine(signal: AbortSignal): Promise<EventLine> {
    const { complete, last } = await this.#ask(store.getEventLine, this.#remote, signal);
    return { complete, last };
  }

  async events(table: TableSchema, after: EventPlace, until: bigint, limit: number, maxBytes: number, signal: AbortSignal): Promise<TableEvents> {
    const place = { afterAttempt: BigInt(after.attempt), afterNumber: after.number, until };
    const { events, cut, unreadable } = await this.#ask(
      store.listEvents,
      { ...this.#remote, table: shapeMessage(table), ...place, limit, maxBytes: BigInt(Math.floor(maxBytes)) },
      signal,
    );
    return this.#read(() => ({
      events: events.map((event) => eventFromMessage(table, event)),
      cut,
      unreadable: unreadable === undefined ? null : unreadableFromMessage(unreadable),
    }));
  }

  async isWatched(table: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#ask(store.isWatched, { ...this.#remote, table }, signal)).watched;
  }

  async fenceRows(tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
    const { rows } = await this.#ask(store.fenceRows, { ...this.#remote, tables: [...tables] }, signal);
    return rows.map(fenceRowFromMessage);
  }

  async warmUp(tables: readonly TableSchema[], connections: number, signal: AbortSignal): Promise<void> {
    await this.#transport.connect(signal);
    await this.#ask(store.warmUp, { ...this.#remote, tables: tables.map(shapeMessage), connections }, signal);
  }

  poolStatus(): PoolStatus {
    return this.#transport.status();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
  }

  #ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
    effect: Effect = 'read',
  ): Promise<MessageShape<O>> {
    return this.#transport.unary(method, request, { signal, effect });
  }

  #read<T>(make: () => T, done = false): T {
    return read(this.#keyspace, done, make);
  }
}

const boundMessage = ({ form, maxBytes }: AnswerBound) => ({ answerForm: wireForms[form], maxAnswerBytes: BigInt(maxBytes) });

const eventKinds: ReadonlyMap<Change_Kind, TableEvent['kind']> = new Map([
  [Change_Kind.INSERT, 'insert'],
  [Change_Kind.UPDATE, 'update'],
  [Change_Kind.DELETE, 'delete'],
  [Change_Kind.TRUNCATE, 'truncate'],
]);

function eventFromMessage(table: TableSchema, event: WireEvent): TableEvent {
  const kind = eventKinds.get(event.kind);
  if (kind === undefined) throw new Error(`a change of kind ${event.kind}`);
  const row = (message: WireEvent['before']): Row | null => (message === undefined ? null : namedFromMessage(table, message, table.name));
  return { attempt: attempt(wholeNumber(event.attempt)), number: event.number, kind, before: row(event.before), after: row(event.after), changedAtMicros: event.changedAtMicros };
}

const unreadableFromMessage = ({ attempt: made, number, message, metadata }: UnreadableEvent): NonNullable<TableEvents['unreadable']> => ({
  attempt: attempt(wholeNumber(made)),
  number,
  error: new SwitchyardError('VALUE_UNSUPPORTED', message, { metadata }),
});

import { randomUUID } from 'node:crypto';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { type Change, Change_Kind } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { DataClient } from './gateways.ts';
import { Gateways, type GatewaysOptions } from './gateways.ts';
import { pause } from './pause.ts';
import type { RpcCallOptions } from './rpc-client.ts';
import { type CallOptions, type Door, type QueryOptions, rowsRequest, TableCalls, type WriteCallOptions } from './table.ts';
import type { ColumnName, RowOf, TableType } from './table-type.ts';
import { type Transaction, transact, type TransactOptions } from './transact.ts';
import { programRow } from './values.ts';

export interface DatabaseOptions extends GatewaysOptions {
  /**
   * Whether every write carries a request id of its own, so that it is repeated also where nobody knows whether it was done, and done once all the same. Default true; it costs a store one more round trip. False: such a write rejects with
   * OUTCOME_UNKNOWN or PEER_UNREACHABLE.
   */
  readonly requestIds?: boolean;
}

/** Tables by the names that a program has for them. */
export type Tables = Readonly<Record<string, TableType>>;

export interface StreamOptions<T extends TableType, K> extends QueryOptions<T, K> {
  /** Rows in all; left out: as many as there are. */
  readonly limit?: number;
}

/** A table outside of transactions. */
export class Table<T extends TableType> extends TableCalls<T> {
  readonly #gateways: Gateways;
  readonly #type: T;

  constructor(gateways: Gateways, door: Door, type: T) {
    super(door, type);
    this.#gateways = gateways;
    this.#type = type;
  }

  /** Rows as many as there are, no faster than they are taken. A stream that breaks for a reason that a repetition mends goes on behind the last row. */
  async *stream<K extends ColumnName<T> = ColumnName<T>>(options: StreamOptions<T, K> = {}): AsyncGenerator<RowOf<T, K>, void, undefined> {
    const request = rowsRequest(this.#type, options);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let pageToken = '';
    for (let failures = 0; left > 0; ) {
      const { client, options: own } = this.#gateways.pick(options.signal);
      const limit = left === Number.POSITIVE_INFINITY ? 0n : BigInt(left);
      try {
        for await (const { rows, nextPageToken } of client.streamQuery({ ...request, limit, pageToken }, own)) {
          failures = 0;
          for (const row of rows) yield programRow(this.#type, row) as RowOf<T, K>;
          left -= rows.length;
          if (nextPageToken === '') return;
          pageToken = nextPageToken;
        }
        return;
      } catch (error) {
        failures += 1;
        await this.#beforeRetry(client, error, failures, options.signal);
      }
    }
  }

  /** Every change of the table in order, from now or behind a token, without an end. A watch that breaks for a reason that a repetition mends goes on where it was. `onBegin` is told where it begins. */
  async *watch(
    options: { readonly token?: string; readonly signal?: AbortSignal; readonly onBegin?: (token: string) => void } = {},
  ): AsyncGenerator<RowChange<T>, void, undefined> {
    let token = options.token ?? '';
    let begun = false;
    for (let failures = 0; ; ) {
      const { client, options: own } = this.#gateways.pick(options.signal);
      try {
        for await (const answer of client.watch({ table: this.#type.name, token }, own)) {
          failures = 0;
          if (!begun) options.onBegin?.(answer.token);
          begun = true;
          for (const change of answer.changes) yield this.#changeOf(change, answer.token);
          token = answer.token;
        }
      } catch (error) {
        failures += 1;
        await this.#beforeRetry(client, error, failures, options.signal);
      }
    }
  }

  #changeOf({ kind, before, after, changedAtMicros }: Change, token: string): RowChange<T> {
    const row = (found: Change['before']): RowOf<T> | null => (found === undefined ? null : (programRow(this.#type, found) as RowOf<T>));
    return { kind: changeKinds[kind] ?? 'update', before: row(before), after: row(after), changedAt: new Date(Number(changedAtMicros / 1_000n)), token };
  }

  /** Throws what no repetition mends. */
  async #beforeRetry(client: DataClient, error: unknown, failures: number, signal: AbortSignal | undefined): Promise<void> {
    this.#gateways.failed(client, error);
    // The gateway's own deadline is none of the caller's: a stream lasts as long as its caller wants it.
    const mayRepeat = error instanceof SwitchyardError && (error.retryable || hasReason(error, 'PEER_UNREACHABLE', 'DEADLINE_EXCEEDED'));
    if (!mayRepeat || failures > mostFailures) throw error;
    await pause(error.retryAfterMs ?? Math.min(1_000, 10 * 2 ** failures), signal);
  }
}

/** A change of a row, with where a watch goes on behind it. */
export interface RowChange<T extends TableType> {
  readonly kind: 'insert' | 'update' | 'delete' | 'truncate';
  /** Null for an insert. */
  readonly before: RowOf<T> | null;
  /** Null for a delete. */
  readonly after: RowOf<T> | null;
  /** On the store's clock. */
  readonly changedAt: Date;
  /** Goes on behind all changes that came with this one; those before the last of them may come again. */
  readonly token: string;
}

const changeKinds: Readonly<Partial<Record<Change_Kind, RowChange<TableType>['kind']>>> = {
  [Change_Kind.INSERT]: 'insert',
  [Change_Kind.UPDATE]: 'update',
  [Change_Kind.DELETE]: 'delete',
  [Change_Kind.TRUNCATE]: 'truncate',
};

/** In a row, without a piece between them. */
const mostFailures = 10;

/** The tables within a transaction. */
export type TransactionTables<S extends Tables> = { readonly [N in keyof S]: TableCalls<S[N]> } & Pick<Transaction, 'savepoint' | 'rollBackTo'>;

export type Database<S extends Tables> = { readonly [N in keyof S]: Table<S[N]> } & Disposable & {
    /** Runs a function as one transaction, again where that helps; see docs/transactions.md. */
    transact<R>(work: (tables: TransactionTables<S>) => Promise<R>, options?: TransactOptions): Promise<R>;
  };

/** Opens the tables of a generated module. Nothing is sent before the first call. Dispose of it to close its connections. */
export function openDatabase<S extends Tables>(tables: S, options: DatabaseOptions): Database<S> {
  const gateways = new Gateways(options);
  const door = doorOf(gateways, options.requestIds ?? true);
  const opened = Object.fromEntries(Object.entries(tables).map(([name, type]) => [name, new Table(gateways, door, type)]));
  const calls = {
    transact: <R>(work: (within: TransactionTables<S>) => Promise<R>, given: TransactOptions = {}): Promise<R> =>
      transact(conversations(gateways), (transaction) => work(tablesWithin(tables, transaction)), given),
    [Symbol.dispose]: () => gateways[Symbol.dispose](),
  };
  return { ...opened, ...calls } as unknown as Database<S>;
}

function tablesWithin<S extends Tables>(tables: S, transaction: Transaction): TransactionTables<S> {
  const { get, batchGet, query, aggregate } = transaction;
  const write =
    <I, O>(act: (request: I) => Promise<O>) =>
    async (request: I, { requestId }: WriteCallOptions): Promise<O> => {
      if (requestId !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'requestId: the transaction has one as a whole; leave it out within db.transact');
      return await act(request);
    };
  const door: Door = {
    get: (request, { lock }) => get(request, lock),
    batchGet: (request, { lock }) => batchGet(request, lock),
    query: (request, { lock }) => query(request, lock),
    aggregate,
    insert: write(transaction.insert),
    insertMany: write(transaction.insertMany),
    upsert: write(transaction.upsert),
    update: write(transaction.update),
    delete: write(transaction.delete),
  };
  const within = Object.fromEntries(Object.entries(tables).map(([name, type]) => [name, new TableCalls(door, type)]));
  const calls = { savepoint: (name: string) => transaction.savepoint(name), rollBackTo: (name: string) => transaction.rollBackTo(name) };
  return { ...within, ...calls } as unknown as TransactionTables<S>;
}

/** Every try of a transaction at the gateway whose turn it is. */
const conversations = (gateways: Gateways): Pick<DataClient, 'transact'> => ({
  transact: (options?: RpcCallOptions) => {
    const { client, options: own } = gateways.pick();
    return client.transact({ ...own, ...options });
  },
});

function doorOf(gateways: Gateways, requestIds: boolean): Door {
  const read = async <T>(act: (client: DataClient, options: RpcCallOptions) => Promise<T>, { lock, ...options }: CallOptions & { readonly lock?: unknown }): Promise<T> => {
    if (lock !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'lock: a lock lasts as long as its transaction; read within db.transact');
    return await gateways.call(act, { ...options, kind: 'read' });
  };
  const write = <T>(
    act: (client: DataClient, id: { readonly requestId: string }, options: RpcCallOptions) => Promise<T>,
    { requestId = requestIds ? randomUUID() : '', ...options }: WriteCallOptions,
  ): Promise<T> => gateways.call((client, own) => act(client, { requestId }, own), { ...options, kind: requestId === '' ? 'write' : 'write once' });
  return {
    get: (request, options) => read((client, own) => client.get(request, own), options),
    batchGet: (request, options) => read((client, own) => client.batchGet(request, own), options),
    query: (request, options) => read((client, own) => client.query(request, own), options),
    aggregate: (request, options) => read((client, own) => client.aggregate(request, own), options),
    insert: (request, options) => write((client, id, own) => client.insert({ ...request, ...id }, own), options),
    insertMany: (request, options) => write((client, id, own) => client.insertMany({ ...request, ...id }, own), options),
    upsert: (request, options) => write((client, id, own) => client.upsert({ ...request, ...id }, own), options),
    update: (request, options) => write((client, id, own) => client.update({ ...request, ...id }, own), options),
    delete: (request, options) => write((client, id, own) => client.delete({ ...request, ...id }, own), options),
  };
}

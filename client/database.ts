import { randomUUID } from 'node:crypto';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { DataClient } from './gateways.ts';
import { Gateways, type GatewaysOptions } from './gateways.ts';
import { type BatchTables, mutationsOf, type ResultsOf, resultsOf, type Write, writesOf } from './mutate.ts';
import { checkOptions } from './options.ts';
import type { RpcCallOptions } from './rpc-client.ts';
import { Table } from './table.ts';
import { type Alone, type Door, type GivenOptions, given, type InTransaction, TableCalls } from './table-calls.ts';
import type { TableType } from './table-type.ts';
import { takenNames } from './taken-names.ts';
import { type Transaction, transact, type TransactOptions } from './transact.ts';

export interface DatabaseOptions extends GatewaysOptions {
  /**
   * Whether every write carries a request id of its own, so that it is repeated also where nobody knows whether it was done, and done once all the same. Default true; it costs a store one more round trip. False: such a write rejects with
   * OUTCOME_UNKNOWN at once.
   */
  readonly requestIds?: boolean;
}

/** Tables by the names that a program has for them. */
export type Tables = Readonly<Record<string, TableType>>;

/** The tables within a transaction. */
export type TransactionTables<S extends Tables> = { readonly [N in keyof S]: TableCalls<S[N], InTransaction> } & Pick<Transaction, 'savepoint' | 'rollBackTo'>;

interface DatabaseCalls<S extends Tables> extends Disposable {
  /** Does 1 to 1,000 writes to tables of one keyspace, all or none, in the order in which the function returns them. Resolves to what each of them returns; for a delete, whether there was a row. */
  mutate<const W extends readonly Write<unknown>[]>(writes: (batch: BatchTables<S>) => W, options?: Alone['write']): Promise<ResultsOf<W>>;
  /** Runs a function as one transaction, again where that helps; see docs/transactions.md. */
  transact<R>(work: (tables: TransactionTables<S>) => Promise<R>, options?: TransactOptions): Promise<R>;
  /**
   * Closes the connections, as disposing does. What is under way rejects with CANCELLED, streams and watches too, and so does every later call; a write may have been done, and a transaction that was committing rejects with OUTCOME_UNKNOWN.
   */
  close(): void;
}

export type Database<S extends Tables> = { readonly [N in keyof S]: Table<S[N]> } & DatabaseCalls<S>;

/** Opens the tables of a generated module. Nothing is sent before the first call. To be closed, or disposed of. */
export function openDatabase<S extends Tables>(tables: S, options: DatabaseOptions): Database<S> {
  checkOptions('database', 'openDatabase', options);
  const taken = Object.keys(tables).find((name) => takenNames.includes(name));
  if (taken !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', `tables: the name "${taken}" is taken by a method; give the table another one in the module`);
  const gateways = new Gateways(options);
  const write = writer(gateways, options.requestIds ?? true);
  const door = doorOf(gateways, write);
  const opened = Object.fromEntries(Object.entries(tables).map(([name, type]) => [name, new Table(gateways, door, type)]));
  const close = (): void => gateways[Symbol.dispose]();
  const calls: DatabaseCalls<S> = {
    mutate: async (make, how) => {
      checkOptions('database', 'mutate', how);
      const writes = writesOf(tables, make);
      const { results } = await write((client, id, own) => client.mutate({ mutations: mutationsOf(writes), ...id }, own), given(how));
      return resultsOf(writes, results);
    },
    transact: async (work, how) => {
      checkOptions('database', 'transact', how);
      return await transact(conversations(gateways), (transaction) => work(tablesWithin(tables, transaction)), { ...how, signal: gateways.untilClosed(how?.signal) });
    },
    close,
    [Symbol.dispose]: close,
  };
  return { ...opened, ...calls } as unknown as Database<S>;
}

function tablesWithin<S extends Tables>(tables: S, transaction: Transaction): TransactionTables<S> {
  const door: Door = {
    scope: 'transaction',
    get: (request, { lock }) => transaction.get(request, lock),
    batchGet: (request, { lock }) => transaction.batchGet(request, lock),
    query: (request, { lock }) => transaction.query(request, lock),
    aggregate: (request) => transaction.aggregate(request),
    insert: (request) => transaction.insert(request),
    insertMany: (request) => transaction.insertMany(request),
    upsert: (request) => transaction.upsert(request),
    update: (request) => transaction.update(request),
    delete: (request) => transaction.delete(request),
  };
  const within = Object.fromEntries(Object.entries(tables).map(([name, type]) => [name, new TableCalls(door, type)]));
  const calls = { savepoint: (name: string) => transaction.savepoint(name), rollBackTo: (name: string) => transaction.rollBackTo(name) };
  return { ...within, ...calls } as unknown as TransactionTables<S>;
}

/** Every try of a transaction at the gateway whose turn it is. */
const conversations = (gateways: Gateways): Pick<DataClient, 'transact'> => ({
  transact: (given: RpcCallOptions = {}) => {
    const { gateway, options } = gateways.turn(given.signal);
    const conversation = gateway.client.transact({ ...options, ...given });
    const next = async () => {
      try {
        const answer = await conversation.next();
        gateway.served();
        return answer;
      } catch (error) {
        gateway.failed(error);
        throw error;
      }
    };
    return { ...conversation, next };
  },
});

type Send = <T>(act: (client: DataClient, id: { readonly requestId: string }, options: RpcCallOptions) => Promise<T>, options: GivenOptions) => Promise<T>;

const writer =
  (gateways: Gateways, requestIds: boolean): Send =>
  async (act, { requestId = requestIds ? randomUUID() : '', ...options }) =>
    await gateways.call((client, own) => act(client, { requestId }, own), { ...options, kind: requestId === '' ? 'write' : 'write once' });

function doorOf(gateways: Gateways, write: Send): Door {
  const read = <T>(act: (client: DataClient, options: RpcCallOptions) => Promise<T>, options: GivenOptions): Promise<T> => gateways.call(act, { ...options, kind: 'read' });
  return {
    scope: 'alone',
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

import type { DataStore, DataTransaction, PoolStatus } from '../../../backends/backend.ts';
import { recordedAnswer, requestIdsNotKept } from '../../../backends/request-answer.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import type { FenceRow } from '../../../core/fence.ts';
import type { AggregateGroup, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { OnceAnswer, OnceRequest, RequestRecord } from '../../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { EventLine, TableEvents } from '../../../core/table-event.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { Connection } from '../kernel/connection.ts';
import { compareCells, satisfies } from './filters.ts';
import { chosen, readRows, type WholeRow, writeRow } from './rows.ts';
import type { StoreSession } from './session.ts';
import type { StoreLink } from './store-link.ts';
import { StoreRefusal, type Transaction } from './transaction.ts';

/** The simulated store under a gateway's login. One write commits by itself; several, and one with a request id, take two round trips, as over a real connection. */
export class SimDataStore implements DataStore {
  readonly #link: StoreLink;

  constructor(link: StoreLink) {
    this.#link = link;
  }

  async checkLogin(signal: AbortSignal): Promise<void> {
    await this.#read(signal, async () => undefined);
  }

  listTables(signal: AbortSignal): Promise<readonly string[]> {
    return this.#read(signal, async (transaction) => transaction.scan('table').map(([name]) => name));
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#read(signal, async (transaction) => transaction.readNewest<TableSchema>('table', table) ?? null);
  }

  get(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null> {
    return this.#rows(table, signal, (rows) => pick(table, rows.get(keyText(operation.key)), operation.columns));
  }

  batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    return this.#rows(table, signal, (rows) => operation.keys.map((key) => pick(table, rows.get(keyText(key)), operation.columns)));
  }

  query(table: TableSchema, { filter, orderBy, columns, limit, after }: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    const orderOf = (row: WholeRow): readonly Cell[] => orderBy.map((term) => row[table.columns.findIndex((column) => column.name === term.column)] ?? null);
    const compare = (a: readonly Cell[], b: readonly Cell[]): number => {
      for (const [index, term] of orderBy.entries()) {
        const order = compareCells(a[index] ?? null, b[index] ?? null);
        if (order !== 0) return term.descending ? -order : order;
      }
      return 0;
    };
    return this.#rows(table, signal, (rows) => {
      const found = [...rows.values()]
        .filter((row) => (filter === null || satisfies(table, row, filter)) && (after === null || compare(orderOf(row), after) > 0))
        .sort((a, b) => compare(orderOf(a), orderOf(b)));
      return { rows: found.slice(0, limit).map((row) => chosen(table, row, columns)), more: found.length > limit };
    });
  }

  /** No simulated client aggregates. */
  aggregate(): Promise<readonly AggregateGroup[]> {
    throw new Error('the simulated store does not aggregate');
  }

  async write<T = readonly WriteResult[]>(
    _schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
  ): Promise<T> {
    const { server } = this.#link;
    const [single] = operations;
    if (single === undefined) return answer([]);
    if (operations.length === 1)
      return answer([await this.#link.once('commits', signal, (session) => session.run('gateway', (transaction) => writeRow(server, transaction, single)))]);
    return this.#connected(async (connection) => {
      const results = await this.#link.request(connection, 'nothing', signal, (session) =>
        session.begin('gateway', 'read committed', (transaction) => writeAll(this.#link, transaction, operations)),
      );
      const answered = answer(results);
      await this.#link.request(connection, 'commit', signal, (session) => session.commit(async () => {}));
      return answered;
    });
  }

  /** Of two at once the second waits for a row or for the record's key until the first has ended; what it fails with may be the first one's doing, so that it looks for the record once more. */
  writeOnce(_schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    return this.#connected(async (connection) => {
      try {
        return await this.#recorded(connection, operations, request, signal);
      } catch (error) {
        if (hasReason(error, 'OUTCOME_UNKNOWN', 'REQUEST_ID_REUSED') || signal.aborted) throw error;
        if (!connection.isUsable) throw lostError(error);
        const found = await this.#link.request(connection, 'nothing', signal, (session) => session.run('gateway', async (transaction) => findRecords(transaction, request)));
        const answer = recordedAnswer(request, found);
        if (answer === null) throw error;
        return answer;
      }
    });
  }

  eventLine(): Promise<EventLine> {
    return Promise.reject(noEvents());
  }

  events(): Promise<TableEvents> {
    return Promise.reject(noEvents());
  }

  async isWatched(): Promise<boolean> {
    return false;
  }

  begin(): Promise<DataTransaction> {
    return Promise.reject(new SwitchyardError('NOT_SUPPORTED', 'the simulated store has no interactive transactions'));
  }

  fenceRows(tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
    return this.#read(signal, async (transaction) => transaction.scan<FenceRow>('fence').flatMap(([table, row]) => (tables.includes(table) ? [row] : [])));
  }

  warmUp(_tables: readonly TableSchema[], _connections: number, signal: AbortSignal): Promise<void> {
    return this.#read(signal, async () => {});
  }

  poolStatus(): PoolStatus {
    return { busy: 0, idle: 0, waiting: 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #recorded(connection: Connection<StoreSession>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    const begun = await this.#link.request(connection, 'nothing', signal, (session) =>
      session.begin('gateway', 'read committed', async (transaction) => {
        transaction.beginStatement();
        const found = findRecords(transaction, request);
        return { found, results: found.length > 0 ? [] : await writeAll(this.#link, transaction, operations) };
      }),
    );
    const known = recordedAnswer(request, begun.found);
    if (known !== null) return known;
    const result = request.encode(begun.results);
    await this.#link.request(connection, 'commits', signal, (session) => session.commit((transaction) => record(transaction, request, result, this.#link)));
    return { result, repeated: false };
  }

  #read<T>(signal: AbortSignal, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#link.once('nothing', signal, (session) =>
      session.run('gateway', async (transaction) => {
        transaction.beginStatement();
        return act(transaction);
      }),
    );
  }

  #rows<T>(table: TableSchema, signal: AbortSignal, act: (rows: ReadonlyMap<string, WholeRow>) => T): Promise<T> {
    return this.#link.once('nothing', signal, (session) => session.run('gateway', async (transaction) => act(await readRows(this.#link.server, transaction, table.name))));
  }

  async #connected<T>(act: (connection: Connection<StoreSession>) => Promise<T>): Promise<T> {
    const connection = this.#link.connect();
    try {
      const result = await act(connection);
      connection.release();
      return result;
    } catch (error) {
      connection.drop();
      throw error;
    }
  }
}

async function writeAll(link: StoreLink, transaction: Transaction, operations: readonly WriteOperation[]): Promise<readonly WriteResult[]> {
  const results: WriteResult[] = [];
  for (const operation of operations) results.push(await writeRow(link.server, transaction, operation));
  return results;
}

const pick = (table: TableSchema, row: WholeRow | undefined, columns: readonly string[]): Row | null => (row === undefined ? null : chosen(table, row, columns));

export const recordKey = ({ caller, id, table }: Pick<RequestRecord, 'caller' | 'id' | 'table'>): string => keyText([caller, id, table]);

function findRecords(transaction: Transaction, { caller, id }: OnceRequest): readonly RequestRecord[] {
  if (transaction.readNewest('installation', '') === undefined) throw requestIdsNotKept(new Error('relation "request" does not exist'));
  return transaction.scan<RequestRecord>('request').flatMap(([, found]) => (found.caller === caller && found.id === id ? [found] : []));
}

async function record(transaction: Transaction, request: OnceRequest, result: Uint8Array, { server }: StoreLink): Promise<void> {
  const { caller, id, table, digest } = request;
  const made: RequestRecord = { caller, id, table, digest, result, recordedAtMicros: server.epochMicros };
  const key = recordKey(made);
  await transaction.lockRow('request', key, 'exclusive');
  if (transaction.readNewest('request', key) !== undefined) throw new StoreRefusal('serialization_failure', 'the request could not be recorded just now, so nothing was written');
  transaction.put('request', key, made);
  transaction.log({ event: { kind: 'request', record: made } });
}

/** The connection was lost before the record could be looked for. */
function lostError(error: unknown): unknown {
  if (!(error instanceof SwitchyardError) || error.retryable) return error;
  return new SwitchyardError('STORE_UNAVAILABLE', 'the connection to the store was lost before it could tell whether the write had been done before', { cause: error });
}

const noEvents = (): SwitchyardError => new SwitchyardError('NOT_SUPPORTED', 'the simulated store has no events');

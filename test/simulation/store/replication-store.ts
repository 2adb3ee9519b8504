import {
  allVisible,
  type ApplyBatch,
  cellsOf,
  type ChangeFeed,
  type CopyProgress,
  type ReplicationStore,
  type StreamSpec,
  type StreamState,
  type Visibility,
} from '../../../backends/backend.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../../core/change.ts';
import { type Position, streamToken, type StreamToken } from '../../../core/ids.ts';
import { REQUESTS, REQUESTS_CHUNK_BYTES, type RequestRecord } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { recordKey } from './data-store.ts';
import { SimChangeFeed } from './feed.ts';
import { compareCells } from './filters.ts';
import { keyOfRow, rowsOf, type WholeRow } from './rows.ts';
import type { StoreLink } from './store-link.ts';
import { advance, type StreamRow } from './transitions.ts';
import type { Transaction } from './transaction.ts';

/** The simulated store under the player's login. */
export class SimReplicationStore implements ReplicationStore {
  readonly #link: StoreLink;

  constructor(link: StoreLink) {
    this.#link = link;
  }

  async checkLogin(signal: AbortSignal): Promise<void> {
    await this.#read(signal, async () => undefined);
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#read(signal, async (transaction) => transaction.readNewest<TableSchema>('table', table) ?? null);
  }

  follow(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal): ChangeFeed {
    return new SimChangeFeed(this.#link, stream, schemas, from, signal);
  }

  async visibility(): Promise<Visibility> {
    return allVisible;
  }

  readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly WholeRow[]> {
    return this.#read(signal, async (transaction) =>
      transaction
        .scan<WholeRow>(rowsOf(table.name))
        .map(([, row]) => row)
        .filter((row) => after === null || compareKeys(keyOfRow(table, row), after) > 0)
        .sort((a, b) => compareKeys(keyOfRow(table, a), keyOfRow(table, b)))
        .slice(0, limit),
    );
  }

  readRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<readonly WholeRow[]> {
    return this.#read(signal, async (transaction) => keys.flatMap((key) => [transaction.read<WholeRow>(rowsOf(table.name), keyText(key)) ?? []].filter((row) => row.length > 0)));
  }

  readRequests(tables: readonly string[], after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly RequestRecord[]> {
    const keyOf = ({ caller, id, table }: RequestRecord): readonly Cell[] => [caller, id, table];
    return this.#read(signal, async (transaction) => {
      const records = transaction
        .scan<RequestRecord>('request')
        .map(([, record]) => record)
        .filter((record) => tables.includes(record.table) && (after === null || compareKeys(keyOf(record), after) > 0))
        .sort((a, b) => compareKeys(keyOf(a), keyOf(b)))
        .slice(0, limit);
      let bytes = 0;
      const end = records.findIndex((record) => {
        bytes += record.result.length;
        return bytes >= REQUESTS_CHUNK_BYTES;
      });
      return end < 0 ? records : records.slice(0, end + 1);
    });
  }

  writeWatermark(stream: StreamSpec, id: number, signal: AbortSignal): Promise<void> {
    return this.#run(signal, async (transaction) => {
      transaction.log({ event: { kind: 'watermark', id }, stream: stream.id });
    });
  }

  estimateRows(table: string, signal: AbortSignal): Promise<number> {
    return this.#read(signal, async (transaction) => transaction.scan(rowsOf(table)).length);
  }

  takeStream(stream: StreamSpec, signal: AbortSignal): Promise<StreamState> {
    return this.#run(signal, async (transaction) => {
      await transaction.lockRow('stream', stream.id, 'exclusive');
      const row = transaction.readNewest<StreamRow>('stream', stream.id);
      if (row === undefined || row.workflow !== stream.workflow || row.position === '') {
        throw new SwitchyardError('STREAM_FAILED', `the target has no stream "${stream.id}" of workflow "${stream.workflow}"`, { metadata: { stream: stream.id } });
      }
      const token = streamToken(row.token + 1);
      transaction.put('stream', stream.id, { ...row, token });
      transaction.beginStatement();
      const copied = transaction
        .scan<CopyProgress>('copy')
        .flatMap(([key, progress]) => (key.startsWith(`${stream.id} `) ? [[key.slice(stream.id.length + 1), progress] as const] : []));
      return { token, position: row.position, marker: row.marker, copied: new Map(copied) };
    });
  }

  apply(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void> {
    const { server } = this.#link;
    return this.#run(signal, async (transaction) => {
      await advance(server, transaction, stream, token, batch.position, batch.marker);
      for (const change of batch.changes) await applyChange(transaction, schemas, change);
      if (batch.copied !== null) {
        const { table: name, rows, progress } = batch.copied;
        const table = schemas.get(name);
        if (table === undefined) throw new Error(`no schema of ${name}`);
        for (const row of cellsOf(rows)) await putRow(transaction, table, row);
        transaction.put('copy', `${stream.id} ${name}`, progress);
      }
      for (const record of batch.requests.records) await putRecord(transaction, record);
      if (batch.requests.progress !== null) transaction.put('copy', `${stream.id} ${REQUESTS}`, batch.requests.progress);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #read<T>(signal: AbortSignal, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#run(signal, async (transaction) => {
      transaction.beginStatement();
      return act(transaction);
    });
  }

  #run<T>(signal: AbortSignal, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#link.once('nothing', signal, (session) => session.run('player', act));
  }
}

function compareKeys(a: readonly Cell[], b: readonly Cell[]): number {
  for (const [index, cell] of a.entries()) {
    const order = compareCells(cell, b[index] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

async function applyChange(transaction: Transaction, schemas: ReadonlyMap<string, TableSchema>, change: RowChange): Promise<void> {
  if (change.kind === 'truncate') {
    for (const table of change.tables) for (const [key] of transaction.scan(rowsOf(table))) transaction.put(rowsOf(table), key, null);
    return;
  }
  const table = schemas.get(change.table);
  if (table === undefined) throw new Error(`no schema of ${change.table}`);
  const remove = async (key: readonly Cell[]): Promise<void> => {
    await transaction.lockRow(rowsOf(table.name), keyText(key), 'exclusive');
    transaction.put(rowsOf(table.name), keyText(key), null);
  };
  if (change.kind === 'delete') return remove(change.key);
  if (change.kind === 'update' && change.oldKey !== null) await remove(change.oldKey);
  await putRow(transaction, table, change.row);
}

/** Unchanged cells keep the target's value. */
async function putRow(transaction: Transaction, table: TableSchema, row: readonly ChangedCell[]): Promise<void> {
  const cells = row.map((cell) => (cell === unchanged ? null : cell));
  const key = keyText(keyOfRow(table, cells));
  await transaction.lockRow(rowsOf(table.name), key, 'exclusive');
  const before = transaction.readNewest<WholeRow>(rowsOf(table.name), key);
  transaction.put(
    rowsOf(table.name),
    key,
    row.map((cell, index) => (cell === unchanged ? (before?.[index] ?? null) : cell)),
  );
  transaction.log({ event: before === undefined ? { kind: 'insert', table: table.name, row: cells } : { kind: 'update', table: table.name, row: cells, oldKey: null } });
}

/** Where one is there already the later written stays. */
async function putRecord(transaction: Transaction, record: RequestRecord): Promise<void> {
  const key = recordKey(record);
  await transaction.lockRow('request', key, 'exclusive');
  const present = transaction.readNewest<RequestRecord>('request', key);
  if (present === undefined || present.recordedAtMicros < record.recordedAtMicros) transaction.put('request', key, record);
}

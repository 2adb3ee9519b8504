import { SwitchyardError } from '../core/switchyard-error.ts';
import { type Change, Change_Kind } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { DataClient, Gateways } from './gateways.ts';
import { checkOptions } from './options.ts';
import { resumed } from './resumed.ts';
import type { RpcCallOptions } from './rpc-client.ts';
import { type Door, given, type QueryOptions, rowsRequest, TableCalls } from './table-calls.ts';
import type { ColumnName, RowOf, TableType } from './table-type.ts';
import { programRow } from './values.ts';

interface StreamLimit {
  /** Rows in all; left out: as many as there are. */
  readonly limit?: number;
}
/** `deadlineMs` is for the whole stream, from its first row on; left out: it lasts as long as rows come. */
export type StreamOptions<T extends TableType, K> = QueryOptions<T, K> & StreamLimit;

export interface WatchOptions {
  /** Of an earlier change: goes on behind it. Left out: from now. */
  readonly token?: string | undefined;
  /** Ends the watch, as leaving its loop does. */
  readonly signal?: AbortSignal;
  /** Told where the watch begins, before its first change, which waits for it. Who saves this token misses no later change. */
  readonly onBegin?: (token: string) => void | Promise<void>;
  /** Told of every failure that the watch gets over by itself: it goes on trying for as long as it is not ended. */
  readonly onRetry?: (error: SwitchyardError) => void;
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
  /** A watch that begins with it misses no later change; this one and some before it may come again. */
  readonly token: string;
}

/** How long a stream of rows without a deadline waits for its next rows, with all tries. */
const streamPatienceMs = 30_000;

/** A table outside of transactions. */
export class Table<T extends TableType> extends TableCalls<T> {
  readonly #gateways: Gateways;
  readonly #type: T;

  constructor(gateways: Gateways, door: Door, type: T) {
    super(door, type);
    this.#gateways = gateways;
    this.#type = type;
  }

  /**
   * Rows as many as there are, no faster than they are taken. A stream that breaks for a reason that a repetition mends goes on behind the last row: until its deadline, and without one until nothing has come for 30 s.
   */
  async *stream<K extends ColumnName<T> = ColumnName<T>>(options: StreamOptions<T, K> = {}): AsyncGenerator<RowOf<T, K>, void, undefined> {
    checkOptions('alone', 'stream', options);
    const { deadlineMs, signal } = given(options);
    const request = rowsRequest(this.#type, options);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let pageToken = '';
    if (left <= 0) return;
    const open = (client: DataClient, own: RpcCallOptions) => client.streamQuery({ ...request, limit: left === Number.POSITIVE_INFINITY ? 0n : BigInt(left), pageToken }, own);
    for await (const { rows, nextPageToken } of resumed(this.#gateways, open, { signal, deadlineMs, patienceMs: streamPatienceMs })) {
      left -= rows.length;
      pageToken = nextPageToken;
      for (const row of rows) yield programRow(this.#type, row) as RowOf<T, K>;
      if (left <= 0 || pageToken === '') return;
    }
  }

  /** Every change of the table in order, from now or behind a token, without an end: it outlasts whatever a repetition mends, and rejects with what none does. */
  async *watch(options: WatchOptions = {}): AsyncGenerator<RowChange<T>, void, undefined> {
    checkOptions('alone', 'watch', options);
    const { token: from, signal, onBegin, onRetry } = options;
    if (from === '') throw new SwitchyardError('ARGUMENT_INVALID', 'token: got an empty text, behind which there is nothing; leave it out to watch from now');
    /** Behind all changes that were told. */
    let token = from ?? '';
    let begun = false;
    const table = this.#type.name;
    async function* open(client: DataClient, own: RpcCallOptions) {
      yield* client.watch({ table, token }, own);
      throw new SwitchyardError('PEER_UNREACHABLE', 'the gateway ended the watch');
    }
    for await (const { changes, token: next } of resumed(this.#gateways, open, { signal, onRetry })) {
      // The first answer tells where the watch begins; an empty token would silently mean another "now".
      if (token === '' && changes.length > 0) throw new SwitchyardError('INTERNAL', 'the gateway told changes before it told where the watch begins');
      if (!begun) await onBegin?.(changes.length > 0 ? token : next);
      begun = true;
      const last = changes.length - 1;
      for (const [index, change] of changes.entries()) yield this.#changeOf(change, index === last ? next : token);
      token = next;
    }
  }

  #changeOf({ kind, before, after, changedAtMicros }: Change, token: string): RowChange<T> {
    const row = (found: Change['before']): RowOf<T> | null => (found === undefined ? null : (programRow(this.#type, found) as RowOf<T>));
    return { kind: changeKinds[kind] ?? 'update', before: row(before), after: row(after), changedAt: new Date(Number(changedAtMicros / 1_000n)), token };
  }
}

const changeKinds: Readonly<Partial<Record<Change_Kind, RowChange<TableType>['kind']>>> = {
  [Change_Kind.INSERT]: 'insert',
  [Change_Kind.UPDATE]: 'update',
  [Change_Kind.DELETE]: 'delete',
  [Change_Kind.TRUNCATE]: 'truncate',
};

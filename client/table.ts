import type { MessageInitShape } from '@bufbuild/protobuf';
import { hasReason } from '../core/switchyard-error.ts';
import { type AggregationSchema, type OrderBySchema, RowLock } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row } from '../gen/switchyard/data/v1/value_pb.ts';
import { amountOf, type ChangesOf, type ColumnName, type KeyName, type KeyOf, type NewRowOf, type RowOf, type TableType } from './table-type.ts';
import type { Transaction } from './transact.ts';
import { columnOf, programRow, programValue, wireRow, wireValue } from './values.ts';
import { filterOf, type Where } from './where.ts';

export interface CallOptions {
  /** With all tries of the call. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}
export interface ReadOptions<K> extends CallOptions {
  /** Columns to read; left out: all. */
  readonly columns?: readonly K[];
  /** Within a transaction: keeps others from changing the rows until it ends. */
  readonly lock?: 'share' | 'update';
}
export interface WriteCallOptions extends CallOptions {
  /** Makes the write one with an earlier call of the same id and content, such as one that ended with OUTCOME_UNKNOWN (docs/retries.md). Left out: one of its own. Not within a transaction. */
  readonly requestId?: string;
}
export interface WriteOptions<K> extends WriteCallOptions {
  /** Columns to return; left out: the primary key. */
  readonly returning?: readonly K[];
}

/** What must be so of the row that is there. */
export interface RowConditions<T extends TableType> {
  readonly where?: Where<T>;
  /** Of `getTagged`; not within a transaction. */
  readonly etag?: string;
}
/** A whole row; the etag is the same as long as every cell is, on either side of a move. */
export interface Tagged<R> {
  readonly row: R;
  readonly etag: string;
}

export type OrderTerm<T extends TableType> = ColumnName<T> | { readonly column: ColumnName<T>; readonly descending?: boolean };
export interface QueryOptions<T extends TableType, K> extends ReadOptions<K> {
  readonly where?: Where<T>;
  /** The primary key's columns come behind, so that the order is total. */
  readonly orderBy?: readonly OrderTerm<T>[];
}
export interface PageOptions<T extends TableType, K> extends QueryOptions<T, K> {
  /** At most 1,000; left out: 100. A page may have fewer rows where they are large. */
  readonly pageSize?: number;
  readonly pageToken?: string;
}
export interface Page<R> {
  readonly rows: readonly R[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** What to compute, by names of the program's own: `{ orders: 'count', turnover: { sum: 'total' } }`. */
export type Aggregations<T extends TableType> = Readonly<Record<string, 'count' | { readonly [kind in 'sum' | 'min' | 'max']?: ColumnName<T> }>>;
export interface AggregateOptions<T extends TableType, G> extends CallOptions {
  readonly where?: Where<T>;
  readonly groupBy?: G;
}

/** How the calls of a table are made: by the gateways, or within a transaction. */
export type Door = {
  readonly [M in 'get' | 'batchGet' | 'query' | 'aggregate' | 'insert' | 'insertMany' | 'upsert' | 'update' | 'delete']: (
    request: Parameters<Transaction[M]>[0],
    options: WriteCallOptions & { readonly lock?: RowLock },
  ) => ReturnType<Transaction[M]>;
};

/** Calls on one table. All reject with SwitchyardErrors; see docs/client.md. */
export class TableCalls<T extends TableType> {
  readonly #door: Door;
  readonly #table: T;

  constructor(door: Door, table: T) {
    this.#door = door;
    this.#table = table;
  }

  /** The row with this primary key; null: there is none. */
  async get<K extends ColumnName<T> = ColumnName<T>>(key: KeyOf<T>, options: ReadOptions<K> = {}): Promise<RowOf<T, K> | null> {
    const request = { table: this.#table.name, key: wireRow(this.#table, key), columns: [...(options.columns ?? [])] };
    const answer = await this.#door.get(request, given(options)).catch(missingIsNull);
    return answer === null ? null : this.#row(answer.row);
  }

  /** The whole row with its etag, for an update or delete that is only done while the row is as it was; null: there is none. */
  async getTagged(key: KeyOf<T>, options: CallOptions = {}): Promise<Tagged<RowOf<T, ColumnName<T>>> | null> {
    const request = { table: this.#table.name, key: wireRow(this.#table, key), withEtag: true };
    const answer = await this.#door.get(request, given(options)).catch(missingIsNull);
    return answer === null ? null : { row: this.#row(answer.row), etag: answer.etag };
  }

  /** The rows with these primary keys, in their order; null for each that is missing. 1 to 1,000 keys. */
  async batchGet<K extends ColumnName<T> = ColumnName<T>>(keys: readonly KeyOf<T>[], options: ReadOptions<K> = {}): Promise<readonly (RowOf<T, K> | null)[]> {
    const { entries } = await this.#door.batchGet(
      { table: this.#table.name, keys: keys.map((key) => wireRow(this.#table, key)), columns: [...(options.columns ?? [])] },
      given(options),
    );
    return entries.map(({ row }) => (row === undefined ? null : this.#row<K>(row)));
  }

  /** A page of rows. */
  async query<K extends ColumnName<T> = ColumnName<T>>(options: PageOptions<T, K> = {}): Promise<Page<RowOf<T, K>>> {
    const { pageSize = 0, pageToken = '' } = options;
    const { rows, nextPageToken } = await this.#door.query({ ...rowsRequest(this.#table, options), pageSize, pageToken }, given(options));
    return { rows: rows.map((row) => this.#row<K>(row)), nextPageToken };
  }

  /** How many rows there are. */
  async count(where?: Where<T>, options: CallOptions = {}): Promise<bigint> {
    const { groups } = await this.#door.aggregate(
      { table: this.#table.name, ...filtered(this.#table, where), aggregations: [{ kind: { case: 'count', value: {} } }] },
      given(options),
    );
    const kind = groups[0]?.values[0]?.kind;
    return kind?.case === 'int64Value' ? kind.value : 0n;
  }

  /**
   * Numbers about the rows that match: one group, or one for each value of a column (at most 1,000). A count is a bigint, a sum of integers or decimals a decimal's text, one of floats a number, the smallest and largest are values of their column; of no
   * values null.
   */
  async aggregate<A extends Aggregations<T>, G extends ColumnName<T>>(
    aggregations: A,
    { where, groupBy, ...options }: AggregateOptions<T, G> = {},
  ): Promise<readonly ({ readonly [N in keyof A]: unknown } & { readonly group: unknown })[]> {
    const names = Object.keys(aggregations);
    const request = { table: this.#table.name, ...filtered(this.#table, where), aggregations: names.map((name) => aggregationOf(aggregations[name])), groupBy: groupBy ?? '' };
    const { groups } = await this.#door.aggregate(request, given(options));
    return groups.map(({ group, values }) => {
      const found: Record<string, unknown> = { group: group === undefined || groupBy === undefined ? null : programValue(columnOf(this.#table, groupBy), group) };
      for (const [index, name] of names.entries()) {
        const value = values[index];
        const asked = aggregations[name];
        const column = typeof asked === 'object' ? (asked.min ?? asked.max) : undefined;
        if (value !== undefined) found[name] = programValue(column === undefined ? { kind: 'int64' } : columnOf(this.#table, column), value);
      }
      return found as { readonly [N in keyof A]: unknown } & { readonly group: unknown };
    });
  }

  /** Adds a row. Resolves to what it returns. UNIQUE_VIOLATION and other violations name constraint and columns. */
  async insert<K extends ColumnName<T> = KeyName<T>>(row: NewRowOf<T>, options: WriteOptions<K> = {}): Promise<RowOf<T, K>> {
    const answer = await this.#door.insert({ table: this.#table.name, row: wireRow(this.#table, row), returning: [...(options.returning ?? [])] }, given(options));
    return this.#row(answer.row);
  }

  /** Adds 1 to 1,000 rows, all or none. */
  async insertMany<K extends ColumnName<T> = KeyName<T>>(rows: readonly NewRowOf<T>[], options: WriteOptions<K> = {}): Promise<readonly RowOf<T, K>[]> {
    const answer = await this.#door.insertMany(
      { table: this.#table.name, rows: rows.map((row) => wireRow(this.#table, row)), returning: [...(options.returning ?? [])] },
      given(options),
    );
    return answer.rows.map((row) => this.#row<K>(row));
  }

  /** Adds the row or, where its primary key exists, sets the given columns. PRECONDITION_FAILED where there is a row and it is not as `where` says. */
  async upsert<K extends ColumnName<T> = KeyName<T>>(row: NewRowOf<T> & KeyOf<T>, options: WriteOptions<K> & { readonly where?: Where<T> } = {}): Promise<RowOf<T, K>> {
    const precondition = filterOf(this.#table, options.where);
    const request = { table: this.#table.name, row: wireRow(this.#table, row), ...(precondition === undefined ? {} : { precondition }), returning: [...(options.returning ?? [])] };
    const answer = await this.#door.upsert(request, given(options));
    return this.#row(answer.row);
  }

  /** Changes one row: new values, or `add(n)` for a number. ROW_NOT_FOUND; PRECONDITION_FAILED where the row is not as `where` or `etag` says. */
  async update<K extends ColumnName<T> = KeyName<T>>(key: KeyOf<T>, changes: ChangesOf<T>, options: WriteOptions<K> & RowConditions<T> = {}): Promise<RowOf<T, K>> {
    const set: Record<string, unknown> = {};
    const added: Record<string, ReturnType<typeof wireValue>> = {};
    for (const [name, value] of Object.entries(changes)) {
      const amount = amountOf(value);
      if (amount === undefined) set[name] = value;
      else added[name] = wireValue(columnOf(this.#table, name), name, amount);
    }
    const precondition = filterOf(this.#table, options.where);
    const answer = await this.#door.update(
      {
        table: this.#table.name,
        key: wireRow(this.#table, key),
        row: wireRow(this.#table, set),
        ...(Object.keys(added).length === 0 ? {} : { add: { cells: added } }),
        ...(precondition === undefined ? {} : { precondition }),
        etag: options.etag ?? '',
        returning: [...(options.returning ?? [])],
      },
      given(options),
    );
    return this.#row(answer.row);
  }

  /** Removes one row; false: there was none. PRECONDITION_FAILED where the row is not as `where` or `etag` says. */
  async delete(key: KeyOf<T>, options: WriteCallOptions & RowConditions<T> = {}): Promise<boolean> {
    const precondition = filterOf(this.#table, options.where);
    const request = {
      table: this.#table.name,
      key: wireRow(this.#table, key),
      allowMissing: true,
      etag: options.etag ?? '',
      ...(precondition === undefined ? {} : { precondition }),
    };
    return (await this.#door.delete(request, given(options))).deleted;
  }

  #row<K extends ColumnName<T>>(row: Row | undefined): RowOf<T, K> {
    return programRow(this.#table, row) as RowOf<T, K>;
  }
}

/** The part of a request that says which rows, in which order. */
export function rowsRequest<T extends TableType>(table: T, { where, orderBy = [], columns = [] }: QueryOptions<T, string>) {
  const terms: MessageInitShape<typeof OrderBySchema>[] = orderBy.map((term) => (typeof term === 'string' ? { column: term, descending: false } : { descending: false, ...term }));
  return { table: table.name, ...filtered(table, where), orderBy: terms, columns: [...columns] };
}

function filtered<T extends TableType>(table: T, where: Where<T> | undefined) {
  const filter = filterOf(table, where);
  return filter === undefined ? {} : { filter };
}

function aggregationOf(asked: Aggregations<TableType>[string] | undefined): MessageInitShape<typeof AggregationSchema> {
  if (asked === 'count' || asked === undefined) return { kind: { case: 'count', value: {} } };
  const [[kind, column] = ['sum', '']] = Object.entries(asked);
  return { kind: { case: kind as 'sum' | 'min' | 'max', value: column ?? '' } };
}

function missingIsNull(error: unknown): null {
  if (hasReason(error, 'ROW_NOT_FOUND')) return null;
  throw error;
}

const locks = { share: RowLock.SHARE, update: RowLock.UPDATE } as const;

const given = ({ deadlineMs, signal, requestId, lock }: WriteCallOptions & { readonly lock?: 'share' | 'update' }): WriteCallOptions & { readonly lock?: RowLock } => ({
  ...(deadlineMs === undefined ? {} : { deadlineMs }),
  ...(signal === undefined ? {} : { signal }),
  ...(requestId === undefined ? {} : { requestId }),
  ...(lock === undefined ? {} : { lock: locks[lock] }),
});

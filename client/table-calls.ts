import type { MessageInitShape } from '@bufbuild/protobuf';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { type OrderBySchema, RowLock } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row } from '../gen/switchyard/data/v1/value_pb.ts';
import { type Aggregated, type Aggregations, aggregationMessage, asked, groupOf } from './aggregate.ts';
import { type CallOf, checkNames, checkOptions } from './options.ts';
import type { ChangesOf, ColumnName, KeyName, KeyOf, NewRowOf, RowOf, TableType } from './table-type.ts';
import type { Transaction } from './transact.ts';
import { programRow, wireRow } from './values.ts';
import { filterOf, type Where } from './where.ts';
import { deleteRequest, insertManyRequest, insertRequest, type OnRow, type Returning, updateRequest, upsertRequest } from './write-requests.ts';

export interface CallOptions {
  /** With all tries of the call, from when it is made. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** What a call of its own takes beside what it asks for. */
export interface Alone {
  readonly call: CallOptions;
  readonly read: CallOptions & { readonly lock?: never };
  readonly write: CallOptions & {
    /** Makes the write one with an earlier call of the same id and content, such as one that ended with OUTCOME_UNKNOWN (docs/retries.md). Left out: one of its own. */
    readonly requestId?: string;
  };
}

/** A transaction has its limits, its signal and its request id as a whole. */
interface OfTheWhole {
  readonly deadlineMs?: never;
  readonly signal?: never;
  readonly requestId?: never;
}
/** The same of a call within a transaction. */
export interface InTransaction {
  readonly call: OfTheWhole;
  readonly read: OfTheWhole & {
    /** Keeps others from changing the rows until the transaction ends. */
    readonly lock?: 'share' | 'update';
  };
  readonly write: OfTheWhole;
}
export type Manner = Alone | InTransaction;

interface Selection<K> {
  /** Columns to read; left out: all. */
  readonly columns?: readonly K[];
}
export type ReadOptions<K, M extends Manner = Alone> = M['read'] & Selection<K>;
export type WriteOptions<K, M extends Manner = Alone> = M['write'] & Returning<K>;
/** What must be so of the row that is there. */
export interface RowConditions<T extends TableType> extends OnRow<T> {
  /** Of `getTagged`: the row is as it was then. */
  readonly etag?: string;
}
/** A whole row; the etag is the same as long as every cell is, on either side of a move. */
export interface Tagged<R> {
  readonly row: R;
  readonly etag: string;
}

export type OrderTerm<T extends TableType> = ColumnName<T> | { readonly column: ColumnName<T>; readonly descending?: boolean };
interface RowSelection<T extends TableType, K> extends Selection<K> {
  readonly where?: Where<T>;
  /** The primary key's columns come behind, so that the order is total. */
  readonly orderBy?: readonly OrderTerm<T>[];
}
export type QueryOptions<T extends TableType, K, M extends Manner = Alone> = M['read'] & RowSelection<T, K>;
interface PageSelection {
  /** At most 1,000; left out: 100. A page may have fewer rows, none of them the last, where they are large. */
  readonly pageSize?: number;
  readonly pageToken?: string;
}
export type PageOptions<T extends TableType, K, M extends Manner = Alone> = QueryOptions<T, K, M> & PageSelection;
export interface Page<R> {
  readonly rows: readonly R[];
  /** Empty on the last page, and on no other. */
  readonly nextPageToken: string;
}

interface Grouping<T extends TableType, G> {
  readonly where?: Where<T>;
  readonly groupBy?: G;
}
export type AggregateOptions<T extends TableType, G, M extends Manner = Alone> = M['call'] & Grouping<T, G>;

/** What a call was given, of all that there is in any manner. */
export interface GivenOptions extends CallOptions {
  readonly requestId?: string;
  readonly lock?: RowLock;
}

/** How the calls of a table are made: by the gateways, or within a transaction. */
export type Door = { readonly scope: 'alone' | 'transaction' } & {
  readonly [M in 'get' | 'batchGet' | 'query' | 'aggregate' | 'insert' | 'insertMany' | 'upsert' | 'update' | 'delete']: (
    request: Parameters<Transaction[M]>[0],
    options: GivenOptions,
  ) => ReturnType<Transaction[M]>;
};

/** Calls on one table. All reject with SwitchyardErrors; see docs/client.md. */
export class TableCalls<T extends TableType, M extends Manner = Alone> {
  readonly #door: Door;
  readonly #table: T;

  constructor(door: Door, table: T) {
    this.#door = door;
    this.#table = table;
  }

  /** The row with this primary key; null: there is none. */
  async get<K extends ColumnName<T> = ColumnName<T>>(key: KeyOf<T>, options?: ReadOptions<K, M>): Promise<RowOf<T, K> | null> {
    const how = this.#how('get', options);
    const request = { table: this.#table.name, key: wireRow(this.#table, key), columns: [...(options?.columns ?? [])] };
    const answer = await this.#door.get(request, how).catch(missingIsNull);
    return answer === null ? null : this.#row(answer.row);
  }

  /** The whole row with its etag, for an update or delete that is only done while the row is as it was; null: there is none. */
  async getTagged(key: KeyOf<T>, options?: M['call']): Promise<Tagged<RowOf<T, ColumnName<T>>> | null> {
    const how = this.#how('getTagged', options);
    const request = { table: this.#table.name, key: wireRow(this.#table, key), withEtag: true };
    const answer = await this.#door.get(request, how).catch(missingIsNull);
    if (answer === null) return null;
    const { row, etag } = answer;
    if (etag === '')
      throw new SwitchyardError(
        'NOT_SUPPORTED',
        `getTagged: the gateway gave no etag of a row of table "${this.#table.name}": one of an earlier release gives none within a transaction`,
      );
    return { row: this.#row(row), etag };
  }

  /** The rows with these primary keys, in their order; null for each that is missing. 1 to 1,000 keys. */
  async batchGet<K extends ColumnName<T> = ColumnName<T>>(keys: readonly KeyOf<T>[], options?: ReadOptions<K, M>): Promise<readonly (RowOf<T, K> | null)[]> {
    const how = this.#how('batchGet', options);
    const request = { table: this.#table.name, keys: keys.map((key) => wireRow(this.#table, key)), columns: [...(options?.columns ?? [])] };
    const { entries } = await this.#door.batchGet(request, how);
    return entries.map(({ row }) => (row === undefined ? null : this.#row<K>(row)));
  }

  /** A page of rows. */
  async query<K extends ColumnName<T> = ColumnName<T>>(options?: PageOptions<T, K, M>): Promise<Page<RowOf<T, K>>> {
    const how = this.#how('query', options);
    const { pageSize = 0, pageToken = '' } = options ?? {};
    const { rows, nextPageToken } = await this.#door.query({ ...rowsRequest(this.#table, options ?? {}), pageSize, pageToken }, how);
    return { rows: rows.map((row) => this.#row<K>(row)), nextPageToken };
  }

  /** How many rows there are. */
  async count(where?: Where<T>, options?: M['call']): Promise<bigint> {
    const how = this.#how('count', options);
    const request = { table: this.#table.name, ...filtered(this.#table, where), aggregations: [aggregationMessage({ kind: 'count', column: '' })] };
    const { groups } = await this.#door.aggregate(request, how);
    const kind = groups[0]?.values[0]?.kind;
    return kind?.case === 'int64Value' ? kind.value : 0n;
  }

  /**
   * Numbers about the rows that match: one group, or one for each value of a column (at most 1,000). A count is a bigint, a sum of integers or decimals a decimal's text, one of floats a number, the smallest and largest are values of their column; of no
   * values null.
   */
  async aggregate<const A extends Aggregations<T>, G extends ColumnName<T> = never>(aggregations: A, options?: AggregateOptions<T, G, M>): Promise<readonly Aggregated<T, A, G>[]> {
    const how = this.#how('aggregate', options);
    const all = asked(aggregations);
    const groupBy: string | undefined = options?.groupBy;
    const request = { table: this.#table.name, ...filtered(this.#table, options?.where), aggregations: all.map(aggregationMessage), groupBy: groupBy ?? '' };
    const { groups } = await this.#door.aggregate(request, how);
    return groups.map((group) => groupOf(this.#table, all, groupBy, group) as Aggregated<T, A, G>);
  }

  /** Adds a row. Resolves to what it returns. UNIQUE_VIOLATION and other violations name constraint and columns. */
  async insert<K extends ColumnName<T> = KeyName<T>>(row: NewRowOf<T>, options?: WriteOptions<K, M>): Promise<RowOf<T, K>> {
    const how = this.#how('insert', options);
    return this.#row((await this.#door.insert(insertRequest(this.#table, row, options), how)).row);
  }

  /** Adds 1 to 1,000 rows, all or none. */
  async insertMany<K extends ColumnName<T> = KeyName<T>>(rows: readonly NewRowOf<T>[], options?: WriteOptions<K, M>): Promise<readonly RowOf<T, K>[]> {
    const how = this.#how('insertMany', options);
    const answer = await this.#door.insertMany(insertManyRequest(this.#table, rows, options), how);
    return answer.rows.map((row) => this.#row<K>(row));
  }

  /** Adds the row or, where its primary key exists, sets the given columns. PRECONDITION_FAILED where there is a row and it is not as `where` says. */
  async upsert<K extends ColumnName<T> = KeyName<T>>(row: NewRowOf<T> & KeyOf<T>, options?: WriteOptions<K, M> & OnRow<T>): Promise<RowOf<T, K>> {
    const how = this.#how('upsert', options);
    return this.#row((await this.#door.upsert(upsertRequest(this.#table, row, options), how)).row);
  }

  /** Changes one row: new values, or `add(n)` for a number. ROW_NOT_FOUND; PRECONDITION_FAILED where the row is not as `where` or `etag` says. */
  async update<K extends ColumnName<T> = KeyName<T>>(key: KeyOf<T>, changes: ChangesOf<T>, options?: WriteOptions<K, M> & RowConditions<T>): Promise<RowOf<T, K>> {
    const how = this.#how('update', options);
    return this.#row((await this.#door.update(updateRequest(this.#table, key, changes, options), how)).row);
  }

  /** Removes one row; false: there was none. PRECONDITION_FAILED where the row is not as `where` or `etag` says. */
  async delete(key: KeyOf<T>, options?: M['write'] & RowConditions<T>): Promise<boolean> {
    const how = this.#how('delete', options);
    return (await this.#door.delete(deleteRequest(this.#table, key, options), how)).deleted;
  }

  #how(call: CallOf<'transaction'>, options: HowOptions | undefined): GivenOptions {
    checkOptions(this.#door.scope, call, options);
    return given(options);
  }

  #row<K extends ColumnName<T>>(row: Row | undefined): RowOf<T, K> {
    return programRow(this.#table, row) as RowOf<T, K>;
  }
}

/** The part of a request that says which rows, in which order. */
export function rowsRequest<T extends TableType>(table: T, { where, orderBy = [], columns = [] }: RowSelection<T, string>) {
  const terms = orderBy.map(orderTerm);
  return { table: table.name, ...filtered(table, where), orderBy: terms, columns: [...columns] };
}

function orderTerm(term: OrderTerm<TableType>): MessageInitShape<typeof OrderBySchema> {
  if (typeof term === 'string') return { column: term, descending: false };
  checkNames('orderBy', term, (name) => (name === 'column' || name === 'descending' ? null : 'orderBy has no such member; it takes column and descending'));
  return { column: term.column, descending: term.descending ?? false };
}

function filtered<T extends TableType>(table: T, where: Where<T> | undefined) {
  const filter = filterOf(table, where);
  return filter === undefined ? {} : { filter };
}

function missingIsNull(error: unknown): null {
  if (hasReason(error, 'ROW_NOT_FOUND')) return null;
  throw error;
}

const locks: Readonly<Record<string, RowLock>> = { share: RowLock.SHARE, update: RowLock.UPDATE };

type HowOptions = CallOptions & { readonly requestId?: string; readonly lock?: string };

/** The part of a call's options that says how it is made. */
export function given({ deadlineMs, signal, requestId, lock }: HowOptions = {}): GivenOptions {
  const rowLock = lock === undefined ? undefined : locks[lock];
  if (lock !== undefined && rowLock === undefined) throw new SwitchyardError('ARGUMENT_INVALID', `lock: got ${JSON.stringify(lock)}; must be "share" or "update"`);
  if (requestId === '') throw new SwitchyardError('ARGUMENT_INVALID', 'requestId: got an empty text, which makes a write one with no other; leave it out for an id of its own');
  return {
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(signal === undefined ? {} : { signal }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(rowLock === undefined ? {} : { lock: rowLock }),
  };
}

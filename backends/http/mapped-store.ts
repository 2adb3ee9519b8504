import { createHash } from 'node:crypto';
import type { Cell } from '../../core/cell.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import type { FenceRow } from '../../core/fence.ts';
import type { AggregateGroup, BatchGetOperation, Filter, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import type { OnceAnswer } from '../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { EventLine, TableEvents } from '../../core/table-event.ts';
import { columnNamed, type ColumnSchema, type TableSchema } from '../../core/table-schema.ts';
import { jsonFromValue, valueFromJson } from '../../runtime/json/cell-json.ts';
import type { JsonNode } from '../../runtime/json/json-node.ts';
import { parseJson } from '../../runtime/json/json-parser.ts';
import { sentCell } from '../../runtime/wire/cells.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';
import { returningOf } from '../../runtime/wire/write-message.ts';
import type { DataStore, DataTransaction, PoolStatus } from '../backend.ts';
import { read } from '../service/failures.ts';
import type { Effect } from '../service/transport.ts';
import { HttpCaller, type CallerOptions } from './caller.ts';
import type { MappedCall, MappedTable, Mapping } from './mapping.ts';
import { replyFailure } from './reply-failure.ts';

export interface MappedStoreOptions extends CallerOptions {
  /** Reads the mapping; asked once, and again after a failure. */
  readonly load: () => Promise<Mapping>;
}

const deepest = 100;

/** The gateway's store where an existing REST service is called by a mapping file. Rows are read by key, and listed as far as the service can; each write is one call. What the service has no call for is refused by name: NOT_SUPPORTED. */
export class MappedStore implements DataStore {
  readonly #options: MappedStoreOptions;
  readonly #caller: HttpCaller;
  #mapping: Promise<Mapping> | null = null;

  constructor(options: MappedStoreOptions) {
    this.#options = options;
    this.#caller = new HttpCaller(options);
  }

  /** No call of the service is known that does nothing: a missing row is a good answer as well. */
  async checkLogin(): Promise<void> {
    await this.#known();
  }

  async listTables(): Promise<readonly string[]> {
    return Object.keys((await this.#known()).tables).sort();
  }

  async describe(table: string): Promise<TableSchema | null> {
    const { tables } = await this.#known();
    return Object.hasOwn(tables, table) ? schemaOf(table, tables[table] as MappedTable) : null;
  }

  async get(table: TableSchema, { key, columns }: GetOperation, signal: AbortSignal): Promise<Row | null> {
    const { get } = await this.#table(table);
    try {
      const node = await this.#call(get, pathWith(get.path, table, key), null, signal, 'read');
      return await this.#row(table, columns, node);
    } catch (error) {
      if (hasReason(error, 'ROW_NOT_FOUND')) return null;
      throw error;
    }
  }

  async batchGet(table: TableSchema, { keys, columns }: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    const rows: (Row | null)[] = [];
    for (const key of keys) rows.push(await this.get(table, { key, columns }, signal));
    return rows;
  }

  async query(table: TableSchema, { filter, orderBy, columns, limit, after }: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    const { list, primaryKey } = await this.#table(table);
    if (list === undefined) throw this.#no(table, 'list rows');
    if (orderBy.some(({ column, descending }, index) => descending || column !== primaryKey[index])) throw this.#no(table, 'list rows in another order than that of the key');
    const parameters = new Map<string, string>();
    for (const { column, value } of this.#equalities(table, filter)) {
      const parameter = list.filters[column];
      if (parameter === undefined) throw this.#no(table, `ask for rows by "${column}"`);
      parameters.set(parameter, textOf(columnNamed(table, column), value));
    }
    if (list.limit !== undefined) parameters.set(list.limit, String(limit));
    const [first = null] = after ?? [];
    if (after !== null) {
      if (list.after === undefined) throw this.#no(table, 'go on behind a row');
      parameters.set(list.after, textOf(columnNamed(table, primaryKey[0] ?? ''), first));
    }
    const query = [...parameters].map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
    const node = await this.#call(
      { method: 'GET', path: list.path, ...(list.rows === undefined ? {} : { row: list.rows }) },
      query === '' ? list.path : `${list.path}?${query}`,
      null,
      signal,
      'read',
    );
    if (node.kind !== 'array') throw new SwitchyardError('STORE_FAILED', `the service of keyspace "${this.#options.keyspace}" listed no rows of table "${table.name}"`);
    const rows = await Promise.all(node.elements.slice(0, limit).map((element) => this.#row(table, columns, element)));
    // A full answer of a service that bounds it, or a longer one than was asked for: others may follow.
    const more = node.elements.length > limit || (list.limit !== undefined && node.elements.length === limit);
    if (more && list.after === undefined) throw this.#no(table, `list more than ${limit} rows`);
    return { rows, more };
  }

  aggregate(table: TableSchema): Promise<readonly AggregateGroup[]> {
    return Promise.reject(this.#no(table, 'count or sum'));
  }

  async write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
  ): Promise<T> {
    const [operation, second] = operations;
    if (operation === undefined) return answer([]);
    const table = schemas.get(operation.table);
    if (table === undefined) throw new SwitchyardError('INTERNAL', `no schema was given for table "${operation.table}"`);
    if (second !== undefined) throw this.#no(table, 'do several writes, all or none');
    const result = await this.#write(table, operation, signal);
    try {
      return answer([result]);
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

  async fenceRows(): Promise<readonly FenceRow[]> {
    return [];
  }

  async warmUp(): Promise<void> {
    await this.#known();
  }

  poolStatus(): PoolStatus {
    return this.#caller.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#caller[Symbol.asyncDispose]();
  }

  async #write(table: TableSchema, operation: WriteOperation, signal: AbortSignal): Promise<WriteResult> {
    const mapped = await this.#table(table);
    const call = mapped[operation.kind];
    if (call === undefined) throw this.#no(table, operation.kind);
    if ('precondition' in operation && operation.precondition !== null) throw this.#no(table, 'write under a precondition');
    if (operation.kind === 'delete') {
      try {
        await this.#call({ ...call, row: 'none' }, pathWith(call.path, table, operation.key), null, signal, 'write');
        return { row: null, found: true };
      } catch (error) {
        if (operation.allowMissing && hasReason(error, 'ROW_NOT_FOUND')) return { row: null, found: false };
        throw error;
      }
    }
    if (operation.kind === 'update' && operation.add.columns.length > 0) throw this.#no(table, 'add to what is there');
    const given = operation.kind === 'update' ? operation.set : operation.row;
    const key = operation.kind === 'update' ? operation.key : table.primaryKey.map((name) => given.cells[given.columns.indexOf(name)] ?? null);
    const node = await this.#call(call, pathWith(call.path, table, key), rowText(table, mapped, given), signal, 'write');
    const columns = returningOf(operation);
    if (columns.length === 0) return { row: { columns: [], cells: [] }, found: true };
    if (node.kind === 'object') return { row: await this.#row(table, columns, node, true), found: true };
    // A service that answers with no row has done what it was told: what was told is what is there.
    const told = columns.map((name) =>
      table.primaryKey.includes(name)
        ? (key[table.primaryKey.indexOf(name)] ?? null)
        : given.columns.includes(name)
          ? (given.cells[given.columns.indexOf(name)] ?? null)
          : undefined,
    );
    if (told.every((cell) => cell !== undefined)) return { row: { columns, cells: told }, found: true };
    throw new SwitchyardError('STORE_FAILED', `the write was done; its answer cannot be shown: the service tells no row of table "${table.name}" after ${operation.kind}`);
  }

  async #known(): Promise<Mapping> {
    this.#mapping ??= this.#options.load();
    try {
      return await this.#mapping;
    } catch (error) {
      this.#mapping = null;
      throw error;
    }
  }

  async #table({ name }: TableSchema): Promise<MappedTable> {
    const { tables } = await this.#known();
    if (Object.hasOwn(tables, name)) return tables[name] as MappedTable;
    throw new SwitchyardError('TABLE_UNKNOWN', `the mapping file of keyspace "${this.#options.keyspace}" has no table "${name}"`, { metadata: { table: name } });
  }

  /** The row, or rows, of the answer. */
  async #call({ method, row }: MappedCall, path: string, body: string | null, signal: AbortSignal, effect: Effect): Promise<JsonNode> {
    const { base = '', headers, errors } = await this.#known();
    const reply = await this.#caller.call({ method, path: `${base === '/' ? '' : base}${path}`, body, headers }, { signal, effect });
    if (reply.status < 200 || reply.status > 299) throw replyFailure(reply, effect, errors as Readonly<Record<number, ErrorReason>>);
    if (row === 'none' || reply.text.trim() === '') return { kind: 'null', source: 'null' };
    const node = read(this.#options.keyspace, effect === 'write', () => parseJson(reply.text, 'the answer', deepest, Number.POSITIVE_INFINITY));
    const member = row === undefined ? node : node.kind === 'object' ? node.members.get(row) : undefined;
    return member ?? { kind: 'null', source: 'null' };
  }

  async #row(table: TableSchema, names: readonly string[], node: JsonNode, done = false): Promise<Row> {
    const { columns } = await this.#table(table);
    const cells = read(this.#options.keyspace, done, () =>
      names.map((name) => {
        if (node.kind !== 'object') throw new Error(`a row of table "${table.name}" is no object`);
        const column = columnNamed(table, name);
        const member = node.members.get(columns[name]?.field ?? name);
        if (member === undefined && !column.nullable) throw new Error(`a row of table "${table.name}" lacks "${columns[name]?.field ?? name}"`);
        return member === undefined ? null : decodeCell(valueFromJson(member, column, table.name), column, table.name);
      }),
    );
    return { columns: names, cells };
  }

  /** A filter as what the service may be able to: columns that have a value, all of them. */
  #equalities(table: TableSchema, filter: Filter | null): readonly { readonly column: string; readonly value: Cell }[] {
    if (filter === null) return [];
    if (filter.kind === 'and') return filter.filters.flatMap((each) => this.#equalities(table, each));
    if (filter.kind === 'compare' && filter.operator === '=') return [filter];
    throw this.#no(table, 'ask for rows otherwise than by columns that have a value');
  }

  #no(table: TableSchema, what: string): SwitchyardError {
    return new SwitchyardError('NOT_SUPPORTED', `the service behind keyspace "${this.#options.keyspace}" has no call by which table "${table.name}" could ${what}`, {
      metadata: { table: table.name },
    });
  }

  #hasNo(what: string): SwitchyardError {
    return new SwitchyardError('NOT_SUPPORTED', `the store of keyspace "${this.#options.keyspace}" is behind a foreign service, of which no ${what} are known`);
  }
}

function schemaOf(name: string, { columns, primaryKey }: MappedTable): TableSchema {
  const described = Object.entries(columns).map(
    ([column, { type, nullable, hasDefault, readOnly }]): ColumnSchema => ({ name: column, kind: type, nullable, hasDefault, generated: readOnly, nativeType: type }),
  );
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([name, described, primaryKey]))
    .digest('base64url')
    .slice(0, 22);
  return { name, columns: described, primaryKey, uniqueKeys: [], fingerprint };
}

/** A cell as it stands in a path or a query. */
function textOf(column: ColumnSchema, cell: Cell): string {
  const json = jsonFromValue(sentCell(column, cell), column);
  return json.startsWith('"') && column.kind !== 'json' ? (JSON.parse(json) as string) : json;
}

const pathWith = (path: string, table: TableSchema, key: readonly Cell[]): string =>
  path.replaceAll(/\{([^}]*)\}/g, (_, name: string) => encodeURIComponent(textOf(columnNamed(table, name), key[table.primaryKey.indexOf(name)] ?? null)));

function rowText(table: TableSchema, { columns }: MappedTable, { columns: names, cells }: Row): string {
  const members = names.map((name, index) => {
    const column = columnNamed(table, name);
    return `${JSON.stringify(columns[name]?.field ?? name)}:${jsonFromValue(sentCell(column, cells[index] ?? null), column)}`;
  });
  return `{${members.join()}}`;
}

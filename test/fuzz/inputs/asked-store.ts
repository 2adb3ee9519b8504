import type { Backend, DataStore, DataTransaction } from '../../../backends/backend.ts';
import { sqliteBackend } from '../../../backends/sqlite/backend.ts';
import type { Cell } from '../../../core/cell.ts';
import { fileShard } from '../../../core/keyspace.ts';
import { maxStoreMessageBytes } from '../../../core/message-limit.ts';
import type { AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, Row, WriteOperation } from '../../../core/operation.ts';
import { columnNamed, isGiven, type TableSchema } from '../../../core/table-schema.ts';
import { must } from '../target.ts';
import { fits } from './fitting-cell.ts';
import { SqliteTransaction } from './sqlite-transaction.ts';

/** Transactions that were begun and not disposed of. */
export interface OpenTransactions {
  count: number;
}

type Schemas = ReadonlyMap<string, TableSchema>;

const mostGroups = 10_000;

const unique = (names: readonly string[], what: string): void => must(new Set(names).size === names.length, `${what} has a column twice: ${names.join(', ')}`);

function askedColumns(table: TableSchema, names: readonly string[]): void {
  must(names.length > 0, 'no column is asked for');
  for (const name of names) columnNamed(table, name);
}

function cellsFit(table: TableSchema, names: readonly string[], cells: readonly Cell[], what: string): void {
  must(names.length === cells.length, `${what} has ${cells.length} cells for ${names.length} columns`);
  for (const [i, name] of names.entries()) {
    const [cell, { kind }] = [cells[i] ?? null, columnNamed(table, name)];
    must(cell === null || kind === 'array' || fits(kind, cell), `${what} has ${String(cell)} in a column of kind ${kind}`);
  }
}

function byteBound(maxBytes: number | undefined): void {
  must(maxBytes !== undefined && maxBytes >= 0 && maxBytes <= maxStoreMessageBytes, `up to ${maxBytes} bytes are asked for`);
}

const rowLimit = (limit: number): void => must(limit >= 1, `${limit} rows are asked for`);

function checkGet(table: TableSchema, { key, columns }: GetOperation): void {
  askedColumns(table, columns);
  cellsFit(table, table.primaryKey, key, 'a key');
}

function checkBatch(table: TableSchema, { keys, columns, maxBytes }: BatchGetOperation): void {
  askedColumns(table, columns);
  for (const key of keys) checkGet(table, { key, columns });
  byteBound(maxBytes);
}

function checkQuery(table: TableSchema, { orderBy, columns, limit, maxBytes, after }: QueryOperation): void {
  askedColumns(table, columns);
  const order = orderBy.map(({ column }) => column);
  must(order.length > 0, 'there is no order');
  must(
    order.every((name) => !['json', 'array'].includes(columnNamed(table, name).kind)),
    'the order is by what has none',
  );
  if (after !== null) cellsFit(table, order, after, 'the place behind which');
  rowLimit(limit);
  byteBound(maxBytes);
}

function checkAggregate({ limit }: AggregateOperation): void {
  rowLimit(limit);
  must(limit <= mostGroups, `${limit} groups are asked for`);
}

function checkRow(table: TableSchema, { columns, cells }: Row, what: string): void {
  unique(columns, what);
  cellsFit(table, columns, cells, what);
  for (const name of columns) must(!isGiven(columnNamed(table, name)), `${what} has a value for "${name}", which the store alone fills`);
}

function checkWrite(schemas: Schemas, operation: WriteOperation): void {
  const table = schemas.get(operation.table);
  must(table !== undefined, 'a write without its table');
  if (operation.kind !== 'delete') {
    for (const name of operation.returning) columnNamed(table, name);
  }
  switch (operation.kind) {
    case 'insert':
    case 'upsert':
      checkRow(table, operation.row, 'a row');
      must(operation.kind === 'insert' || table.primaryKey.every((name) => operation.row.columns.includes(name)), 'an upsert does not name its whole key');
      break;
    case 'delete':
      cellsFit(table, table.primaryKey, operation.key, 'a key');
      break;
    case 'update': {
      const { set, add } = operation;
      cellsFit(table, table.primaryKey, operation.key, 'a key');
      checkRow(table, set, 'what is set');
      unique([...set.columns, ...add.columns], 'what is set and added to');
      for (const [i, name] of add.columns.entries()) {
        must(add.cells[i] !== null && !isGiven(columnNamed(table, name)), `"${name}" cannot be added to`);
      }
    }
  }
}

/** A transaction that is asked only what `DataTransaction` takes: anything else is a finding. */
const askedTransaction = (inner: DataTransaction): DataTransaction => ({
  wasCommitted: inner.wasCommitted,
  hasFailed: inner.hasFailed,
  get isOver() {
    return inner.isOver;
  },
  get: (table, operation, lock, signal) => {
    checkGet(table, operation);
    return inner.get(table, operation, lock, signal);
  },
  batchGet: (table, operation, lock, signal) => {
    checkBatch(table, operation);
    return inner.batchGet(table, operation, lock, signal);
  },
  query: (table, operation, lock, signal) => {
    checkQuery(table, operation);
    return inner.query(table, operation, lock, signal);
  },
  aggregate: (table, operation, signal) => {
    checkAggregate(operation);
    return inner.aggregate(table, operation, signal);
  },
  write: (schemas, operations, signal) => {
    for (const operation of operations) checkWrite(schemas, operation);
    return inner.write(schemas, operations, signal);
  },
  savepoint: (name, signal) => inner.savepoint(name, signal),
  rollBackTo: (name, signal) => inner.rollBackTo(name, signal),
  commit: (table, signal) => inner.commit(table, signal),
  [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
});

/** SQLite's store, whose file has transactions and an event of its own beside what the product gives it. Asked for what `DataStore` does not take, of which not every kind of store would say so, it is a finding. */
function askedStore(inner: DataStore, path: string, open: OpenTransactions): DataStore {
  return {
    listTables: (signal) => inner.listTables(signal),
    describe: (table, signal) => inner.describe(table, signal),
    isWatched: (table, signal) => inner.isWatched(table, signal),
    fenceRows: (tables, signal) => inner.fenceRows(tables, signal),
    checkLogin: (signal) => inner.checkLogin(signal),
    poolStatus: () => inner.poolStatus(),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    get: (table, operation, signal) => {
      checkGet(table, operation);
      return inner.get(table, operation, signal);
    },
    batchGet: (table, operation, signal) => {
      checkBatch(table, operation);
      return inner.batchGet(table, operation, signal);
    },
    query: (table, operation, signal) => {
      checkQuery(table, operation);
      return inner.query(table, operation, signal);
    },
    aggregate: (table, operation, signal) => {
      checkAggregate(operation);
      return inner.aggregate(table, operation, signal);
    },
    write: (schemas, operations, signal, answer, bound) => {
      for (const operation of operations) checkWrite(schemas, operation);
      if (bound !== undefined) byteBound(bound.maxBytes);
      return inner.write(schemas, operations, signal, answer, bound);
    },
    writeOnce: (schemas, operations, request, signal) => {
      for (const operation of operations) checkWrite(schemas, operation);
      byteBound(request.answer.maxBytes);
      return inner.writeOnce(schemas, operations, request, signal);
    },
    begin: async (options) => {
      const transaction = new SqliteTransaction(path, options, () => {
        open.count -= 1;
      });
      open.count += 1;
      return askedTransaction(transaction);
    },
    eventLine: async () => ({ complete: 1n, last: 1n }),
    events: async (table, after, _until, limit, maxBytes) => {
      must(Number.isSafeInteger(after.attempt) && after.attempt >= 0, `events behind those of attempt ${after.attempt}`);
      rowLimit(limit);
      byteBound(maxBytes);
      const row = { columns: table.primaryKey, cells: table.primaryKey.map((name) => (columnNamed(table, name).kind === 'text' ? 'a' : 1n)) };
      return { events: [{ attempt: after.attempt, number: 1n, kind: 'insert', before: null, after: row, changedAtMicros: 0n }], cut: false, unreadable: null };
    },
    warmUp: (tables, connections, signal) => inner.warmUp(tables, connections, signal),
  };
}

/** Opens stores of SQLite that are asked only what stores of every kind can answer; see `askedStore`. */
export const askedBackend = (open: OpenTransactions): Backend => ({
  ...sqliteBackend,
  capabilities: { readFence: true, transactions: true, watching: true },
  openData: (options) => askedStore(sqliteBackend.openData(options), fileShard(options.shard).path, open),
});

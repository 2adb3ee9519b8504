import type { DataStore } from '../../../backends/backend.ts';
import type { Row, WriteOperation } from '../../../core/operation.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { ScalarKind } from '../../../core/cell.ts';
import { must } from '../target.ts';
import { fits } from './fitting-cell.ts';
import { sampleCell } from './sample-cells.ts';

/** What is asked of the data side of a store. A row that comes back is what the columns say. */
export type StoreCall = (store: DataStore, table: TableSchema, signal: AbortSignal) => Promise<unknown>;

const rowOfAll = ({ columns }: TableSchema): Row => {
  const own = columns.filter(({ generated }) => !generated);
  return { columns: own.map(({ name }) => name), cells: own.map(({ kind }) => sampleCell(kind)) };
};
const keyOf = ({ primaryKey, columns }: TableSchema) => primaryKey.map((name) => sampleCell(columns.find((column) => column.name === name)?.kind ?? 'text'));
const namesOf = ({ columns }: TableSchema): readonly string[] => columns.map(({ name }) => name);

function checked(table: TableSchema, row: Row | null): void {
  for (const [i, name] of (row?.columns ?? []).entries()) {
    const cell = row?.cells[i] ?? null;
    const kind = table.columns.find((column) => column.name === name)?.kind;
    must(cell === null || kind === 'array' || fits(kind as ScalarKind, cell), `${String(cell)} in a column of kind ${kind}`);
  }
}

async function written(store: DataStore, table: TableSchema, operation: WriteOperation, signal: AbortSignal): Promise<void> {
  for (const { row } of await store.write(new Map([[table.name, table]]), [operation], signal)) checked(table, row);
}

export const storeCalls: Readonly<Record<string, StoreCall>> = {
  listTables: async (store, _, signal) => {
    for (const name of await store.listTables(signal)) must(typeof name === 'string', `a table of the name ${String(name)}`);
  },
  get: async (store, table, signal) => checked(table, await store.get(table, { key: keyOf(table), columns: namesOf(table) }, signal)),
  batchGet: async (store, table, signal) => {
    const rows = await store.batchGet(table, { keys: [keyOf(table), keyOf(table)], columns: namesOf(table) }, signal);
    must(rows.length === 2, `${rows.length} rows for 2 keys`);
    for (const row of rows) checked(table, row);
  },
  query: async (store, table, signal) => {
    const [column] = table.primaryKey;
    const equal = { kind: 'compare', column: column ?? '', operator: '=', value: keyOf(table)[0] ?? null } as const;
    const orderBy = table.primaryKey.map((name) => ({ column: name, descending: false }));
    const page = await store.query(table, { filter: equal, orderBy, columns: namesOf(table), limit: 5, after: null }, signal);
    for (const row of page.rows) checked(table, row);
  },
  page: async (store, table, signal) => {
    const orderBy = table.primaryKey.map((name) => ({ column: name, descending: false }));
    for (const row of (await store.query(table, { filter: null, orderBy, columns: namesOf(table), limit: 2, after: keyOf(table) }, signal)).rows) checked(table, row);
  },
  aggregate: async (store, table, signal) => {
    await store.aggregate(table, { filter: null, aggregations: [{ kind: 'count' }, { kind: 'max', column: table.primaryKey[0] ?? '' }], groupBy: null, limit: 10 }, signal);
  },
  insert: (store, table, signal) => written(store, table, { kind: 'insert', table: table.name, row: rowOfAll(table), returning: namesOf(table) }, signal),
  upsert: (store, table, signal) => written(store, table, { kind: 'upsert', table: table.name, row: rowOfAll(table), precondition: null, returning: namesOf(table) }, signal),
  update: (store, table, signal) => {
    const row = rowOfAll(table);
    const set = { columns: row.columns.filter((name) => !table.primaryKey.includes(name)), cells: row.cells.filter((_, i) => !table.primaryKey.includes(row.columns[i] ?? '')) };
    return written(
      store,
      table,
      { kind: 'update', table: table.name, key: keyOf(table), set, add: { columns: [], cells: [] }, precondition: null, returning: namesOf(table) },
      signal,
    );
  },
  delete: (store, table, signal) => written(store, table, { kind: 'delete', table: table.name, key: keyOf(table), precondition: null, allowMissing: true }, signal),
  eventLine: (store, _, signal) => store.eventLine(signal),
  events: (store, table, signal) => store.events(table, { attempt: 1 as never, number: 0n }, 10n, 10, 10_000, signal),
  fenceRows: (store, table, signal) => store.fenceRows([table.name], signal),
};

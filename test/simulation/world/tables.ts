import type { Cell } from '../../../core/cell.ts';
import type { TableSchema } from '../../../core/table-schema.ts';

const int64 = (name: string, nullable: boolean) => ({ name, kind: 'int64' as const, nullable, hasDefault: false, generated: false, nativeType: 'bigint' });

const table = (name: string): TableSchema => ({
  name,
  columns: [int64('id', false), int64('value', true)],
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: `${name}/1`,
});

/** The tables that are moved to and fro, together. */
export const movedTables: readonly TableSchema[] = [table('item'), table('line')];
export const tableNames = movedTables.map(({ name }) => name);

/** Rows by what is done to them: registers with unique values, counters, values that are set under a condition, and two rows, one in each table, that are only ever written together. */
export const registers = [1n, 2n, 3n] as const;
export const counters = [11n, 12n] as const;
export const swaps = [21n] as const;
export const pairKey = 31n;

/** What the tables hold at the beginning. */
export const initialRows: Readonly<Record<string, readonly (readonly Cell[])[]>> = {
  item: [...registers.map((id) => [id, null]), ...counters.map((id) => [id, 0n]), ...swaps.map((id) => [id, 0n]), [pairKey, 0n]],
  line: [[pairKey, 0n]],
};

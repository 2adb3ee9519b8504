import type { WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { rowReaders } from '../../row-readers.ts';
import { type DoneWrite, missableKey, tableOf, writeResults } from '../../write-answers.ts';
import { cellFromText } from '../cells.ts';
import { compileExists, compileWrite } from './compiler.ts';
import type { PlannedWrite } from './write.ts';

/* From operations to statements, and from texts to rows: what calls of their own and transactions have in common. */

export const { rowReader, onlyRow, placedRows, pageOf, groupsOf } = rowReaders<string | null>(cellFromText);

/** The writes' statements. `schemas` holds the shape of every table named. */
export function planned(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[]): readonly PlannedWrite[] {
  return operations.map((operation) => {
    const table = tableOf(schemas, operation);
    const key = missableKey(table, operation);
    return { operation, table, statement: compileWrite(table, operation), exists: key === null ? null : compileExists(table, key) };
  });
}

/** What the writes returned. STORE_FAILED, beginning with `failure`, where a value has no cell. */
export const results = (writes: readonly PlannedWrite[], done: readonly DoneWrite<string | null>[], failure: string): readonly WriteResult[] =>
  writeResults(writes, done, rowReader, failure);

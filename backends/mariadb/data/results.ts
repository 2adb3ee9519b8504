import type { Cell } from '../../../core/cell.ts';
import type { WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { rowReaders } from '../../row-readers.ts';
import { type DoneWrite, missableKey, tableOf, writeResults } from '../../write-answers.ts';
import { cellFromValue } from '../cells.ts';
import type { Value } from '../session.ts';
import { compileLook, compilePlainInsert, compileReread, compileWrite } from './compiler.ts';
import type { PlannedWrite } from './write.ts';

/* From operations to statements, and from values to rows: what calls of their own and transactions have in common. */

export const { rowReader, onlyRow, placedRows, pageOf, groupsOf } = rowReaders<Value>(cellFromValue);

/** The writes' statements. `schemas` holds the shape of every table named. */
export function planned(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[]): readonly PlannedWrite[] {
  return operations.map((operation): PlannedWrite => {
    const table = tableOf(schemas, operation);
    const key = operation.kind === 'upsert' ? keyOf(table, operation) : missableKey(table, operation);
    return {
      operation,
      table,
      statement: compileWrite(table, operation),
      insert: operation.kind === 'upsert' ? compilePlainInsert(table, operation) : null,
      reread: operation.kind === 'update' && operation.returning.length > 0 ? compileReread(table, operation) : null,
      look: key === null ? null : compileLook(table, operation, key),
    };
  });
}

const keyOf = (table: TableSchema, { row: { columns, cells } }: Extract<WriteOperation, { kind: 'upsert' }>): readonly Cell[] =>
  table.primaryKey.map((name) => cells[columns.indexOf(name)] ?? null);

/** What the writes returned. STORE_FAILED, beginning with `failure`, where a value has no cell. */
export const results = (writes: readonly PlannedWrite[], done: readonly DoneWrite<Value>[], failure: string): readonly WriteResult[] =>
  writeResults(writes, done, rowReader, failure);

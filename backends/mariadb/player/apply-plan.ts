import { assertNever } from '../../../core/assert-never.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../../core/change.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { cellsOf, type CopiedChunk } from '../../backend.ts';
import { type KeyRange, keyRange } from '../../key-range.ts';

/** One set-wise step of a batch's changes. */
export type ChangeStep =
  /** Takes all rows away. */
  | { readonly kind: 'clear'; readonly table: string }
  | { readonly kind: 'delete'; readonly table: TableSchema; readonly keys: readonly (readonly Cell[])[] }
  /** Rows whose keys are free. */
  | { readonly kind: 'insert'; readonly table: TableSchema; readonly rows: readonly (readonly Cell[])[] }
  /** Gives the row with `oldKey`, where there is one, the key and the cells of `row`; unchanged ones stay. */
  | { readonly kind: 'update'; readonly table: TableSchema; readonly oldKey: readonly Cell[]; readonly row: readonly ChangedCell[] };

/** One of copied rows. */
export type CopyStep =
  | Extract<ChangeStep, { kind: 'delete' }>
  /** Takes away what is between two keys of one column, both included. */
  | { readonly kind: 'deleteBetween'; readonly table: TableSchema; readonly range: KeyRange }
  /** Many rows whose keys are free. */
  | { readonly kind: 'load'; readonly table: TableSchema; readonly rows: readonly (readonly Cell[])[] };

type Outcome =
  | { readonly kind: 'gone'; readonly key: readonly Cell[] }
  | { readonly kind: 'whole'; readonly row: readonly Cell[] }
  | { readonly kind: 'part'; readonly row: readonly ChangedCell[] };

/**
 * Few steps whose result equals that of the changes one after another. Of every key only what became of it counts: rows that are gone or were given whole are deleted, and then those that are there in the end are inserted, so that unique keys
 * may have passed between them in any order. INSERT … ON DUPLICATE KEY UPDATE would not do: it takes a row that is equal in *any* unique key for the row. Only where rows came in part (a source that leaves out large values) can a
 * unique key be in the way; then the changes must be applied one by one (`planOneByOne`).
 */
export function planChanges(changes: readonly RowChange[], schemas: ReadonlyMap<string, TableSchema>): readonly ChangeStep[] {
  const steps: ChangeStep[] = [];
  const pending = new Map<string, PendingTable>();
  for (const change of changes) {
    if (change.kind === 'truncate') {
      for (const table of change.tables) {
        // What the table had before is void.
        pending.delete(table);
        steps.push({ kind: 'clear', table: schemaOf(schemas, table).name });
      }
      continue;
    }
    let table = pending.get(change.table);
    if (table === undefined) {
      table = new PendingTable(schemaOf(schemas, change.table));
      pending.set(change.table, table);
    }
    steps.push(...table.add(change));
  }
  for (const table of pending.values()) steps.push(...table.flush());
  return steps;
}

/** The changes as steps of their own, in their own order. */
export function planOneByOne(changes: readonly RowChange[], schemas: ReadonlyMap<string, TableSchema>): readonly ChangeStep[] {
  return changes.flatMap((change) => planChanges([change], schemas));
}

/** Rows that replace those with their keys. */
export function planCopied(table: TableSchema, copied: CopiedChunk): readonly CopyStep[] {
  const indexes = keyIndexes(table);
  const rows = cellsOf(copied.rows);
  if (rows.length === 0) return [];
  // Of a comparison of row values the server uses no index.
  const range = indexes.length === 1 ? keyRange(table, copied) : null;
  const keys = rows.map((row) => indexes.map((i) => row[i] ?? null));
  return [range === null ? { kind: 'delete', table, keys } : { kind: 'deleteBetween', table, range }, { kind: 'load', table, rows }];
}

export function schemaOf(schemas: ReadonlyMap<string, TableSchema>, name: string): TableSchema {
  const schema = schemas.get(name);
  if (schema === undefined) throw new SwitchyardError('INTERNAL', `a change names table "${name}", whose schema was not given`);
  return schema;
}

/** The latest outcome of every key that the changes since the last flush have touched, in the order of their last change. */
class PendingTable {
  readonly #schema: TableSchema;
  readonly #keyIndexes: readonly number[];
  readonly #outcomes = new Map<string, Outcome>();

  constructor(schema: TableSchema) {
    this.#schema = schema;
    this.#keyIndexes = keyIndexes(schema);
  }

  /** Returns the steps that must come before whatever is added later; mostly none. */
  add(change: Exclude<RowChange, { kind: 'truncate' }>): readonly ChangeStep[] {
    switch (change.kind) {
      case 'insert':
        this.#put({ kind: 'whole', row: change.row });
        return [];
      case 'delete':
        this.#put({ kind: 'gone', key: change.key });
        return [];
      case 'update':
        return this.#update(change.row, change.oldKey);
      default:
        return assertNever(change);
    }
  }

  flush(): readonly ChangeStep[] {
    const outcomes = [...this.#outcomes.values()];
    this.#outcomes.clear();
    const keys = outcomes.flatMap((outcome) => (outcome.kind === 'part' ? [] : [this.#keyOf(outcome)]));
    const rows = outcomes.flatMap((outcome) => (outcome.kind === 'whole' ? [outcome.row] : []));
    const steps: ChangeStep[] = [];
    if (keys.length > 0) steps.push({ kind: 'delete', table: this.#schema, keys });
    for (const outcome of outcomes) if (outcome.kind === 'part') steps.push({ kind: 'update', table: this.#schema, oldKey: this.#keyOf(outcome), row: outcome.row });
    if (rows.length > 0) steps.push({ kind: 'insert', table: this.#schema, rows });
    return steps;
  }

  #update(row: readonly ChangedCell[], oldKey: readonly Cell[] | null): readonly ChangeStep[] {
    const before = this.#outcomes.get(keyText(oldKey ?? this.#keyOfRow(row)));
    const merged = before === undefined || before.kind === 'gone' ? row : row.map((cell, i) => (cell === unchanged ? (before.row[i] ?? null) : cell));
    const whole = isWhole(merged) ? merged : null;
    // The cells that were not sent are in the target's old row only.
    if (oldKey !== null && whole === null) return [...this.flush(), { kind: 'update', table: this.#schema, oldKey, row: merged }];
    if (oldKey !== null) this.#put({ kind: 'gone', key: oldKey });
    this.#put(whole === null ? { kind: 'part', row: merged } : { kind: 'whole', row: whole });
    return [];
  }

  #put(outcome: Outcome): void {
    const text = keyText(this.#keyOf(outcome));
    this.#outcomes.delete(text);
    this.#outcomes.set(text, outcome);
  }

  #keyOf(outcome: Outcome): readonly Cell[] {
    return outcome.kind === 'gone' ? outcome.key : this.#keyOfRow(outcome.row);
  }

  #keyOfRow(row: readonly ChangedCell[]): readonly Cell[] {
    return this.#keyIndexes.map((i) => {
      const cell = row[i];
      if (cell === undefined || cell === unchanged) throw new SwitchyardError('INTERNAL', `a change of table "${this.#schema.name}" lacks a part of its key`);
      return cell;
    });
  }
}

const isWhole = (row: readonly ChangedCell[]): row is readonly Cell[] => !row.includes(unchanged);

import { assertNever } from '../../../core/assert-never.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../../core/change.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';

/** One set-wise statement of a batch. */
export type ApplyStep =
  | { readonly kind: 'truncate'; readonly tables: readonly string[] }
  | { readonly kind: 'delete'; readonly table: TableSchema; readonly keys: readonly (readonly Cell[])[] }
  | { readonly kind: 'upsert'; readonly table: TableSchema; readonly rows: readonly (readonly Cell[])[] }
  /** Sets the columns with these indexes in rows that exist; `rows` are whole, with any cell at the other columns but the key. */
  | { readonly kind: 'patch'; readonly table: TableSchema; readonly columns: readonly number[]; readonly rows: readonly (readonly ChangedCell[])[] }
  /** Gives the row with `oldKey` the key and the cells of `row`; unchanged ones stay. */
  | { readonly kind: 'move'; readonly table: TableSchema; readonly oldKey: readonly Cell[]; readonly row: readonly ChangedCell[] };

type Outcome =
  | { readonly kind: 'gone'; readonly key: readonly Cell[] }
  | { readonly kind: 'whole'; readonly row: readonly Cell[] }
  | { readonly kind: 'part'; readonly row: readonly ChangedCell[] };

/**
 * Few set-wise steps whose result equals that of the changes one after another, but for the order in which unique keys pass from row to row: a unique violation means that the changes must be
 * applied one by one (`planOneByOne`).
 */
export function planChanges(changes: readonly RowChange[], schemas: ReadonlyMap<string, TableSchema>): readonly ApplyStep[] {
  const steps: ApplyStep[] = [];
  const pending = new Map<string, PendingTable>();
  for (const change of changes) {
    if (change.kind === 'truncate') {
      // What the truncated tables had before is void; the other tables do not depend on it.
      for (const table of change.tables) pending.delete(table);
      steps.push({ kind: 'truncate', tables: change.tables });
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

/** The changes as one step each, in their own order. */
export function planOneByOne(changes: readonly RowChange[], schemas: ReadonlyMap<string, TableSchema>): readonly ApplyStep[] {
  return changes.flatMap((change) => planChanges([change], schemas));
}

function schemaOf(schemas: ReadonlyMap<string, TableSchema>, name: string): TableSchema {
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
  add(change: Exclude<RowChange, { kind: 'truncate' }>): readonly ApplyStep[] {
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

  flush(): readonly ApplyStep[] {
    const keys: (readonly Cell[])[] = [];
    const rows: (readonly Cell[])[] = [];
    const parts = new Map<string, { readonly columns: readonly number[]; readonly rows: (readonly ChangedCell[])[] }>();
    for (const outcome of this.#outcomes.values()) {
      if (outcome.kind === 'gone') keys.push(outcome.key);
      else if (outcome.kind === 'whole') rows.push(outcome.row);
      else {
        const columns = outcome.row.flatMap((cell, i) => (cell === unchanged || this.#keyIndexes.includes(i) || this.#schema.columns[i]?.generated ? [] : [i]));
        const group = parts.get(columns.join()) ?? { columns, rows: [] };
        group.rows.push(outcome.row);
        parts.set(columns.join(), group);
      }
    }
    this.#outcomes.clear();
    const steps: ApplyStep[] = [];
    if (keys.length > 0) steps.push({ kind: 'delete', table: this.#schema, keys });
    for (const part of parts.values()) if (part.columns.length > 0) steps.push({ kind: 'patch', table: this.#schema, ...part });
    if (rows.length > 0) steps.push({ kind: 'upsert', table: this.#schema, rows });
    return steps;
  }

  #update(row: readonly ChangedCell[], oldKey: readonly Cell[] | null): readonly ApplyStep[] {
    const before = this.#outcomes.get(keyText(oldKey ?? this.#keyOf(row)));
    const merged = before === undefined || before.kind === 'gone' ? row : row.map((cell, i) => (cell === unchanged ? (before.row[i] ?? null) : cell));
    const whole = wholeOrNull(merged);
    if (oldKey !== null && whole === null) {
      // The cells that were not sent are in the target's old row only.
      return [...this.flush(), { kind: 'move', table: this.#schema, oldKey, row: merged }];
    }
    if (oldKey !== null) this.#put({ kind: 'gone', key: oldKey });
    this.#put(whole === null ? { kind: 'part', row: merged } : { kind: 'whole', row: whole });
    return [];
  }

  #put(outcome: Outcome): void {
    const text = keyText(outcome.kind === 'gone' ? outcome.key : this.#keyOf(outcome.row));
    this.#outcomes.delete(text);
    this.#outcomes.set(text, outcome);
  }

  #keyOf(row: readonly ChangedCell[]): readonly Cell[] {
    return this.#keyIndexes.map((i) => {
      const cell = row[i];
      if (cell === undefined || cell === unchanged) throw new SwitchyardError('INTERNAL', `a change of table "${this.#schema.name}" lacks a part of its key`);
      return cell;
    });
  }
}

function wholeOrNull(row: readonly ChangedCell[]): readonly Cell[] | null {
  return row.every((cell): cell is Cell => cell !== unchanged) ? row : null;
}

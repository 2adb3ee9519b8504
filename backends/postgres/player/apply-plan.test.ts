import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Cell } from '../../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../../core/change.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { type ApplyStep, planChanges, planOneByOne } from './apply-plan.ts';

const column = (name: string) => ({ name, kind: 'int32' as const, nullable: true, hasDefault: false, generated: false, nativeType: 'integer' });
const schema = (name: string): TableSchema => ({ name, columns: ['a', 'k', 'b'].map(column), primaryKey: ['k'], uniqueKeys: [], fingerprint: name });
const schemas = new Map(['t', 'u'].map((name) => [name, schema(name)]));

type Store = Map<string, Map<Cell, readonly Cell[]>>;
const emptyStore = (): Store => new Map([...schemas.keys()].map((name) => [name, new Map()]));
const tableOf = (store: Store, name: string): Map<Cell, readonly Cell[]> => store.get(name) as Map<Cell, readonly Cell[]>;
const merge = (row: readonly ChangedCell[], old: readonly Cell[]): readonly Cell[] => row.map((cell, i) => (cell === unchanged ? (old[i] ?? null) : cell));

/** What the steps do to a store. */
function runSteps(store: Store, steps: readonly ApplyStep[]): void {
  for (const step of steps) {
    if (step.kind === 'truncate') for (const name of step.tables) tableOf(store, name).clear();
    else {
      const rows = tableOf(store, step.table.name);
      if (step.kind === 'delete') for (const key of step.keys) rows.delete(key[0] ?? null);
      else if (step.kind === 'upsert') for (const row of step.rows) rows.set(row[1] ?? null, row);
      else if (step.kind === 'patch') {
        for (const row of step.rows) {
          const old = rows.get(row[1] as Cell);
          if (old !== undefined)
            rows.set(
              row[1] as Cell,
              merge(
                row.map((cell, i) => (step.columns.includes(i) ? cell : unchanged)),
                old,
              ),
            );
        }
      } else {
        const old = rows.get(step.oldKey[0] ?? null);
        rows.delete(step.oldKey[0] ?? null);
        if (old !== undefined) rows.set(step.row[1] as Cell, merge(step.row, old));
      }
    }
  }
}

interface Command {
  readonly table: string;
  readonly what: number;
  readonly key: number;
  readonly other: number;
  readonly value: number;
  readonly isSent: boolean;
}

/** A history that a source could have had: its changes, and its tables before and after. */
function history(commands: readonly Command[], before: number): { start: Store; end: Store; changes: readonly RowChange[] } {
  const store = emptyStore();
  const changes: RowChange[] = [];
  let start = emptyStore();
  for (const [at, command] of commands.entries()) {
    if (at === before) {
      start = new Map([...store].map(([name, rows]) => [name, new Map(rows)]));
      changes.length = 0;
    }
    const rows = tableOf(store, command.table);
    const old = rows.get(command.key);
    const { table, value, key, other } = command;
    if (command.what === 0) {
      rows.clear();
      changes.push({ kind: 'truncate', tables: [table] });
    } else if (old === undefined) {
      rows.set(key, [value, key, value]);
      changes.push({ kind: 'insert', table, row: [value, key, value] });
    } else if (command.what < 4) {
      rows.delete(key);
      changes.push({ kind: 'delete', table, key: [key] });
    } else {
      const moves = command.what > 7 && !rows.has(other);
      const newKey = moves ? other : key;
      rows.delete(key);
      rows.set(newKey, [value, newKey, command.isSent ? value : (old[2] ?? null)]);
      changes.push({ kind: 'update', table, row: [value, newKey, command.isSent ? value : unchanged], oldKey: moves ? [key] : null });
    }
  }
  if (commands.length <= before) return { start: store, end: store, changes: [] };
  return { start, end: store, changes };
}

const commands = fc.array(
  fc.record({
    table: fc.constantFrom('t', 'u'),
    what: fc.integer({ min: 0, max: 12 }),
    key: fc.integer({ min: 1, max: 4 }),
    other: fc.integer({ min: 1, max: 4 }),
    value: fc.integer({ min: 0, max: 1_000 }),
    isSent: fc.boolean(),
  }),
  { maxLength: 60 },
);

describe('planChanges', () => {
  test.each([
    ['set-wise', planChanges],
    ['one by one', planOneByOne],
  ] as const)('%s leads to where the source is', (_, plan) => {
    fc.assert(
      fc.property(commands, fc.nat(30), (list, before) => {
        const { start, end, changes } = history(list, before);
        runSteps(start, plan(changes, schemas));
        expect(start).toEqual(end);
      }),
      { numRuns: 500 },
    );
  });

  test('one statement of a kind for each table, whatever the number of changes', () => {
    const changes: RowChange[] = Array.from({ length: 100 }, (_, i) => ({ kind: 'insert', table: i % 2 === 0 ? 't' : 'u', row: [i, i, i] }));
    changes.push(
      { kind: 'update', table: 't', row: [5, 0, unchanged], oldKey: null },
      { kind: 'delete', table: 't', key: [2] },
      { kind: 'update', table: 't', row: [7, 200, unchanged], oldKey: null },
    );
    expect(planChanges(changes, schemas).map((step) => step.kind)).toEqual(['delete', 'patch', 'upsert', 'upsert']);
  });

  test('a table without a schema is refused', () => {
    expect(() => planChanges([{ kind: 'delete', table: 'x', key: [1] }], schemas)).toThrow('whose schema was not given');
  });
});

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Capabilities, DataStore } from '../../backends/backend.ts';
import { aggregateKind } from '../../core/aggregate-column.ts';
import { type Cell, type ColumnKind, cellsEqual, cellText } from '../../core/cell.ts';
import type { CompareOperator, Filter, OrderTerm, WriteOperation } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { byId, never, none, reasonOf, rowOf } from './data-store-harness.ts';

/** A real store, in which the tables of the contract can be made. */
export interface TypesHarness extends AsyncDisposable {
  readonly store: DataStore;
  readonly capabilities: Capabilities;
  /** Runs a script as the owner, and gives the gateway its rights on what is there then. */
  script(text: string): Promise<void>;
}

/** Declared types of a kind of store, by column kind; a kind that it does not have says why. `values`: where the type has not all of the kind's, others in the same order. */
export type DeclaredTypes = Readonly<Record<Sample['kind'], string | { readonly none: string } | { readonly type: string; readonly values: Sample['values'] }>>;

/** Values of one kind in the order of the API, smallest first; json and arrays have none. */
interface Sample {
  readonly kind: Exclude<ColumnKind, 'array'> | 'int64[]' | 'text[]';
  readonly values: readonly [Cell, Cell, Cell, Cell, ...Cell[]];
  /** Of numbers: what can be added to the second value, and what comes out. */
  readonly add?: readonly [by: Cell, sum: Cell];
  /** Of numbers: the sum of all values. */
  readonly sum?: Cell;
}

const bytes = (...values: readonly number[]): Uint8Array => new Uint8Array(values);
const maxInt64 = 9_223_372_036_854_775_807n;

const samples: readonly Sample[] = [
  { kind: 'int16', values: [-32_768, -1, 0, 32_767], add: [5, 4], sum: '-2' },
  { kind: 'int32', values: [-2_147_483_648, -1, 0, 2_147_483_647], add: [5, 4], sum: '-2' },
  { kind: 'int64', values: [-maxInt64 - 1n, -1n, 9_007_199_254_740_993n, maxInt64], add: [5n, 4n], sum: '9007199254740991' },
  { kind: 'uint64', values: [0n, 9n, 10n, 18_446_744_073_709_551_615n], add: [-3n, 6n], sum: '18446744073709551634' },
  { kind: 'float32', values: [-16_777_216, -0.5, 0.25, 1.5], add: [0.75, 0.25], sum: -16_777_214.75 },
  { kind: 'float64', values: [-1e300, -0.5, 0.1, 1e300], add: [0.75, 0.25] },
  { kind: 'decimal', values: ['-99999999.9900', '-0.0001', '9.0000', '10.0000'], add: ['1.5000', '1.4999'], sum: '-99999980.9901' },
  // By their bytes: upper case before lower case, what lies beyond ASCII last.
  { kind: 'text', values: ['', 'B%', 'a_', 'ab', 'ä', '😀'] },
  { kind: 'bytes', values: [bytes(), bytes(0), bytes(0, 1), bytes(255)] },
  { kind: 'bool', values: [false, true, false, true] },
  {
    kind: 'uuid',
    values: ['00000000-0000-0000-0000-000000000000', '0fffffff-ffff-4fff-8fff-ffffffffffff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  },
  { kind: 'date', values: ['-infinity', '0001-01-01', '2024-02-29', 'infinity'] },
  { kind: 'time', values: [0n, 1n, 86_399_999_999n, 86_400_000_000n] },
  { kind: 'timestamp', values: [-maxInt64 - 1n, -1n, 0n, maxInt64] },
  { kind: 'timestamptz', values: [-maxInt64 - 1n, -1n, 951_825_600_100_000n, maxInt64] },
  { kind: 'enum', values: ['angry', 'calm', 'so so', 'wild'] },
  { kind: 'json', values: ['{"a": [1.0, null], "b": 1}', '[]', 'null', '12345678901234567890.10'] },
  { kind: 'int64[]', values: [[], [maxInt64], [1n, null], [2n, 1n]] },
  { kind: 'text[]', values: [[], ['NULL', null], ['a b', '"'], ['{}']] },
];

const hasOrder = ({ kind }: Sample): boolean => kind !== 'json' && !kind.endsWith('[]');
const columnKind = ({ kind }: Sample): ColumnKind => (kind.endsWith('[]') ? 'array' : (kind as ColumnKind));
const byValue = (descending = false): readonly OrderTerm[] => [
  { column: 'v', descending },
  { column: 'id', descending: false },
];
const operators: Readonly<Record<CompareOperator, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};
const compare = (column: string, operator: CompareOperator, value: Cell): Filter => ({ kind: 'compare', column, operator, value });

/** Every operation of a gateway's store on every type: what goes in comes out, is found, compares, counts, changes, and identifies a row. */
export function operationsByTypeContract(name: string, types: DeclaredTypes, setup: () => Promise<TypesHarness>): void {
  describe(`${name}, every operation`, () => {
    let harness: TypesHarness;
    let store: DataStore;

    beforeAll(async () => {
      harness = await setup();
      store = harness.store;
      const tables = samples.flatMap((sample) => {
        const declared = types[sample.kind];
        if (typeof declared !== 'string' && 'none' in declared) return [];
        const type = typeof declared === 'string' ? declared : declared.type;
        const held = `CREATE TABLE ${heldIn(sample)} (id BIGINT NOT NULL PRIMARY KEY, v ${type});`;
        if (!hasOrder(sample)) return [held];
        const paired = `CREATE TABLE ${pairedIn(sample)} (id BIGINT NOT NULL PRIMARY KEY, a ${type}, b ${type});`;
        return [held, paired, `CREATE TABLE ${keyedBy(sample)} (v ${type} NOT NULL PRIMARY KEY, n BIGINT NOT NULL);`];
      });
      await harness.script(tables.join('\n'));
    });
    afterAll(async () => {
      await harness?.[Symbol.asyncDispose]();
    });

    const described = async (table: string): Promise<TableSchema> => {
      const schema = await store.describe(table, never);
      if (schema === null) throw new Error(`no table ${table}`);
      return schema;
    };

    describe.each(samples.map((sample) => [sample.kind, sample] as const))('on %s', (_, sample) => {
      const declared = types[sample.kind];
      if (typeof declared !== 'string' && 'none' in declared) {
        test.skip(`(left out: ${declared.none})`, () => {});
        return;
      }
      const table = heldIn(sample);
      const { values } = typeof declared === 'string' ? sample : declared;
      const [first, second] = values;
      const distinct = new Set(values.map(cellText)).size === values.length;
      let held: TableSchema;
      let schemas: ReadonlyMap<string, TableSchema>;

      const write = (...operations: readonly WriteOperation[]) => store.write(schemas, operations, never);
      const insert = (id: number, v: Cell): WriteOperation => ({ kind: 'insert', table, row: rowOf({ id: BigInt(id), v }), returning: ['v'] });
      const update = (id: number, more: Partial<Extract<WriteOperation, { kind: 'update' }>>): WriteOperation => ({
        kind: 'update',
        table,
        key: [BigInt(id)],
        set: none,
        add: none,
        precondition: null,
        returning: ['v'],
        ...more,
      });
      const remove = (id: number, precondition: Filter | null = null): WriteOperation => ({ kind: 'delete', table, key: [BigInt(id)], precondition, allowMissing: true });
      const cellOf = async (id: number): Promise<Cell | undefined> => (await store.get(held, { key: [BigInt(id)], columns: ['v'] }, never))?.cells[0];
      const idsWhere = async (filter: Filter | null, orderBy = byId): Promise<readonly number[]> =>
        (await store.query(held, { filter, orderBy, columns: ['id'], limit: 100, after: null }, never)).rows.map(({ cells }) => Number(cells[0]));
      /** Ids of the values for which this holds; row n holds value n, the row behind them NULL. */
      const idsOf = (holds: (value: Cell, index: number) => boolean): readonly number[] => values.flatMap((value, index) => (holds(value, index) ? [index] : []));
      /** Brings the table into its state: row n holds value n, the one behind them NULL. */
      const fill = async (): Promise<void> => {
        await write(...Array.from({ length: 20 }, (_each, id) => remove(id)));
        await write(...[...values, null].map((value, id) => insert(id, value)));
      };
      const equal = (a: Cell | undefined, b: Cell): void => {
        if (a === undefined || !cellsEqual(a, b)) throw new Error(`${a === undefined ? 'nothing' : cellText(a)} is not ${cellText(b)}`);
      };
      const order = (a: Cell, b: Cell): number => values.findIndex((each) => cellsEqual(each, a)) - values.findIndex((each) => cellsEqual(each, b));

      beforeAll(async () => {
        held = await described(table);
        schemas = new Map([[table, held]]);
        await fill();
      });

      test('the table is described with it', () => {
        const column = held.columns.find(({ name: each }) => each === 'v');
        expect([column?.kind, column?.nullable]).toEqual([columnKind(sample), true]);
      });

      test('insert, get and batchGet', async () => {
        await fill();
        for (const [id, value] of [...values, null].entries()) equal(await cellOf(id), value);
        const back = await store.batchGet(held, { keys: [1n, 99n, 0n].map((id) => [id]), columns: ['v'] }, never);
        equal(back[0]?.cells[0], second);
        expect(back[1]).toBeNull();
        equal(back[2]?.cells[0], first);
        const [inserted] = await write(insert(19, second));
        equal(inserted?.row?.cells[0], second);
        await write(remove(19));
      });

      test('filters of equality', async () => {
        await fill();
        for (const value of values) {
          const same = (each: Cell): boolean => (columnKind(sample) === 'json' ? cellText(each) === cellText(value) : cellsEqual(each, value));
          expect(await idsWhere(compare('v', '=', value))).toEqual(idsOf(same));
          expect(await idsWhere(compare('v', '<>', value))).toEqual(idsOf((each) => !same(each)));
        }
        expect(await idsWhere({ kind: 'isNull', column: 'v' })).toEqual([values.length]);
        expect(await idsWhere({ kind: 'not', filter: { kind: 'isNull', column: 'v' } })).toEqual(idsOf(() => true));
      });

      if (hasOrder(sample)) {
        test('filters of order, lists, tuples and what they are joined to', async () => {
          await fill();
          for (const value of values)
            for (const [operator, holds] of Object.entries(operators))
              expect([operator, value, await idsWhere(compare('v', operator as CompareOperator, value))]).toEqual([operator, value, idsOf((each) => holds(order(each, value)))]);
          expect(await idsWhere({ kind: 'in', column: 'v', values: [first, second] })).toEqual(idsOf((each) => order(each, first) === 0 || order(each, second) === 0));
          const range: Filter = { kind: 'and', filters: [compare('v', '>', first), compare('v', '<=', second)] };
          expect(await idsWhere(range)).toEqual(idsOf((each) => order(each, first) > 0 && order(each, second) <= 0));
          expect(await idsWhere({ kind: 'or', filters: [compare('v', '=', first), range] })).toEqual(idsOf((each) => order(each, second) <= 0));
          expect(await idsWhere({ kind: 'not', filter: range })).toEqual(idsOf((each) => !(order(each, first) > 0 && order(each, second) <= 0)));
          expect(await idsWhere({ kind: 'tuple', columns: ['v', 'id'], operator: '>', values: [second, 1n] })).toEqual(
            idsOf((each, id) => order(each, second) > 0 || (order(each, second) === 0 && id > 1)),
          );
        });

        test.each([false, true])('order and pages, descending: %s', async (descending) => {
          await fill();
          const whole = await store.query(held, { filter: null, orderBy: byValue(descending), columns: ['id', 'v'], limit: 100, after: null }, never);
          const ids = whole.rows.map(({ cells }) => Number(cells[0]));
          const expected = idsOf(() => true).toSorted((a, b) => order(values[a] ?? null, values[b] ?? null) * (descending ? -1 : 1) || a - b);
          // NULL is larger than every value.
          expect(ids).toEqual(descending ? [values.length, ...expected] : [...expected, values.length]);
          const paged: number[] = [];
          for (let after: readonly Cell[] | null = null; ; ) {
            const page = await store.query(held, { filter: null, orderBy: byValue(descending), columns: ['id', 'v'], limit: 2, after }, never);
            if (paged.length > 2 * values.length) throw new Error(`the pages go round: ${paged.join(' ')}`);
            paged.push(...page.rows.map(({ cells }) => Number(cells[0])));
            const last = page.rows.at(-1);
            if (!page.more || last === undefined) break;
            after = [last.cells[1] ?? null, last.cells[0] ?? null];
          }
          expect(paged).toEqual(ids);
        });

        test('groups', async () => {
          await fill();
          await write(insert(18, second));
          const groups = await store.aggregate(held, { filter: null, aggregations: [{ kind: 'count' }], groupBy: 'v', limit: 100 }, never);
          const counted = new Map<string, number>();
          for (const value of [...values, second, null]) counted.set(cellText(value), (counted.get(cellText(value)) ?? 0) + 1);
          expect(groups.map(({ group, values: [count] }) => [cellText(group), Number(count)])).toEqual(
            [...counted].toSorted(([a], [b]) => (a === 'NULL' ? 1 : b === 'NULL' ? -1 : textOrder(a) - textOrder(b))),
          );
          await write(remove(18));
        });

        test('as a primary key', async () => {
          const keyed = await described(keyedBy(sample));
          const keyedTable = keyed.name;
          const all = new Map([[keyedTable, keyed]]);
          const keys = distinct ? values : values.slice(0, 2);
          const rowWith = (v: Cell, n: number) => ({ table: keyedTable, row: rowOf({ v, n: BigInt(n) }), returning: [] });
          const put = (v: Cell, n: number): WriteOperation => ({ ...rowWith(v, n), kind: 'insert' });
          await store.write(
            all,
            keys.map((key) => ({ kind: 'delete', table: keyedTable, key: [key], precondition: null, allowMissing: true })),
            never,
          );
          await store.write(
            all,
            keys.map((key, n) => put(key, n)),
            never,
          );
          for (const [n, key] of keys.entries()) expect((await store.get(keyed, { key: [key], columns: ['n'] }, never))?.cells).toEqual([BigInt(n)]);
          const backwards = keys.toReversed();
          const rows = await store.batchGet(keyed, { keys: backwards.map((key) => [key]), columns: ['v'] }, never);
          for (const [index, row] of rows.entries()) equal(row?.cells[0], backwards[index] ?? null);
          expect(await reasonOf(store.write(all, [put(second, 9)], never))).toBe('UNIQUE_VIOLATION');
          await store.write(all, [{ ...rowWith(second, 9), kind: 'upsert', precondition: compare('v', '=', second) }], never);
          const raised: WriteOperation = { kind: 'update', table: keyedTable, key: [second], set: none, add: rowOf({ n: 1n }), precondition: null, returning: ['v', 'n'] };
          const [result] = await store.write(all, [raised], never);
          equal(result?.row?.cells[0], second);
          expect(result?.row?.cells[1]).toBe(10n);
          const ordered = await store.query(keyed, { filter: null, orderBy: [{ column: 'v', descending: false }], columns: ['v'], limit: 100, after: null }, never);
          expect(ordered.rows.map(({ cells }) => cellText(cells[0] ?? null))).toEqual(keys.map(cellText));
          const [removed] = await store.write(all, [{ kind: 'delete', table: keyedTable, key: [first], precondition: null, allowMissing: false }], never);
          expect([removed?.found, await store.get(keyed, { key: [first], columns: ['n'] }, never)]).toEqual([true, null]);
        });
      }

      test('order and pages over two columns that may be NULL', async () => {
        if (!hasOrder(sample)) return;
        const pairs = await described(pairedIn(sample));
        const all = new Map([[pairs.name, pairs]]);
        const cells: readonly (readonly [Cell, Cell])[] = [first, second, null].flatMap((a) => [first, second, null].map((b) => [a, b] as const));
        await store.write(
          all,
          cells.flatMap(([a, b], id): WriteOperation[] => [
            { kind: 'delete', table: pairs.name, key: [BigInt(id)], precondition: null, allowMissing: true },
            { kind: 'insert', table: pairs.name, row: rowOf({ id: BigInt(id), a, b }), returning: [] },
          ]),
          never,
        );
        const rank = (cell: Cell): number => (cell === null ? values.length : order(cell, first));
        for (const [aDown, bDown] of [
          [false, false],
          [false, true],
          [true, false],
          [true, true],
        ] as const) {
          const orderBy = [
            { column: 'a', descending: aDown },
            { column: 'b', descending: bDown },
            { column: 'id', descending: false },
          ];
          const wanted = cells
            .map((pair, id) => [rank(pair[0]) * (aDown ? -1 : 1), rank(pair[1]) * (bDown ? -1 : 1), id] as const)
            .toSorted((x, y) => x[0] - y[0] || x[1] - y[1] || x[2] - y[2])
            .map(([, , id]) => id);
          const found: number[] = [];
          for (let after: readonly Cell[] | null = null; found.length <= cells.length; ) {
            const page = await store.query(pairs, { filter: null, orderBy, columns: ['a', 'b', 'id'], limit: 2, after }, never);
            found.push(...page.rows.map((row) => Number(row.cells[2])));
            if (!page.more) break;
            after = page.rows.at(-1)?.cells ?? null;
          }
          expect([aDown, bDown, found]).toEqual([aDown, bDown, wanted]);
        }
      });

      const textOrder = (text: string): number => values.findIndex((value) => cellText(value) === text);

      if (sample.kind === 'enum') {
        test('prefix and like, by the labels', async () => {
          await fill();
          expect(await idsWhere({ kind: 'prefix', column: 'v', text: 'so' })).toEqual([2]);
          expect(await idsWhere({ kind: 'prefix', column: 'v', text: 'So' })).toEqual([]);
          expect(await idsWhere({ kind: 'like', column: 'v', pattern: '%l%' })).toEqual([1, 3]);
          expect(await idsWhere({ kind: 'not', filter: { kind: 'like', column: 'v', pattern: 'no label' } })).toEqual([0, 1, 2, 3]);
        });
      }

      if (sample.kind === 'text') {
        test('prefix and like', async () => {
          await fill();
          expect(await idsWhere({ kind: 'prefix', column: 'v', text: 'a' })).toEqual([2, 3]);
          expect(await idsWhere({ kind: 'prefix', column: 'v', text: 'B%' })).toEqual([1]);
          expect(await idsWhere({ kind: 'like', column: 'v', pattern: 'a_' })).toEqual([2, 3]);
          expect(await idsWhere({ kind: 'like', column: 'v', pattern: 'a\\_' })).toEqual([2]);
          expect(await idsWhere({ kind: 'like', column: 'v', pattern: '_' })).toEqual([4, 5]);
        });
      }

      test('smallest, largest and sum', async () => {
        await fill();
        const kinds = (['min', 'max', 'sum'] as const).filter((kind) => aggregateKind(kind, columnKind(sample)) !== null && (kind !== 'sum' || sample.sum !== undefined));
        const aggregations = [{ kind: 'count' as const }, ...kinds.map((kind) => ({ kind, column: 'v' }))];
        const [all] = await store.aggregate(held, { filter: null, aggregations, groupBy: null, limit: 2 }, never);
        const wanted = { min: first, max: values.at(-1) ?? null, sum: sample.sum ?? null };
        expect(all?.values[0]).toBe(BigInt(values.length + 1));
        for (const [index, kind] of kinds.entries()) equal(all?.values[index + 1], wanted[kind]);
        const [nothing] = await store.aggregate(held, { filter: compare('id', '=', -1n), aggregations, groupBy: null, limit: 2 }, never);
        expect(nothing?.values).toEqual([0n, ...kinds.map(() => null)]);
      });

      test('update, add and upsert', async () => {
        await fill();
        equal((await write(update(0, { set: rowOf({ v: second }) })))[0]?.row?.cells[0], second);
        await write(update(0, { set: rowOf({ v: null }) }));
        equal(await cellOf(0), null);
        for (const [id, v] of [
          [0, first],
          [17, second],
        ] as const) {
          const [result] = await write({ kind: 'upsert', table, row: rowOf({ id: BigInt(id), v }), precondition: { kind: 'isNull', column: 'v' }, returning: ['v'] });
          equal(result?.row?.cells[0], v);
          equal(await cellOf(id), v);
        }
        if (sample.add !== undefined) {
          const [by, sum] = sample.add;
          equal((await write(update(1, { add: rowOf({ v: by }) })))[0]?.row?.cells[0], sum);
          equal(await cellOf(1), sum);
        }
      });

      test('preconditions and delete', async () => {
        await fill();
        const isSecond = compare('v', '=', second);
        expect(await reasonOf(write(update(0, { set: rowOf({ v: null }), precondition: isSecond })))).toBe('PRECONDITION_FAILED');
        equal(await cellOf(0), first);
        expect(await reasonOf(write({ kind: 'upsert', table, row: rowOf({ id: 0n, v: null }), precondition: isSecond, returning: [] }))).toBe('PRECONDITION_FAILED');
        await write(update(1, { set: rowOf({ v: first }), precondition: isSecond }));
        equal(await cellOf(1), first);
        expect(await reasonOf(write(remove(1, isSecond)))).toBe('PRECONDITION_FAILED');
        await write(update(1, { set: rowOf({ v: second }) }), remove(1, isSecond));
        expect(await cellOf(1)).toBeUndefined();
      });

      test('several writes, all or none', async () => {
        await fill();
        expect(await reasonOf(write(insert(16, first), update(0, { set: rowOf({ v: second }) }), insert(0, first)))).toBe('UNIQUE_VIOLATION');
        expect(await cellOf(16)).toBeUndefined();
        equal(await cellOf(0), first);
        await write(insert(16, second), update(16, { set: rowOf({ v: first }) }), update(0, { set: rowOf({ v: second }) }));
        equal(await cellOf(16), first);
        equal(await cellOf(0), second);
      });

      test('a transaction', async () => {
        await fill();
        const begin = () => store.begin({ isolation: 'read committed', readOnly: false, once: null }, never);
        if (!harness.capabilities.transactions) {
          expect(await reasonOf(begin())).toBe('NOT_SUPPORTED');
          return;
        }
        await using transaction = await begin();
        equal((await transaction.get(held, { key: [1n], columns: ['v'] }, 'update', never))?.cells[0], second);
        await transaction.write(schemas, [update(1, { set: rowOf({ v: first }) }), insert(15, second)], never);
        const seen = await transaction.query(held, { filter: compare('v', '=', second), orderBy: byId, columns: ['id'], limit: 100, after: null }, null, never);
        expect(seen.rows.map(({ cells }) => Number(cells[0]))).toContain(15);
        equal((await transaction.batchGet(held, { keys: [[1n]], columns: ['v'] }, null, never))[0]?.cells[0], first);
        const [count] = await transaction.aggregate(held, { filter: null, aggregations: [{ kind: 'count' }], groupBy: null, limit: 2 }, never);
        expect(count?.values).toEqual([BigInt(values.length + 2)]);
        equal(await cellOf(1), second);
        await transaction.commit(table, never);
        equal(await cellOf(1), first);
        equal(await cellOf(15), second);
      });
    });
  });
}

const heldIn = ({ kind }: Sample): string => `held_${kind.replace('[]', '_list')}`;
const pairedIn = ({ kind }: Sample): string => `paired_${kind}`;
const keyedBy = ({ kind }: Sample): string => `keyed_by_${kind}`;

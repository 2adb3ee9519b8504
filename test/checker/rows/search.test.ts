import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { someOrderExplains } from '../simulated/brute-force.ts';
import type { RowOperation, State } from '../history.ts';
import { search } from './search.ts';
import { plannedCalls, simulateRow } from '../simulated/simulated-row.ts';
import { judgeZones } from './zones.ts';

const limit = 100_000;
const seed = 20_261_128;

/** Any operations whatever, most of them in no order at all. Values come twice unless `unique`. */
function anyOperations(kinds: readonly RowOperation['kind'][], { unique, most }: { readonly unique: boolean; readonly most: number }): fc.Arbitrary<RowOperation[]> {
  const state = fc.constantFrom<State>(null, 0, 1, 2);
  const call = fc.record({
    kind: fc.constantFrom(...kinds),
    invoked: fc.integer({ min: 0, max: 12 }),
    lasts: fc.integer({ min: 0, max: 6 }),
    outcome: fc.constantFrom('ok' as const, 'ok' as const, 'ok' as const, 'unknown' as const, 'failed' as const),
    seen: state,
    set: state,
    by: fc.constantFrom(1, 2),
    flag: fc.boolean(),
  });
  return fc.array(call, { minLength: 1, maxLength: most }).map((drafts) =>
    drafts.map(({ kind, invoked, lasts, outcome, seen, set, by, flag }, index): RowOperation => {
      const draft = { process: `p${index}`, key: 'row', invoked, responded: invoked + lasts, outcome };
      const value = unique ? index : set;
      switch (kind) {
        case 'read':
          return { ...draft, kind, saw: unique && seen !== null ? Number(seen) + (flag ? 0 : 2) : seen };
        case 'write':
          return { ...draft, kind, value };
        case 'delete':
          return { ...draft, kind };
        case 'swap':
          return { ...draft, kind, expected: seen, value, ...(outcome === 'ok' ? { swapped: flag } : {}) };
        case 'increment':
          return { ...draft, kind, by, ...(flag && typeof set === 'number' ? { saw: set + by } : {}) };
        default:
          return kind satisfies never;
      }
    }),
  );
}

/** What share of the histories were violated, so that neither answer goes untried. */
function shareOf(verdicts: readonly boolean[]): number {
  return verdicts.filter((violated) => violated).length / verdicts.length;
}

describe('search and brute force agree', () => {
  test.each([
    ['reads and writes', ['read', 'read', 'write'], 7],
    ['conditional writes and deletes', ['read', 'read', 'swap', 'swap', 'write', 'delete'], 7],
    ['conditional writes', ['read', 'read', 'swap', 'write'], 8],
    ['increments', ['read', 'increment', 'increment', 'delete'], 7],
    ['everything', ['read', 'write', 'delete', 'swap', 'increment'], 6],
  ] as const)('on any histories of %s', (_name, kinds, most) => {
    const verdicts: boolean[] = [];
    fc.assert(
      fc.property(anyOperations(kinds, { unique: false, most }), fc.constantFrom(null, 0), (operations, initial) => {
        const violated = search(operations, [initial], limit).outcome === 'violated';
        verdicts.push(violated);
        expect(violated).toBe(!someOrderExplains(operations, initial));
      }),
      { numRuns: 3_000, seed },
    );
    expect(shareOf(verdicts)).toBeGreaterThan(0.1);
    expect(shareOf(verdicts)).toBeLessThan(0.9);
  });
});

describe('zones and search agree', () => {
  test('on any histories of reads and writes of unique values', () => {
    const verdicts: boolean[] = [];
    fc.assert(
      fc.property(anyOperations(['read', 'read', 'read', 'write', 'write'], { unique: true, most: 12 }), fc.constantFrom(null, 'begin'), (operations, initial) => {
        const zones = judgeZones(operations, initial);
        expect(zones?.exact).toBe(true);
        const violated = (zones?.conflicts.length ?? 0) > 0;
        verdicts.push(violated);
        expect(search(operations, [initial], limit).outcome).toBe(violated ? 'violated' : 'clean');
      }),
      { numRuns: 8_000, seed },
    );
    expect(shareOf(verdicts)).toBeLessThan(0.95);
  });

  test('that what zones find with deletes and conditional writes is true, and that nothing is missed where they say so', () => {
    let inexact = 0;
    fc.assert(
      fc.property(anyOperations(['read', 'read', 'read', 'write', 'swap', 'delete'], { unique: true, most: 8 }), fc.constantFrom(null, 'begin'), (operations, initial) => {
        const zones = judgeZones(operations, initial);
        const { outcome } = search(operations, [initial], limit);
        if ((zones?.conflicts.length ?? 0) > 0) expect(outcome).toBe('violated');
        else if (zones?.exact) expect(outcome).toBe('clean');
        else inexact += 1;
      }),
      { numRuns: 8_000, seed },
    );
    expect(inexact).toBeGreaterThan(100);
  });
});

test.each([
  ['a register', ['read', 'read', 'write']],
  ['a register with deletes', ['read', 'read', 'write', 'delete']],
  ['conditional writes', ['read', 'swap', 'swap', 'write']],
  ['a counter', ['read', 'increment', 'increment']],
] as const)('histories of a row that is right are clean: %s', (_name, kinds) => {
  fc.assert(
    fc.property(plannedCalls(kinds, { min: 1, max: 60 }), (calls) => {
      const operations = simulateRow(calls, null);
      expect(search(operations, [null], limit)).toEqual({ outcome: 'clean' });
      expect(judgeZones(operations, null)?.conflicts ?? []).toEqual([]);
    }),
    { numRuns: 500, seed },
  );
});

test('what used a write of unknown outcome does not take the place of what has not used it yet', () => {
  const ok = { process: 'p', key: 'row', outcome: 'ok' } as const;
  const operations: RowOperation[] = [
    { ...ok, invoked: 0, responded: 8, kind: 'write', value: 1 },
    { ...ok, invoked: 3, responded: 6, kind: 'swap', expected: 0, value: 1 },
    { ...ok, invoked: 5, responded: 7, outcome: 'unknown', kind: 'swap', expected: 1, value: 0 },
    { ...ok, invoked: 5, responded: 13, kind: 'read', saw: 0 },
    { ...ok, invoked: 9, responded: 9, kind: 'swap', expected: 1, value: 1 },
    { ...ok, invoked: 10, responded: 13, kind: 'read', saw: 0 },
  ];
  expect(search(operations, [0], limit)).toEqual({ outcome: 'clean' });
  expect(someOrderExplains(operations, 0)).toBe(true);
});

test('a refused write that was done long after its answer is told of, and nothing else', () => {
  const call = { process: 'p', key: 'row' };
  const operations: RowOperation[] = [
    { ...call, invoked: 1, responded: 2, outcome: 'failed', kind: 'write', value: 'refused' },
    { ...call, invoked: 3, responded: 4, outcome: 'ok', kind: 'write', value: 'good' },
    { ...call, invoked: 5, responded: 6, outcome: 'ok', kind: 'read', saw: 'good' },
    { ...call, invoked: 7, responded: 8, outcome: 'ok', kind: 'read', saw: 'refused' },
    { ...call, invoked: 9, responded: 10, outcome: 'ok', kind: 'read', saw: 'refused' },
  ];
  expect(judgeZones(operations, null)?.conflicts).toMatchObject([{ kind: 'unwritten', write: operations[0], read: operations[3] }]);
});

test('hundreds of writes of unknown outcome are no burden where nobody saw their values', () => {
  const operations: RowOperation[] = [];
  const call = { process: 'p', key: 'row' };
  for (let index = 0; index < 400; index += 1) {
    const at = index * 10;
    operations.push({ ...call, invoked: at, responded: at + 3, outcome: 'unknown', kind: 'write', value: `lost ${index}` });
    operations.push({ ...call, invoked: at + 1, responded: at + 4, outcome: 'unknown', kind: 'swap', expected: `kept ${index - 1}`, value: `swapped ${index}` });
    operations.push({ ...call, invoked: at + 5, responded: at + 6, outcome: 'ok', kind: 'write', value: `kept ${index}` });
    operations.push({ ...call, invoked: at + 7, responded: at + 8, outcome: 'ok', kind: 'swap', expected: `kept ${index}`, value: 'never', swapped: false });
  }
  expect(search(operations, [null], 20_000)).toEqual({ outcome: 'clean' });
  // Each condition that was false takes one of those that nobody saw, and they are used up.
  const without = operations.filter(({ outcome }) => outcome === 'ok');
  expect(search(without, [null], 20_000)).toMatchObject({ outcome: 'violated' });
});

test('a search that comes to its limit is undecided, never clean', () => {
  // Which of 40 different increments of unknown outcome make up the sum is a problem without a short cut.
  const calls = Array.from(
    { length: 40 },
    (_, index): RowOperation => ({ process: 'p', key: 'row', invoked: 0, responded: 1, outcome: 'unknown', kind: 'increment', by: 1_000_003 * (index + 7) ** 3 }),
  );
  const read: RowOperation = { process: 'p', key: 'row', invoked: 2, responded: 3, outcome: 'ok', kind: 'read', saw: 17 };
  expect(search([...calls, read], [0], 2_000)).toEqual({ outcome: 'undecided' });
});

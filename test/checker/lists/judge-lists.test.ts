import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { someOrderExplains } from '../simulated/brute-force.ts';
import { check } from '../check.ts';
import { explain } from '../explain.ts';
import { type Element, History, type Step, type Transaction } from '../history.ts';
import { judgeLists } from './judge-lists.ts';
import { type PlantedInLists, type PlannedTransaction, plannedTransactions, simulateLists } from '../simulated/simulated-lists.ts';
import type { Violation } from '../violation.ts';

const seed = 20_261_128;

/** Any transactions whatever on two lists of at most three elements, most of them in no order. */
const anyTransactions: fc.Arbitrary<Transaction[]> = fc
  .array(
    fc.record({
      invoked: fc.integer({ min: 0, max: 8 }),
      lasts: fc.integer({ min: 0, max: 6 }),
      outcome: fc.constantFrom('ok' as const, 'ok' as const, 'ok' as const, 'unknown' as const, 'failed' as const),
      steps: fc.array(fc.record({ append: fc.boolean(), key: fc.constantFrom('x', 'y'), length: fc.integer({ min: 0, max: 3 }), swap: fc.nat({ max: 5 }) }), {
        minLength: 1,
        maxLength: 2,
      }),
    }),
    { minLength: 2, maxLength: 6 },
  )
  .map((drafts) => {
    const appended: Record<string, Element[]> = { x: [], y: [] };
    let element = 0;
    const withAppends = drafts.map((draft) => ({
      ...draft,
      steps: draft.steps.map((step) => {
        if (!step.append) return step;
        element += 1;
        appended[step.key]?.push(element);
        return { ...step, value: element };
      }),
    }));
    return withAppends.map(({ invoked, lasts, outcome, steps }, index): Transaction => {
      const own: Record<string, Element[]> = { x: [], y: [] };
      const made = steps.map((step): Step => {
        if ('value' in step) {
          own[step.key]?.push(step.value);
          return { kind: 'append', key: step.key, value: step.value };
        }
        // Mostly a beginning of the list as it was planned, with its own appends after it as they must be.
        const others = (appended[step.key] ?? []).filter((each) => !own[step.key]?.includes(each)).slice(0, step.length);
        if (step.swap === 0) others.reverse();
        return { kind: 'read', key: step.key, saw: outcome === 'ok' ? [...others, ...(own[step.key] ?? [])] : null };
      });
      return { kind: 'transaction', keyspace: 'k', process: `p${index}`, invoked, responded: invoked + lasts, outcome, steps: made };
    });
  });

/** Whether what was read tells the place of every append that was acknowledged or seen, so that nothing is left to guess. */
function tellsAll(transactions: readonly Transaction[]): boolean {
  return ['x', 'y'].every((key) => {
    const seen = new Set(
      transactions.flatMap(({ outcome, steps }) => steps.flatMap((step) => (outcome === 'ok' && step.kind === 'read' && step.key === key ? (step.saw ?? []) : []))),
    );
    return transactions.every(({ outcome, steps }) =>
      steps.every((step) => step.kind === 'read' || step.key !== key || outcome === 'failed' || seen.has(step.value) || (outcome === 'unknown' && !transactionSeen(steps))),
    );
    function transactionSeen(steps: readonly Step[]): boolean {
      return steps.some((step) => step.kind === 'append' && seen.has(step.value));
    }
  });
}

test('what is told is true, and where the reads tell the place of every append nothing is missed', () => {
  const counts = { violated: 0, clean: 0, told: 0, missed: 0 };
  fc.assert(
    fc.property(anyTransactions, (transactions) => {
      const violations = judgeLists('k', transactions);
      const right = someOrderExplains(transactions, null);
      counts[right ? 'clean' : 'violated'] += 1;
      if (violations.length > 0) counts.told += 1;
      if (right) expect(violations).toEqual([]);
      else if (violations.length === 0) {
        counts.missed += 1;
        expect(tellsAll(transactions)).toBe(false);
      }
    }),
    { numRuns: 10_000, seed },
  );
  expect(counts.clean).toBeGreaterThan(500);
  expect(counts.told / counts.violated).toBeGreaterThan(0.95);
});

test('histories of lists that are right are clean, their ends included', () => {
  fc.assert(
    fc.property(plannedTransactions({ min: 1, max: 80 }), (planned) => {
      const { transactions, lists } = simulateLists(planned);
      const history = new History();
      for (const transaction of transactions) history.add(transaction);
      history.addFinalLists('k', lists);
      expect(check(history)).toMatchObject({ outcome: 'clean', violations: [] });
    }),
    { numRuns: 500, seed },
  );
});

interface Case {
  readonly fault: PlantedInLists['fault'];
  /** Whether the transaction is one in which the fault can be planted. */
  readonly fits: (planned: PlannedTransaction) => boolean;
  readonly shows: (transactions: readonly Transaction[], culprit: Transaction, lists: ReadonlyMap<string, readonly Element[]>) => boolean;
  readonly names: readonly (Violation['kind'] | Violation['anomaly'])[];
}

const appends = (transaction: Transaction) => transaction.steps.filter((step) => step.kind === 'append');
const readsOf = (transaction: Transaction) => (transaction.outcome === 'ok' ? transaction.steps.filter((step) => step.kind === 'read') : []);
const sees = (transaction: Transaction, { key, value }: { readonly key: string; readonly value: Element }) =>
  readsOf(transaction).some((read) => read.key === key && read.saw?.includes(value) === true);
const after = (earlier: Transaction, later: Transaction) => earlier.outcome === 'ok' && earlier.responded < later.invoked;
const seenByOthers = (transactions: readonly Transaction[], culprit: Transaction) =>
  transactions.some((other) => other !== culprit && appends(culprit).some((append) => sees(other, append)));
const oneAppend = ({ steps }: PlannedTransaction) => steps.length === 1 && steps[0]?.append === true;

const cases: Readonly<Record<string, Case>> = {
  'an append that was acknowledged and not done': {
    fault: 'not-applied',
    fits: oneAppend,
    shows: (transactions, culprit) => transactions.some((other) => after(culprit, other) && readsOf(other).some(({ key }) => key === appends(culprit)[0]?.key)),
    names: ['unapplied'],
  },
  'an append that took the place of the one before it, which had been read': {
    fault: 'cut',
    fits: oneAppend,
    shows: (transactions, culprit) => {
      const key = appends(culprit)[0]?.key;
      const before = transactions.filter((other) => after(other, culprit)).flatMap((other) => readsOf(other).flatMap((read) => (read.key === key ? [read.saw ?? []] : [])));
      const longest = before.reduce<readonly Element[]>((best, each) => (each.length > best.length ? each : best), []);
      const since = transactions.filter((other) => seenByOthers([other], culprit)).flatMap((other) => readsOf(other).flatMap((read) => (read.key === key ? [read.saw ?? []] : [])));
      return longest.length > 0 && since.some((list) => longest.some((element) => !list.includes(element)));
    },
    names: ['lost'],
  },
  'an append that was done twice': { fault: 'twice', fits: oneAppend, shows: seenByOthers, names: ['doubled'] },
  'two appends to one list of which the first alone was done': {
    fault: 'in-part',
    fits: ({ steps }) => steps.length === 2 && steps.every(({ append, key }) => append && key === steps[0]?.key),
    shows: seenByOthers,
    names: ['torn', 'G1b'],
  },
  'reads from before': {
    fault: 'old-reads',
    fits: ({ steps }) => steps.length === 1 && steps[0]?.append === false,
    shows: (transactions, culprit) =>
      transactions.some(
        (other) =>
          after(other, culprit) &&
          appends(other).some(
            (append) => append.key === culprit.steps[0]?.key && !sees(culprit, append) && transactions.some((third) => third.invoked > culprit.invoked && sees(third, append)),
          ),
      ),
    names: ['stale'],
  },
  'an append that was refused and done': { fault: 'done-though-refused', fits: oneAppend, shows: seenByOthers, names: ['phantom', 'G1a'] },
};

test('a transaction of unknown outcome of which one list shows the half and the other does not', () => {
  let shown = 0;
  for (const sample of fc.sample(plannedTransactions({ min: 20, max: 50 }), { numRuns: 600, seed })) {
    const index = sample.findIndex(({ steps }, place) => place >= 4 && steps.length === 2 && steps[0]?.append && steps[1]?.append && steps[0].key !== steps[1].key);
    if (index === -1) continue;
    const { transactions } = simulateLists(
      sample.map((each, place): PlannedTransaction => (place === index ? { ...each, way: 'answer-lost' } : each)),
      { fault: 'in-part', index },
    );
    const culprit = transactions[index] as Transaction;
    const [half, other] = appends(culprit);
    if (half === undefined || other === undefined) throw new Error('the planted transaction has no two appends');
    const misses = (transaction: Transaction) => readsOf(transaction).some((read) => read.key === other.key) && !sees(transaction, other);
    if (!transactions.some((reader) => sees(reader, half) && transactions.some((later) => (later === reader || after(reader, later)) && misses(later)))) continue;
    shown += 1;
    const found = judgeLists('k', transactions);
    expect(found.map(({ operations }) => operations.includes(culprit))).toContain(true);
    expect(found.filter(({ kind }) => kind !== 'torn' && kind !== 'cycle')).toEqual([]);
  }
  expect(shown).toBeGreaterThan(20);
});

test('a reader that sees one half of a transaction', () => {
  const call = { kind: 'transaction', keyspace: 'k' } as const;
  const found = judgeLists('k', [
    {
      ...call,
      process: 'a',
      invoked: 0,
      responded: 5,
      outcome: 'unknown',
      steps: [
        { kind: 'append', key: 'x', value: 1 },
        { kind: 'append', key: 'y', value: 1 },
      ],
    },
    {
      ...call,
      process: 'b',
      invoked: 6,
      responded: 7,
      outcome: 'ok',
      steps: [
        { kind: 'read', key: 'x', saw: [1] },
        { kind: 'read', key: 'y', saw: [] },
      ],
    },
  ]);
  expect(found).toMatchObject([{ kind: 'torn', anomaly: 'G-single', operations: [{}, {}] }]);
});

describe('is caught and named', () => {
  test.each(Object.entries(cases))('%s', (_what, { fault, fits, shows, names }) => {
    let shown = 0;
    for (const sample of fc.sample(plannedTransactions({ min: 20, max: 50 }), { numRuns: 400, seed })) {
      const index = sample.findIndex((planned, place) => place >= 8 && fits(planned));
      if (index === -1) continue;
      const planned = sample.map((each, place): PlannedTransaction => (place === index ? { ...each, way: fault === 'done-though-refused' ? 'refused' : 'answered' } : each));
      const { transactions, lists } = simulateLists(planned, { fault, index });
      const culprit = transactions[index] as Transaction;
      if (!shows(transactions, culprit, lists)) continue;
      shown += 1;
      const found = judgeLists('k', transactions);
      const kinds = new Set(found.flatMap(({ kind, anomaly }) => [kind, ...(anomaly === undefined ? [] : [anomaly])]));
      if (!names.every((name) => name !== undefined && kinds.has(name)))
        throw new Error(
          `${[...kinds]} instead of ${names}, planted at ${culprit.invoked}:\n${explain({ outcome: 'violated', violations: found, undecided: [], operations: transactions.length })}`,
        );
    }
    expect(shown).toBeGreaterThan(20);
  });
});

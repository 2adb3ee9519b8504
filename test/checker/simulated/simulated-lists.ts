import fc from 'fast-check';
import type { Element, Step, Transaction } from '../history.ts';
import type { Way } from './simulated-row.ts';

/*
 * Lists under transactions, right by construction: each transaction takes effect at one instant. Faults can be planted. For the checker's own tests, with which it shares nothing but the form of a history.
 */

export interface PlannedTransaction {
  readonly process: number;
  readonly way: Way;
  readonly pauses: readonly [number, number, number];
  readonly steps: readonly { readonly append: boolean; readonly key: string }[];
}

export function plannedTransactions(length: { readonly min: number; readonly max: number }): fc.Arbitrary<PlannedTransaction[]> {
  const pause = fc.integer({ min: 0, max: 6 });
  const way = fc.constantFrom<Way>('answered', 'answered', 'answered', 'answered', 'answered', 'answered', 'refused', 'answer-lost', 'call-lost', 'late');
  const steps = fc.array(fc.record({ append: fc.boolean(), key: fc.constantFrom('x', 'y', 'z') }), { minLength: 1, maxLength: 3 });
  return fc.array(fc.record({ process: fc.integer({ min: 0, max: 3 }), way, pauses: fc.tuple(pause, pause, pause), steps }), {
    minLength: length.min,
    maxLength: length.max,
    size: 'max',
  });
}

/** At the transaction of that index: acknowledged without effect · a list's newest element that others appended gone · its appends done twice · only its first append done · its reads from before · done though refused. */
export interface PlantedInLists {
  readonly fault: 'not-applied' | 'cut' | 'twice' | 'in-part' | 'old-reads' | 'done-though-refused';
  readonly index: number;
}

/** The history, and the lists at its end. */
export function simulateLists(
  planned: readonly PlannedTransaction[],
  planted: PlantedInLists | null = null,
): { readonly transactions: Transaction[]; readonly lists: ReadonlyMap<string, readonly Element[]> } {
  const lists = new Map<string, readonly Element[]>();
  const snapshots: { readonly at: number; readonly lists: ReadonlyMap<string, readonly Element[]> }[] = [{ at: 0, lists: new Map() }];
  const free = [0, 0, 0, 0];
  const events: { readonly at: number; readonly run: () => void }[] = [];
  const drafts: { transaction: Transaction; steps: Step[] }[] = [];
  let elements = 0;
  planned.forEach(({ process, way, pauses, steps }, index) => {
    const here = planted?.index === index ? planted.fault : null;
    const invoked = (free[process] ?? 0) + pauses[0];
    const effect = invoked + pauses[1];
    const responded = effect + pauses[2];
    free[process] = responded + 1;
    const done: Step[] = steps.map(({ append, key }) => (append ? { kind: 'append', key, value: elements++ } : { kind: 'read', key, saw: null }));
    const outcome = way === 'answered' ? 'ok' : way === 'refused' ? 'failed' : 'unknown';
    drafts.push({ transaction: { kind: 'transaction', keyspace: 'k', process: `p${process}`, invoked, responded, outcome, steps: done }, steps: done });
    if (way === 'call-lost' || (way === 'refused' && here !== 'done-though-refused')) return;
    const run = () => {
      const old = snapshots.findLast((each) => each.at < invoked - 12)?.lists ?? new Map<string, readonly Element[]>();
      let appended = 0;
      done.forEach((step, place) => {
        const list = (here === 'old-reads' ? old : lists).get(step.key) ?? [];
        if (step.kind === 'read') {
          done[place] = { ...step, saw: outcome === 'ok' ? list : null };
          return;
        }
        appended += 1;
        if (here === 'not-applied' || (here === 'in-part' && appended > 1)) return;
        const before = here === 'cut' ? list.slice(0, -1) : list;
        lists.set(step.key, [...before, step.value, ...(here === 'twice' ? [step.value] : [])]);
      });
      snapshots.push({ at: effect, lists: new Map(lists) });
    };
    events.push({ at: way === 'late' ? responded + pauses[1] * 5 : effect, run });
  });
  for (const { run } of events.sort((a, b) => a.at - b.at)) run();
  return { transactions: drafts.map(({ transaction }) => transaction), lists };
}

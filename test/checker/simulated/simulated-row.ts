import fc from 'fast-check';
import type { RowOperation, State } from '../history.ts';

/*
 * A row that is right by construction, for the checker's own tests: every call takes effect at one instant between its invocation and its answer, or, where the answer is lost, whenever it likes. It shares nothing with the checker but the form
 * of a history. Faults can be planted in it.
 */

/** What becomes of a call: answered · turned away before it does anything · the answer is lost · the call itself is lost · the caller gives up and the call is done long after that. */
export type Way = 'answered' | 'refused' | 'answer-lost' | 'call-lost' | 'late';

export interface PlannedCall {
  readonly process: number;
  readonly kind: 'read' | 'write' | 'delete' | 'swap' | 'increment';
  readonly way: Way;
  /** From the process's last answer to the call, from there to the effect, from there to the answer. */
  readonly pauses: readonly [number, number, number];
  readonly by: number;
  /** Of a swap: whether it expects what the row holds when it is sent, and whether the answer to an increment tells the sum. */
  readonly informed: boolean;
}

const ways: readonly { weight: number; arbitrary: fc.Arbitrary<Way> }[] = [
  { weight: 12, arbitrary: fc.constant('answered') },
  { weight: 1, arbitrary: fc.constant('refused') },
  { weight: 1, arbitrary: fc.constant('answer-lost') },
  { weight: 1, arbitrary: fc.constant('call-lost') },
  { weight: 1, arbitrary: fc.constant('late') },
];

/** Calls of up to four processes. `kinds` may name one more than once. */
export function plannedCalls(kinds: readonly PlannedCall['kind'][], length: { readonly min: number; readonly max: number }): fc.Arbitrary<PlannedCall[]> {
  const pause = fc.integer({ min: 0, max: 6 });
  const call = fc.record({
    process: fc.integer({ min: 0, max: 3 }),
    kind: fc.constantFrom(...kinds),
    way: fc.oneof(...ways),
    pauses: fc.tuple(pause, pause, pause),
    by: fc.integer({ min: 1, max: 3 }),
    informed: fc.boolean(),
  });
  return fc.array(call, { minLength: length.min, maxLength: length.max, size: 'max' });
}

/** A fault at the call of that index. */
export interface Planted {
  readonly fault: 'not-applied' | 'undone' | 'twice' | 'old-read' | 'invented-read' | 'done-though-refused';
  readonly index: number;
}

type Draft = { -readonly [F in keyof Pick<RowOperation, 'process' | 'invoked' | 'responded' | 'outcome' | 'key'>]: RowOperation[F] } & { action: Record<string, unknown> };

/** The history of the calls on a row that begins as `initial`, in the order of the plan; the written values are v0, v1 and so on, by the index of their call. */
export function simulateRow(calls: readonly PlannedCall[], initial: State, planted: Planted | null = null): RowOperation[] {
  let state = initial;
  /** What the row held before each change, the newest last, and the time of the change. */
  const past: { before: State; at: number }[] = [];
  const change = (to: State, at: number) => {
    past.push({ before: state, at });
    state = to;
  };
  const free = [0, 0, 0, 0];
  const drafts: Draft[] = [];
  const events: { at: number; run: () => void }[] = [];
  calls.forEach((call, index) => {
    const here = planted?.index === index ? planted.fault : null;
    const invoked = (free[call.process] ?? 0) + call.pauses[0];
    const effect = invoked + call.pauses[1];
    const responded = effect + call.pauses[2];
    free[call.process] = responded + 1;
    const outcome = call.way === 'answered' ? 'ok' : call.way === 'refused' ? 'failed' : 'unknown';
    const draft: Draft = { process: `p${call.process}`, key: 'row', invoked, responded, outcome, action: { kind: call.kind } };
    drafts.push(draft);
    const value = `v${index}`;
    if (call.kind === 'write') draft.action.value = value;
    if (call.kind === 'increment') draft.action.by = call.by;
    if (call.kind === 'swap') {
      draft.action.value = value;
      draft.action.expected = null;
      events.push({
        at: invoked,
        run: () => {
          draft.action.expected = call.informed ? state : `v${index - 3}`;
        },
      });
    }
    if (call.kind === 'read') draft.action.saw = null;
    const takesEffect = call.way === 'refused' ? here === 'done-though-refused' : call.way !== 'call-lost' && here !== 'not-applied';
    const at = call.way === 'late' ? responded + call.pauses[1] * 5 : effect;
    const run = () => {
      const before = state;
      if (call.kind === 'read') {
        const older = past.findLast((each) => each.at < invoked - 12)?.before ?? initial;
        draft.action.saw = here === 'old-read' ? older : here === 'invented-read' ? 'nobody' : state;
      } else if (call.kind === 'swap') {
        const swapped = state === draft.action.expected;
        if (outcome === 'ok') draft.action.swapped = swapped;
        if (swapped) change(value, at);
      } else if (call.kind === 'increment') {
        const sum = (typeof state === 'number' ? state : 0) + call.by;
        change(sum, at);
        if (call.informed && outcome === 'ok') draft.action.saw = sum;
        if (here === 'twice') change(sum + call.by, at);
      } else change(call.kind === 'write' ? value : null, at);
      if (here === 'undone') {
        const undo = () => {
          if (call.kind === 'increment') change(Number(state) - call.by, responded + 10);
          else if (state === value) change(before, responded + 10);
        };
        events.push({ at: responded + 10, run: undo });
      }
    };
    if (takesEffect) events.push({ at, run });
    else if (here === 'not-applied' && call.kind === 'swap')
      events.push({
        at,
        run: () => {
          draft.action.swapped = state === draft.action.expected;
        },
      });
  });
  // Earliest first; a fault may add one later.
  while (events.length > 0) {
    const next = events.reduce((first, event, index) => (event.at < (events[first]?.at ?? 0) ? index : first), 0);
    events.splice(next, 1)[0]?.run();
  }
  return drafts.map(({ action, ...call }) => ({ ...call, ...action }) as RowOperation);
}

import { end, type RowOperation, type State } from '../history.ts';
import { actionKey, apply, illegal, observes, stateSeen, stateSet } from './row-model.ts';

/*
 * Linearizability of one row by search, for what zones cannot judge: conditional writes, increments, values that come twice. It goes through the history by time and keeps every configuration in which the row can be: its state, and
 * which of the operations under way have taken effect. When an operation is answered, others under way are tried before it, just as far as it needs them; configurations in which it cannot have taken effect are given up, and where
 * none is left there is no order. (Just-in-time linearization with memory: Lowe, "Testing for linearizability", Concurrency and Computation 29(4), 2017, after Wing and Gong, "Testing and verifying concurrent objects", 1993.)
 *
 * What keeps the configurations few, none of which loses an order:
 * - What only observes takes effect as soon as the state is the one that it saw.
 * - Of operations alike, the one that must end first comes first.
 * - A configuration is not kept beside one of the same state that has used fewer of the operations of unknown outcome.
 */

export type SearchResult =
  | { readonly outcome: 'clean' }
  /** The limit was reached: there may be an order or not. */
  | { readonly outcome: 'undecided' }
  /** No order of what had begun by the end of `at` explains its answer; before, the row can only have held one of `states`. */
  | { readonly outcome: 'violated'; readonly at: RowOperation; readonly states: readonly State[]; readonly checkpoints: readonly Checkpoint[] };

/** What the row can have held once everything answered before `time` had taken effect. */
export interface Checkpoint {
  readonly time: number;
  readonly states: readonly State[];
}

/** Answers from one checkpoint to the next. */
const checkpointEvery = 100;

interface Pending {
  readonly operation: RowOperation;
  /** One bit, its own as long as it is under way. */
  readonly bit: bigint;
  readonly lasting: boolean;
}

interface Configuration {
  readonly state: State;
  /** Operations under way that will be answered and have taken effect. */
  readonly done: bigint;
  /** The same of those whose outcome is unknown. */
  readonly spent: bigint;
}

/** Configurations, without those that another one makes needless. */
class Frontier {
  readonly #kept = new Map<State, Map<bigint, bigint[]>>();

  /** False where one that is there already can do all that this one can. */
  add({ state, done, spent }: Configuration): boolean {
    let byDone = this.#kept.get(state);
    if (byDone === undefined) {
      byDone = new Map();
      this.#kept.set(state, byDone);
    }
    const there = byDone.get(done);
    if (there === undefined) byDone.set(done, [spent]);
    else if (there.some((less) => (less & spent) === less)) return false;
    else byDone.set(done, [...there.filter((more) => (more & spent) !== spent), spent]);
    return true;
  }

  get states(): readonly State[] {
    return [...this.#kept.keys()];
  }

  *[Symbol.iterator](): IterableIterator<Configuration> {
    for (const [state, byDone] of this.#kept) for (const [done, spents] of byDone) for (const spent of spents) yield { state, done, spent };
  }
}

/** Operations under way: those that observe, and the others by what they do, each kind in the order in which they must end. */
class UnderWay {
  readonly observers = new Set<Pending>();
  readonly alike = new Map<string, Pending[]>();
  readonly #pending = new Map<RowOperation, Pending>();
  readonly #freeBits: bigint[] = [];
  #bits = 0n;

  begin(operation: RowOperation): Pending {
    const bit = this.#freeBits.pop() ?? 1n << this.#bits++;
    const pending = { operation, bit, lasting: operation.outcome === 'unknown' };
    this.#pending.set(operation, pending);
    if (observes(operation)) {
      this.observers.add(pending);
      return pending;
    }
    const kind = actionKey(operation);
    const alike = this.alike.get(kind);
    if (alike === undefined) this.alike.set(kind, [pending]);
    else alike.splice(alike.findLastIndex((other) => end(other.operation) <= end(operation)) + 1, 0, pending);
    return pending;
  }

  of(operation: RowOperation): Pending {
    const pending = this.#pending.get(operation);
    if (pending === undefined) throw new Error('an operation ended that had not begun');
    return pending;
  }

  finish(pending: Pending): void {
    const { operation, bit } = pending;
    this.#pending.delete(operation);
    this.#freeBits.push(bit);
    if (this.observers.delete(pending)) return;
    const alike = this.alike.get(actionKey(operation)) ?? [];
    alike.splice(alike.indexOf(pending), 1);
    if (alike.length === 0) this.alike.delete(actionKey(operation));
  }

  /** The configuration with everything done that has seen its state. */
  settle({ state, done, spent }: Configuration): Configuration {
    let settled = done;
    for (const { operation, bit } of this.observers) if (apply(state, operation) !== illegal) settled |= bit;
    return { state, done: settled, spent };
  }

  /** What can come next in a configuration. */
  *after({ state, done, spent }: Configuration): IterableIterator<Configuration> {
    for (const alike of this.alike.values()) {
      const next = alike.find(({ bit, lasting }) => ((lasting ? spent : done) & bit) === 0n);
      if (next === undefined) continue;
      const changed = apply(state, next.operation);
      if (changed !== illegal) yield this.settle({ state: changed, done: next.lasting ? done : done | next.bit, spent: next.lasting ? spent | next.bit : spent });
    }
  }
}

/** Stands for every value that nobody was told of. */
const unseen = '\u0000 unseen';

/**
 * Without what can have no part: what failed, and reads without an answer. Of the writes of unknown outcome, those of a value that nothing saw or expected differ in nothing, and serve for nothing but to make a condition false; so they
 * are made alike, or left out where no condition was false. (An increment sees every value.)
 */
function relevant(operations: readonly RowOperation[]): RowOperation[] {
  const told = operations.filter(({ outcome, kind }) => outcome === 'ok' || (outcome === 'unknown' && kind !== 'read'));
  if (told.some(({ kind }) => kind === 'increment')) return told;
  const conditionFailed = told.some((operation) => operation.kind === 'swap' && observes(operation));
  const mattering = new Set<State | undefined>(told.map((operation) => (operation.kind === 'swap' ? operation.expected : stateSeen(operation))));
  return told.flatMap((operation) => {
    const serves = operation.outcome === 'ok' || mattering.has(stateSet(operation));
    if (serves || (operation.kind !== 'write' && operation.kind !== 'swap')) return serves || conditionFailed ? [operation] : [];
    return conditionFailed ? [{ ...operation, value: unseen }] : [];
  });
}

/** Judges the operations on one row that begins as one of `initials`, looking at no more than `limit` configurations. */
export function search(operations: readonly RowOperation[], initials: readonly State[], limit: number): SearchResult {
  const told = relevant(operations);
  const beginnings = told.toSorted((a, b) => a.invoked - b.invoked);
  const endings = told.filter(({ outcome }) => outcome === 'ok').sort((a, b) => a.responded - b.responded);
  const underWay = new UnderWay();
  let frontier = new Frontier();
  for (const state of initials) frontier.add({ state, done: 0n, spent: 0n });
  const checkpoints: Checkpoint[] = [];
  let looked = 0;
  let begun = 0;
  for (const [index, ending] of endings.entries()) {
    for (let next = beginnings[begun]; next !== undefined && next.invoked <= ending.responded; next = beginnings[begun]) {
      begun += 1;
      const { bit } = underWay.begin(next);
      if (!observes(next)) continue;
      const settled = new Frontier();
      for (const { state, done, spent } of frontier) settled.add({ state, done: apply(state, next) === illegal ? done : done | bit, spent });
      frontier = settled;
    }
    const pending = underWay.of(ending);
    const after = new Frontier();
    const seen = new Frontier();
    // Breadth first: what uses fewer operations of unknown outcome is there before what it makes needless.
    const waiting = [...frontier];
    for (const configuration of waiting) {
      if ((configuration.done & pending.bit) !== 0n) {
        after.add({ ...configuration, done: configuration.done & ~pending.bit });
        continue;
      }
      if (!seen.add(configuration)) continue;
      looked += 1;
      if (looked > limit) return { outcome: 'undecided' };
      waiting.push(...underWay.after(configuration));
    }
    underWay.finish(pending);
    if (after.states.length === 0) return { outcome: 'violated', at: ending, states: frontier.states, checkpoints };
    frontier = after;
    if (index % checkpointEvery === checkpointEvery - 1) checkpoints.push({ time: ending.responded, states: frontier.states });
  }
  return { outcome: 'clean' };
}

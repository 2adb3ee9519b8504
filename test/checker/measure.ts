import { check } from './check.ts';
import { type Element, History, type RowAction, type State, type Step } from './history.ts';

/* How long the checker takes, over histories of its every kind: `node test/checker/measure.ts`. Eight processes, calls that overlap, one write in fifty of unknown outcome. */

/** The same numbers at every run (Marsaglia's xorshift32). */
function randomNumbers(): () => number {
  let state = 20_261_128;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

interface Effect {
  readonly key: string;
  readonly action: RowAction;
}

/** Calls take effect one after the other, and each lasts from somewhat before that to somewhat after. */
function rows(count: number, next: (index: number) => Effect, keep: (action: RowAction) => boolean): History {
  const history = new History();
  const random = randomNumbers();
  for (let index = 0; index < count; index += 1) {
    const { key, action } = next(index);
    const outcome = !keep(action) || random() > 0.02 ? 'ok' : 'unknown';
    history.add({ process: `p${index % 8}`, invoked: index - random() * 4, responded: index + random() * 4, outcome, key, ...action });
  }
  return history;
}

function registers(count: number, keys: number): History {
  const states = new Map<string, State>();
  const random = randomNumbers();
  const next = (index: number): Effect => {
    const key = `row ${Math.floor(random() * keys)}`;
    if (random() < 0.5) return { key, action: { kind: 'read', saw: states.get(key) ?? null } };
    states.set(key, index);
    return { key, action: { kind: 'write', value: index } };
  };
  return rows(count, next, ({ kind }) => kind === 'write');
}

function counters(count: number, keys: number): History {
  const sums = new Map<string, number>();
  const random = randomNumbers();
  const next = (): Effect => {
    const key = `row ${Math.floor(random() * keys)}`;
    if (random() < 0.5) return { key, action: { kind: 'read', saw: sums.get(key) ?? null } };
    sums.set(key, (sums.get(key) ?? 0) + 1);
    return { key, action: { kind: 'increment', by: 1 } };
  };
  return rows(count, next, ({ kind }) => kind === 'increment');
}

function conditionalWrites(count: number, keys: number): History {
  const states = new Map<string, State>();
  const random = randomNumbers();
  const next = (index: number): Effect => {
    const key = `row ${Math.floor(random() * keys)}`;
    const state = states.get(key) ?? null;
    if (random() < 0.5) return { key, action: { kind: 'read', saw: state } };
    states.set(key, index);
    return { key, action: { kind: 'swap', expected: state, value: index, swapped: true } };
  };
  return rows(count, next, ({ kind }) => kind === 'swap');
}

function lists(count: number): History {
  const history = new History();
  const random = randomNumbers();
  const elements = new Map<string, readonly Element[]>();
  for (let index = 0; index < count; index += 1) {
    // Fifty transactions to a list, and then another.
    const keys = [`list ${Math.floor(index / 50)} a`, `list ${Math.floor(index / 50)} b`];
    const steps = keys.map((key): Step => {
      const list = elements.get(key) ?? [];
      if (random() < 0.5) return { kind: 'read', key, saw: list };
      elements.set(key, [...list, index]);
      return { kind: 'append', key, value: index };
    });
    history.add({ kind: 'transaction', keyspace: 'k', process: `p${index % 8}`, invoked: index - random() * 4, responded: index + random() * 4, outcome: 'ok', steps });
  }
  return history;
}

const histories: readonly (readonly [name: string, make: () => History])[] = [
  ['registers, 100,000 operations on one row', () => registers(100_000, 1)],
  ['registers, 1,000,000 operations on one row', () => registers(1_000_000, 1)],
  ['registers, 1,000,000 operations on 1,000 rows', () => registers(1_000_000, 1_000)],
  ['conditional writes, 100,000 operations on 100 rows', () => conditionalWrites(100_000, 100)],
  ['counters, 100,000 operations on 100 rows', () => counters(100_000, 100)],
  ['lists, 100,000 transactions of two steps', () => lists(100_000)],
];

for (const [name, make] of histories) {
  const history = make();
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  const { outcome, undecided } = check(history);
  const { user, system } = process.cpuUsage(cpu);
  const took = `${((performance.now() - began) / 1_000).toFixed(2)} s, of which ${((user + system) / 1_000_000).toFixed(2)} s of a processor`;
  console.log(`${name}: ${outcome}${undecided.length > 0 ? ` (${undecided.length} undecided)` : ''} in ${took}`);
}

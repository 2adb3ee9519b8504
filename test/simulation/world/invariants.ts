import { type FenceRow, mayRead } from '../../../core/fence.ts';
import type { Engine } from '../store/engine.ts';
import type { StreamRow } from '../store/transitions.ts';
import type { Transaction } from '../store/transaction.ts';

/** What the protocol promises of the stores at every instant, looked at with every commit. Knows the fence's table of states and nothing of who changes them. */
export class Invariants {
  readonly #engines: ReadonlyMap<string, Engine>;
  readonly #violated: (said: string) => void;
  readonly #onFence: (store: string, row: FenceRow) => void;
  readonly #known = new Map<string, FenceRow>();
  /** By table and attempt: what was decided. */
  readonly #decisions = new Map<string, 'SEALED' | 'OPEN'>();

  constructor(engines: ReadonlyMap<string, Engine>, violated: (said: string) => void, onFence: (store: string, row: FenceRow) => void) {
    this.#engines = engines;
    this.#violated = violated;
    this.#onFence = onFence;
  }

  /** Highest attempt in any fence row. */
  get highestAttempt(): number {
    return Math.max(0, ...[...this.#known.values()].map((row) => row.attempt));
  }

  /** Takes in what a store holds already. */
  learn(engine: Engine): void {
    for (const table of engine.keys('fence')) this.#known.set(`${engine.name}.${table}`, engine.read('fence', table, engine.lastCommit) as FenceRow);
  }

  committed(engine: Engine, transaction: Transaction): void {
    for (const [relation, rows] of transaction.writes) {
      if (relation === 'fence') for (const row of rows.values()) this.#fenceChanged(engine, row as FenceRow);
      else if (relation.startsWith('row ')) this.#rowsChanged(engine, transaction, relation.slice(4));
    }
  }

  #fenceChanged(engine: Engine, row: FenceRow): void {
    const place = `${engine.name}.${row.table}`;
    const before = this.#known.get(place);
    this.#known.set(place, row);
    if (before !== undefined && row.attempt < before.attempt) this.#violated(`the attempt of ${place} fell from ${before.attempt} to ${row.attempt}`);
    this.#decide(place, before, row);
    const others = [...this.#engines.values()].filter((other) => other !== engine).flatMap((other) => this.#known.get(`${other.name}.${row.table}`) ?? []);
    for (const other of others) {
      if (row.state === 'OPEN' && other.state === 'OPEN') this.#violated(`${row.table} is OPEN in both stores: ${row.attempt} in ${engine.name}, ${other.attempt} in the other`);
      if (!mayRead(row.state) && !mayRead(other.state)) this.#violated(`${row.table} can be read nowhere: ${row.state}(${row.attempt}) and ${other.state}(${other.attempt})`);
      if (row.state === 'OPEN' && before?.state === 'READABLE') this.#opened(engine, row, other);
    }
    this.#onFence(engine.name, row);
  }

  #opened(engine: Engine, row: FenceRow, other: FenceRow): void {
    if (other.state !== 'CLOSED' || other.attempt !== row.attempt)
      this.#violated(`${row.table} is OPEN(${row.attempt}) in ${engine.name} and ${other.state}(${other.attempt}) in the other store`);
    const hasMarker = engine.keys('stream').some((id) => (engine.read('stream', id, engine.lastCommit) as StreamRow | undefined)?.marker === row.attempt);
    if (!hasMarker) this.#violated(`${row.table} is OPEN(${row.attempt}) in ${engine.name}, where the marker of that attempt has not been applied`);
  }

  #decide(place: string, before: FenceRow | undefined, row: FenceRow): void {
    if (before?.state !== 'FROZEN' || (row.state !== 'SEALED' && row.state !== 'OPEN')) return;
    const key = `${place} ${row.attempt}`;
    const decided = this.#decisions.get(key);
    if (decided !== undefined && decided !== row.state) this.#violated(`attempt ${row.attempt} of ${place} was decided twice: ${decided} and ${row.state}`);
    this.#decisions.set(key, row.state);
  }

  #rowsChanged(engine: Engine, transaction: Transaction, table: string): void {
    const row = this.#known.get(`${engine.name}.${table}`);
    if (row === undefined) return;
    if (transaction.role === 'player') {
      if (row.state !== 'CLOSED') this.#violated(`a player's rows of ${table} were committed in ${engine.name}, which is ${row.state}(${row.attempt})`);
    } else if (transaction.role === 'gateway' && row.state !== 'OPEN') this.#violated(`a write of ${table} was committed in ${engine.name}, which is ${row.state}(${row.attempt})`);
  }
}

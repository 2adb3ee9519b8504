import type { Engine, LoggedEvent, Relation } from './engine.ts';
import { Deadlock, type LockMode, type TableLockMode } from './locks.ts';
import type { StoreServer } from './server.ts';

/** Why a store refuses or ends something, by the names that PostgreSQL has for it. */
export type StoreCode =
  | 'fenced'
  | 'insufficient_privilege'
  | 'serialization_failure'
  | 'lock_not_available'
  | 'deadlock_detected'
  | 'query_canceled'
  | 'unique_violation'
  | 'undefined_table'
  | 'prepared_later'
  | 'stream_taken'
  | 'rights_remain';

/** A store's answer that something was not done. */
export class StoreRefusal extends Error {
  readonly code: StoreCode;

  constructor(code: StoreCode, message: string) {
    super(message);
    this.name = 'StoreRefusal';
    this.code = code;
  }
}

/** After waiting so long a transaction looks whether it waits for itself. */
const deadlockMs = 1_000;
const fenceDeadlockMs = 20;

export type Isolation = 'read committed' | 'repeatable read';
export type Role = 'gateway' | 'player' | 'owner';

/** A running transaction: what it has written, which nobody else sees, the locks that it holds, and its snapshot. */
export class Transaction {
  readonly role: Role;
  readonly writes = new Map<Relation, Map<string, unknown>>();
  readonly events: LoggedEvent[] = [];
  readonly server: StoreServer;
  readonly #engine: Engine;
  readonly #isolation: Isolation;
  readonly beganAt: number;
  #snapshot: number | null = null;
  #refuse: ((error: Error) => void) | null = null;
  #isCancelled = false;

  constructor(server: StoreServer, role: Role, isolation: Isolation = 'read committed') {
    this.server = server;
    this.#engine = server.engine;
    this.role = role;
    this.#isolation = isolation;
    this.beganAt = server.now;
    server.transactions.add(this);
  }

  /** Name of the store. */
  get store(): string {
    return this.#engine.name;
  }

  /** A statement begins: its snapshot is now, or that of the transaction's first one. */
  beginStatement(): void {
    if (this.#snapshot === null || this.#isolation === 'read committed') this.#snapshot = this.#engine.lastCommit;
  }

  /** The row as the statement sees it. */
  read<T>(relation: Relation, key: string): T | undefined {
    const own = this.writes.get(relation);
    if (own?.has(key) === true) return (own.get(key) ?? undefined) as T | undefined;
    return this.#engine.read(relation, key, this.#snapshot ?? this.#engine.lastCommit) as T | undefined;
  }

  /** The newest committed row, or the own one: what a lock that was waited for leads to, and what the catalogue says. */
  readNewest<T>(relation: Relation, key: string): T | undefined {
    const own = this.writes.get(relation);
    if (own?.has(key) === true) return (own.get(key) ?? undefined) as T | undefined;
    return this.#engine.read(relation, key, this.#engine.lastCommit) as T | undefined;
  }

  /** Every row of a relation as the statement sees it, by key. */
  scan<T>(relation: Relation): readonly (readonly [key: string, row: T])[] {
    const keys = new Set([...this.#engine.keys(relation), ...(this.writes.get(relation)?.keys() ?? [])]);
    return [...keys].sort().flatMap((key) => {
      const row = this.read<T>(relation, key);
      return row === undefined ? [] : [[key, row] as const];
    });
  }

  /** Takes a row's lock. A row that has changed since a REPEATABLE READ snapshot is refused. */
  async lockRow(relation: Relation, key: string, mode: 'share' | 'exclusive'): Promise<void> {
    await this.#lock(`${relation} ${key}`, mode, null);
    if (this.#isolation === 'repeatable read' && this.#snapshot !== null && this.#engine.changedAt(relation, key) > this.#snapshot) {
      throw new StoreRefusal('serialization_failure', 'could not serialize access due to concurrent update');
    }
  }

  /** `limitMs` null: waits for ever. */
  async lockTable(table: string, mode: TableLockMode, limitMs: number | null = null): Promise<void> {
    await this.#lock(`table ${table}`, mode, limitMs);
  }

  /** The row's lock must be held. Null removes it. */
  put(relation: Relation, key: string, value: unknown): void {
    const rows = this.writes.get(relation);
    if (rows === undefined) this.writes.set(relation, new Map([[key, value]]));
    else rows.set(key, value);
  }

  log(event: LoggedEvent): void {
    this.events.push(event);
  }

  /** A moment in which everything else may happen; rarely long. */
  async pause(): Promise<void> {
    this.#throwIfCancelled();
    await this.server.pause();
    this.#throwIfCancelled();
  }

  commit(): void {
    this.#throwIfCancelled();
    this.#engine.commit(this, this.server.now);
    this.rollBack();
  }

  /** Gives the locks back; what was not committed is gone. */
  rollBack(): void {
    this.server.transactions.delete(this);
    this.server.locks.releaseAll(this);
  }

  /** Ends the statement where it waits or comes to its next step. */
  cancel(): void {
    this.#isCancelled = true;
    this.#refuse?.(cancelled());
  }

  /** The statement that was to be cancelled has ended. */
  endStatement(): void {
    this.#isCancelled = false;
  }

  #throwIfCancelled(): void {
    if (this.#isCancelled) throw cancelled();
  }

  async #lock(name: string, mode: LockMode, limitMs: number | null): Promise<void> {
    this.#throwIfCancelled();
    try {
      await this.server.locks.acquire(name, mode, this, (refuse) => {
        this.#refuse = refuse;
        const late = (): void => refuse(new StoreRefusal('lock_not_available', 'canceling statement due to lock timeout'));
        const stop = limitMs === null ? (): void => {} : this.server.after(limitMs, late);
        const stopLooking = this.server.after(mode === 'drain' ? fenceDeadlockMs : deadlockMs, () => {
          if (this.server.locks.isInCycle(this)) refuse(new Deadlock());
        });
        return () => {
          stop();
          stopLooking();
          this.#refuse = null;
        };
      });
    } catch (error) {
      if (error instanceof Deadlock) throw new StoreRefusal('deadlock_detected', error.message);
      throw error;
    }
  }
}

const cancelled = (): StoreRefusal => new StoreRefusal('query_canceled', 'canceling statement due to user request');

import type { ChangeEvent } from '../../../core/change.ts';
import type { Transaction } from './transaction.ts';

/** One state of a row; null: it is not there. */
interface Version {
  readonly commit: number;
  readonly value: unknown;
}

/** What a committed transaction has left in the log. `stream` is the one whose row it touched, as only players do. */
export interface LogEntry {
  readonly commit: number;
  readonly atMs: number;
  readonly isPlayers: boolean;
  readonly events: readonly LoggedEvent[];
}

/** A change with what decides which streams it belongs to. */
export interface LoggedEvent {
  readonly event: ChangeEvent;
  readonly workflow?: string;
  readonly stream?: string;
}

/** A slot: what its stream still needs of the log. */
export interface Slot {
  confirmed: number;
}

/** The relations of a store: those of its tables, named `row <table>`, and Switchyard's own. */
export type Relation =
  | `row ${string}`
  | 'fence'
  | 'stream'
  | 'copy'
  | 'marker'
  | 'preparation'
  | 'rights'
  | 'request'
  | 'table'
  | 'acl'
  | 'trigger'
  | 'sequence'
  | 'reference'
  | 'installation';

/**
 * What survives a server's crash: committed rows as versions by commit number, the log in commit order, slots. A snapshot is the number of the last commit that it sees; a transaction's own writes are its own until it commits, all at
 * once.
 */
export class Engine {
  readonly name: string;
  readonly slots = new Map<string, Slot>();
  /** The attempt for which each stream's log was begun last, also where it has gone since. */
  readonly logAttempts = new Map<string, number>();
  readonly #relations = new Map<Relation, Map<string, Version[]>>();
  readonly #log: LogEntry[] = [];
  readonly #listeners = new Set<() => void>();
  #lastCommit = 0;
  /** Told of every commit, when it has just happened. */
  onCommit: (transaction: Transaction) => void = () => {};

  constructor(name: string) {
    this.name = name;
  }

  /** A store of the same content, log and slots, which goes its own way from here on. Commits were made `earlierMs` ago. */
  copy(earlierMs: number): Engine {
    const copied = new Engine(this.name);
    copied.#lastCommit = this.#lastCommit;
    for (const [id, slot] of this.slots) copied.slots.set(id, { ...slot });
    for (const [id, number] of this.logAttempts) copied.logAttempts.set(id, number);
    for (const [relation, rows] of this.#relations) copied.#relations.set(relation, new Map([...rows].map(([key, versions]) => [key, [...versions]])));
    copied.#log.push(...this.#log.map((entry) => ({ ...entry, atMs: entry.atMs - earlierMs })));
    return copied;
  }

  get lastCommit(): number {
    return this.#lastCommit;
  }

  /** The row as of a snapshot; undefined: not there. */
  read(relation: Relation, key: string, snapshot: number): unknown {
    const versions = this.#relations.get(relation)?.get(key);
    if (versions === undefined) return undefined;
    for (let at = versions.length - 1; at >= 0; at -= 1) {
      const version = versions[at] as Version;
      if (version.commit <= snapshot) return version.value ?? undefined;
    }
    return undefined;
  }

  /** The number of the commit that changed the row last; 0: none. */
  changedAt(relation: Relation, key: string): number {
    return this.#relations.get(relation)?.get(key)?.at(-1)?.commit ?? 0;
  }

  /** Keys that have ever been there, sorted. */
  keys(relation: Relation): readonly string[] {
    return [...(this.#relations.get(relation)?.keys() ?? [])].sort();
  }

  /** Makes everything that the transaction wrote visible at once, and part of the log. */
  commit(transaction: Transaction, atMs: number): void {
    if (transaction.writes.size === 0 && transaction.events.length === 0) return;
    this.#lastCommit += 1;
    for (const [relation, rows] of transaction.writes) {
      const stored = this.#relations.get(relation) ?? new Map<string, Version[]>();
      this.#relations.set(relation, stored);
      for (const [key, value] of rows) {
        const version = { commit: this.#lastCommit, value };
        const versions = stored.get(key);
        if (versions === undefined) stored.set(key, [version]);
        else versions.push(version);
      }
    }
    if (transaction.events.length > 0) this.#log.push({ commit: this.#lastCommit, atMs, isPlayers: transaction.writes.has('stream'), events: transaction.events });
    this.onCommit(transaction);
    for (const listener of this.#listeners) listener();
  }

  /** Entries after this commit, in order. */
  logAfter(commit: number): readonly LogEntry[] {
    let at = this.#log.length;
    while (at > 0 && (this.#log[at - 1] as LogEntry).commit > commit) at -= 1;
    return this.#log.slice(at);
  }

  /** Calls `listener` at every commit until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

import type { Change, Entry, Session, TopologyState } from './topology-state.ts';

/** A write being thought out: reads see what it has changed already, the state does not. What is not made a change of is as if it had never been. */
export class Draft {
  /** The index that everything in this write gets. */
  readonly index: number;
  readonly #state: TopologyState;
  readonly #entries = new Map<string, Entry | null>();
  readonly #sessions = new Map<string, Session | null>();

  constructor(state: TopologyState) {
    this.#state = state;
    this.index = state.index + 1;
  }

  entry(key: string): Entry | undefined {
    const drafted = this.#entries.get(key);
    return drafted === undefined ? this.#state.entry(key) : (drafted ?? undefined);
  }

  session(id: string): Session | undefined {
    const drafted = this.#sessions.get(id);
    return drafted === undefined ? this.#state.session(id) : (drafted ?? undefined);
  }

  /** Every entry whose key begins with `prefix`, sorted by key. */
  tree(prefix: string): readonly Entry[] {
    const found = new Map(this.#state.tree(prefix).map((entry) => [entry.key, entry]));
    for (const [key, entry] of this.#entries) {
      if (!key.startsWith(prefix)) continue;
      if (entry === null) found.delete(key);
      else found.set(key, entry);
    }
    return [...found.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  heldBy(session: string): readonly Entry[] {
    return this.#state.heldBy(session);
  }

  /** Content that is there already is no change: the entry keeps its index. Returns what is there now. */
  put(entry: Omit<Entry, 'createIndex' | 'modifyIndex'>): Entry {
    const existing = this.entry(entry.key);
    if (existing !== undefined && sameContent(existing, entry)) return existing;
    const written = { ...entry, createIndex: existing?.createIndex ?? this.index, modifyIndex: this.index };
    this.#entries.set(entry.key, written);
    return written;
  }

  remove(key: string): void {
    if (this.entry(key) !== undefined) this.#entries.set(key, null);
  }

  putSession(session: Session): void {
    this.#sessions.set(session.id, session);
  }

  removeSession(id: string): void {
    this.#sessions.set(id, null);
  }

  /** Null: nothing to do. */
  change(): Change | null {
    const puts = [...this.#entries.values()].filter((entry) => entry !== null);
    // One that was made and deleted in the same write too: its index has been shown.
    const deletes = [...this.#entries].flatMap(([key, entry]) => (entry === null ? [key] : []));
    const sessions = [...this.#sessions.values()].filter((session) => session !== null);
    const ended = [...this.#sessions].flatMap(([id, session]) => (session === null ? [id] : []));
    return puts.length + deletes.length + sessions.length + ended.length === 0 ? null : { index: this.index, puts, deletes, sessions, ended };
  }
}

function sameContent(a: Entry, b: Omit<Entry, 'createIndex' | 'modifyIndex'>): boolean {
  return a.value === b.value && a.flags === b.flags && a.session === b.session && a.lockIndex === b.lockIndex;
}

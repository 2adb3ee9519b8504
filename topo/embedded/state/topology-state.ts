import { z } from 'zod';

const index = z.number().int().nonnegative();

/** A key as it is kept. `value` is base64, as it goes over the wire. `session` is empty while nobody holds the key. */
export const entrySchema = z.strictObject({ key: z.string(), value: z.string(), flags: index, createIndex: index, modifyIndex: index, lockIndex: index, session: z.string() });
export type Entry = Readonly<z.infer<typeof entrySchema>>;

/** `ttl` is the text that the client gave, empty for a session that does not expire; `ttlMs` is what it means. */
export const sessionSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  behavior: z.enum(['release', 'delete']),
  ttl: z.string(),
  ttlMs: z.number().nonnegative(),
  lockDelayMs: z.number().nonnegative(),
  createIndex: index,
});
export type Session = Readonly<z.infer<typeof sessionSchema>>;

/** What one write did, all of it at one index. It is what is logged, so that reading the log decides nothing anew. */
export const changeSchema = z.strictObject({
  index,
  puts: z.array(entrySchema),
  deletes: z.array(z.string()),
  sessions: z.array(sessionSchema),
  ended: z.array(z.string()),
});
export type Change = Readonly<z.infer<typeof changeSchema>>;

/** What the entries and sessions themselves do not say: the indexes reached and the keys deleted, with the index of that. */
export const marksSchema = z.strictObject({ index, kvIndex: index, sessionIndex: index, reapedIndex: index, tombstones: z.array(z.tuple([z.string(), index])) });
export type Marks = Readonly<z.infer<typeof marksSchema>>;

/** Deleted keys that are remembered one by one; of older ones only the newest index is. */
const MAX_TOMBSTONES = 4_096;

/** Keys and sessions with Consul's indexes. Only `apply` and `restoreMarks` change it; neither can fail. */
export class TopologyState {
  readonly #entries = new Map<string, Entry>();
  readonly #sessions = new Map<string, Session>();
  /** The keys of `#entries`, sorted. */
  readonly #keys: string[] = [];
  /** Insertion order is age. */
  readonly #tombstones = new Map<string, number>();
  #index = 1;
  #kvIndex = 0;
  #sessionIndex = 0;
  #reapedIndex = 0;

  /** Of the newest change. Never goes down. */
  get index(): number {
    return this.#index;
  }

  /** Of the newest change of any key. */
  get kvIndex(): number {
    return this.#kvIndex;
  }

  get sessionIndex(): number {
    return this.#sessionIndex;
  }

  entry(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  session(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  sessions(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  /** Every entry whose key begins with `prefix`, sorted by key. */
  tree(prefix: string): readonly Entry[] {
    const found: Entry[] = [];
    for (let at = this.#positionOf(prefix); at < this.#keys.length; at += 1) {
      const key = this.#keys[at] ?? '';
      if (!key.startsWith(prefix)) break;
      const entry = this.#entries.get(key);
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }

  /** The index of what a list of `prefix` shows: of its newest entry or deletion, of the newest change anywhere where there never was one. */
  treeIndex(prefix: string, entries: readonly Entry[]): number {
    if (prefix === '') return this.#kvIndex;
    let newest = 0;
    for (const { modifyIndex } of entries) newest = Math.max(newest, modifyIndex);
    // A deletion that is not remembered may have been under this prefix: waking up once too often is the safe side.
    newest = Math.max(newest, this.#reapedIndex);
    for (const [key, deletedAt] of this.#tombstones) if (key.startsWith(prefix)) newest = Math.max(newest, deletedAt);
    return newest === 0 ? this.#kvIndex : newest;
  }

  /** Keys that the session holds. */
  heldBy(session: string): readonly Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.session === session);
  }

  apply(change: Change): void {
    for (const key of change.deletes) this.#delete(key, change.index);
    for (const entry of change.puts) this.#put(entry);
    for (const session of change.sessions) this.#sessions.set(session.id, session);
    for (const id of change.ended) this.#sessions.delete(id);
    this.#index = Math.max(this.#index, change.index);
    if (change.puts.length + change.deletes.length > 0) this.#kvIndex = Math.max(this.#kvIndex, change.index);
    if (change.sessions.length + change.ended.length > 0) this.#sessionIndex = Math.max(this.#sessionIndex, change.index);
  }

  marks(): Marks {
    return { index: this.#index, kvIndex: this.#kvIndex, sessionIndex: this.#sessionIndex, reapedIndex: this.#reapedIndex, tombstones: [...this.#tombstones] };
  }

  restoreMarks(marks: Marks): void {
    this.#index = marks.index;
    this.#kvIndex = marks.kvIndex;
    this.#sessionIndex = marks.sessionIndex;
    this.#reapedIndex = marks.reapedIndex;
    this.#tombstones.clear();
    for (const [key, deletedAt] of marks.tombstones) this.#tombstones.set(key, deletedAt);
  }

  #put(entry: Entry): void {
    if (!this.#entries.has(entry.key)) this.#keys.splice(this.#positionOf(entry.key), 0, entry.key);
    this.#entries.set(entry.key, entry);
  }

  #delete(key: string, index: number): void {
    if (this.#entries.delete(key)) this.#keys.splice(this.#positionOf(key), 1);
    this.#tombstones.delete(key);
    this.#tombstones.set(key, index);
    for (const [oldest, deletedAt] of this.#tombstones) {
      if (this.#tombstones.size <= MAX_TOMBSTONES) break;
      this.#tombstones.delete(oldest);
      this.#reapedIndex = Math.max(this.#reapedIndex, deletedAt);
    }
  }

  /** Where `key` stands in the sorted keys, or would. */
  #positionOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

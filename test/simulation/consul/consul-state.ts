import type { KvItem, KvReading, KvWrite, WriteOutcome } from '../../../topo/kv-client.ts';

interface Session {
  readonly id: string;
  readonly ttlMs: number;
  /** When it ends unless it is renewed. */
  expiresAtMs: number;
}

/** Keys, sessions and indexes as Consul's servers agree on them. Immutable values, so that a copy is cheap. */
export class ConsulState {
  readonly #items: Map<string, KvItem>;
  readonly #sessions: Map<string, Session>;
  /** Index at which a key was deleted last. */
  readonly #deleted: Map<string, number>;
  #index: number;
  /** Of the newest change of any key. */
  #kvIndex: number;

  constructor(from?: ConsulState) {
    this.#items = new Map(from === undefined ? [] : from.#items);
    this.#sessions = new Map(from === undefined ? [] : [...from.#sessions].map(([id, session]) => [id, { ...session }]));
    this.#deleted = new Map(from === undefined ? [] : from.#deleted);
    this.#index = from === undefined ? 10 : from.#index;
    this.#kvIndex = from === undefined ? 10 : from.#kvIndex;
  }

  copy(): ConsulState {
    return new ConsulState(this);
  }

  /** The same without sessions. */
  withoutSessions(): ConsulState {
    const copied = this.copy();
    for (const id of copied.sessionIds) copied.endSession(id);
    return copied;
  }

  get(key: string): KvReading {
    const item = this.#items.get(key);
    return { items: item === undefined ? [] : [item], index: item?.modifyIndex ?? this.#kvIndex };
  }

  list(prefix: string): KvReading {
    const items = [...this.#items.values()].filter((item) => item.key.startsWith(prefix)).sort((a, b) => (a.key < b.key ? -1 : 1));
    let index = 0;
    for (const item of items) index = Math.max(index, item.modifyIndex);
    for (const [key, at] of this.#deleted) if (key.startsWith(prefix)) index = Math.max(index, at);
    return { items, index: index === 0 ? this.#kvIndex : index };
  }

  get sessionIds(): ReadonlySet<string> {
    return new Set(this.#sessions.keys());
  }

  createSession(id: string, ttlMs: number, expiresAtMs: number): void {
    this.#index += 1;
    this.#sessions.set(id, { id, ttlMs, expiresAtMs });
  }

  /** False: there is none. */
  renewSession(id: string, expiresAtMs: number): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    session.expiresAtMs = expiresAtMs;
    return true;
  }

  /** Ends it and releases its locks. */
  endSession(id: string): void {
    if (!this.#sessions.delete(id)) return;
    this.#index += 1;
    for (const item of this.#items.values()) if (item.session === id) this.#put(item.key, item.value, undefined);
  }

  expireSessions(nowMs: number): void {
    for (const session of [...this.#sessions.values()]) if (session.expiresAtMs <= nowMs) this.endSession(session.id);
  }

  /** A new leader counts every session's time from the beginning. */
  restartSessions(nowMs: number): void {
    for (const session of this.#sessions.values()) session.expiresAtMs = nowMs + session.ttlMs * 1.5;
  }

  /** All or nothing, at one index. A write that changes nothing succeeds and leaves the item as it is. */
  write(operations: readonly KvWrite[]): WriteOutcome {
    const failed = operations.flatMap((operation, position) => (this.#problem(operation) === null ? [] : [position]));
    const [first] = failed;
    if (first !== undefined) return { kind: 'refused', operations: failed, message: this.#problem(operations[first] as KvWrite) ?? '' };
    this.#index += 1;
    let modifyIndex = 0;
    for (const operation of operations) {
      this.#apply(operation);
      modifyIndex = Math.max(modifyIndex, this.#items.get(operation.key)?.modifyIndex ?? 0);
    }
    return { kind: 'written', modifyIndex };
  }

  #problem(operation: KvWrite): string | null {
    const item = this.#items.get(operation.key);
    switch (operation.verb) {
      case 'cas':
        return (item?.modifyIndex ?? 0) === operation.index ? null : 'index is stale';
      case 'lock':
        if (!this.#sessions.has(operation.session)) return 'invalid session';
        return item?.session === undefined || item.session === operation.session ? null : 'lock is already held';
      case 'unlock':
        return item?.session === operation.session ? null : 'lock is not held';
      case 'set':
      case 'delete':
        return null;
    }
  }

  #apply(operation: KvWrite): void {
    const { key } = operation;
    const item = this.#items.get(key);
    switch (operation.verb) {
      case 'set':
      case 'cas':
        if (item?.value.equals(operation.value) !== true) this.#put(key, operation.value, item?.session);
        return;
      case 'lock':
        if (item?.session !== operation.session || !item.value.equals(operation.value)) this.#put(key, operation.value, operation.session);
        return;
      case 'unlock':
        this.#put(key, operation.value, undefined);
        return;
      case 'delete':
        if (!this.#items.delete(key)) return;
        this.#deleted.set(key, this.#index);
        this.#kvIndex = this.#index;
    }
  }

  #put(key: string, value: Buffer, session: string | undefined): void {
    const createIndex = this.#items.get(key)?.createIndex ?? this.#index;
    this.#items.set(key, { key, value, createIndex, modifyIndex: this.#index, ...(session === undefined ? {} : { session }) });
    this.#kvIndex = this.#index;
  }
}

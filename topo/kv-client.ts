/** A key as Consul holds it. `createIndex` and `modifyIndex` are Raft indexes; `session` is there while a session holds the key. */
export interface KvItem {
  readonly key: string;
  readonly value: Buffer;
  readonly createIndex: number;
  readonly modifyIndex: number;
  readonly session?: string;
}

/** What a read returns, with the index that a blocking query continues from (at least 1). */
export interface KvReading {
  readonly items: readonly KvItem[];
  readonly index: number;
}

/** `consistent`: the leader proves that it still is one. `default`: the leader answers, an old one may for a moment. `stale`: any server. `blocking`: default, but waits until something is newer than `index`. */
export type ReadMode = { readonly kind: 'consistent' | 'default' | 'stale' } | { readonly kind: 'blocking'; readonly index: number; readonly waitMs: number };
export const CONSISTENT: ReadMode = { kind: 'consistent' };

/** One operation of a transaction. `cas` with index 0: the key must not exist. */
export type KvWrite =
  | { readonly verb: 'set'; readonly key: string; readonly value: Buffer }
  | { readonly verb: 'cas'; readonly key: string; readonly value: Buffer; readonly index: number }
  | { readonly verb: 'lock' | 'unlock'; readonly key: string; readonly value: Buffer; readonly session: string }
  | { readonly verb: 'delete'; readonly key: string };

/** `refused`: nothing was written; `operations` are the positions of those that failed, `message` is Consul's, for people. */
export type WriteOutcome =
  | { readonly kind: 'written'; readonly modifyIndex: number }
  | { readonly kind: 'refused'; readonly operations: readonly number[]; readonly message: string };

/**
 * The calls to Consul that the topology is made of. Each has a limit and takes a signal, and rejects with TOPOLOGY_UNAVAILABLE (no answer, no leader, an answer that is not Consul's), TOPOLOGY_DENIED, TOPOLOGY_TOO_LARGE or the
 * signal's reason. A write that rejects with TOPOLOGY_UNAVAILABLE or because of its signal may or may not have been done.
 */
export interface KvClient {
  /** One key: one item or none. */
  get(key: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading>;
  /** Every key that begins with `prefix`, sorted by key. Keys that the token may not read are left out; that nothing came back for want of rights is found out and denied unless blocking. */
  list(prefix: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading>;
  /** Names of the keys that begin with `prefix`, sorted; consistent. */
  keys(prefix: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Every key that begins with one of the prefixes (at most 64), as of one moment, consistent. Keys that may not be read are left out. */
  snapshot(prefixes: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, KvItem>>;
  /** All of the operations or none. Refused before it is sent when it is larger than Consul takes. */
  write(operations: readonly KvWrite[], signal: AbortSignal): Promise<WriteOutcome>;
  /** Creates a session that releases its locks when it ends, with no delay after that. Returns its id. */
  createSession(name: string, ttlMs: number, signal: AbortSignal): Promise<string>;
  /** False: there is no such session (any more). */
  renewSession(id: string, signal: AbortSignal, limitMs: number): Promise<boolean>;
  /** Ends a session and releases its locks. One that does not exist is success. */
  destroySession(id: string, signal: AbortSignal, limitMs?: number): Promise<void>;
  /** Ids of all sessions that exist; consistent. */
  sessionIds(signal: AbortSignal): Promise<ReadonlySet<string>>;
}

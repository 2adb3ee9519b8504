import type { Keyspace } from '../core/keyspace.ts';
import type { Registration } from '../core/registration.ts';
import type { RulesDocument } from '../core/rules-document.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';

/** A document with the Consul index that a compare-and-set needs. */
export interface Stored<T> {
  readonly value: T;
  readonly index: number;
}

/** What stands under the rules key. `invalid` and `missing` are alarms for whoever routes, never empty rules. */
export type RulesSnapshot =
  | { readonly kind: 'valid'; readonly document: RulesDocument; readonly index: number }
  /** `version` where the document at least has a number there. */
  | { readonly kind: 'invalid'; readonly index: number; readonly version: number; readonly message: string }
  | { readonly kind: 'missing'; readonly index: number };

export interface HistoryEntry {
  readonly document: RulesDocument;
  /** Written by somebody else than control. */
  readonly external: boolean;
}

/** Who changes the rules and why; goes into the document. */
export interface ChangeNote {
  readonly by: string;
  readonly reason: string;
}

/** The part of the rules that a change gives; version, nonce and time are added. */
export type RulesChange = Pick<RulesDocument, 'defaultKeyspace' | 'keyspaces' | 'tables'>;

/** A held lock. Advisory: it divides work, the stores' fences keep things safe. */
export interface Lock extends AsyncDisposable {
  readonly key: string;
  readonly session: string;
  /** Aborts, with LOCK_TAKEN, when the session is known or must be feared to be lost. */
  readonly lost: AbortSignal;
}

/** A Consul session renewed in the background until disposed. */
export interface TopologySession extends AsyncDisposable {
  readonly id: string;
  /** Aborts when the session is known to be gone. */
  readonly lost: AbortSignal;
}

/**
 * The map under `switchyard/<cluster>/`. Reads are consistent (Consul's `consistent` mode) unless said otherwise. Watches deliver the newest state, in order, never going back to a lower index unless Consul itself was reset, and go
 * on over faults by themselves; each calls `onFault` once when it loses Consul and goes on trying, and ends without an error when its signal aborts or the topology is disposed of. They ask only while the consumer waits for the
 * next state: a slow one skips what lay between. Every call that waits takes a signal and has a limit of its own: TOPOLOGY_UNAVAILABLE; TOPOLOGY_DENIED where the token lacks a right. A compare-and-set whose outcome is unknown is
 * resolved by reading again and comparing nonces; where even that does not succeed in time (5 s, or the signal), the error's metadata says `outcome: unknown`.
 */
export interface Topology extends AsyncDisposable {
  readRules(signal: AbortSignal): Promise<RulesSnapshot>;
  watchRules(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<RulesSnapshot>;
  /**
   * Reads the current document, asks `change` for the new content and writes it with its history entry in one transaction; repeats from the read when somebody was faster (at most 10 times: TOPOLOGY_CONFLICT). The
   * version is the highest of document, history and gateways' reports, + 1. `change` may return null: nothing to do; it may throw. An invalid current document is replaced on the basis of the last good one in history; a
   * missing one is created only by `initialRules` and `restoreRules`: RULES_MISSING. TOPOLOGY_TOO_LARGE. Returns the document now in force.
   * `also` are further documents to write in the same transaction (workflow claims); TOPOLOGY_CONFLICT at once when one of them was changed.
   */
  updateRules(note: ChangeNote, change: (current: RulesDocument) => RulesChange | null, signal: AbortSignal, also?: readonly WorkflowWrite[]): Promise<RulesDocument>;
  /**
   * Writes the first document where none exists; otherwise returns the existing one (the last good one where it is invalid). Where the key is gone but there is a history, the last good document comes back under a new version: never
   * empty rules.
   */
  initialRules(note: ChangeNote, defaultKeyspace: string, signal: AbortSignal): Promise<RulesDocument>;
  /** Where the key is gone but there is a history: the last good document comes back under a new version. Otherwise changes nothing. Returns the document now in force, null where there never was one. */
  restoreRules(note: ChangeNote, signal: AbortSignal): Promise<RulesDocument | null>;
  /** Newest first, versions below `before` when given. */
  history(limit: number, before: number | null, signal: AbortSignal): Promise<readonly HistoryEntry[]>;
  /** Writes the history entry of a document that somebody else made current, if it is not there. */
  recordExternal(document: RulesDocument, signal: AbortSignal): Promise<void>;

  keyspaces(signal: AbortSignal): Promise<readonly Stored<Keyspace>[]>;
  watchKeyspaces(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<readonly Keyspace[]>;
  putKeyspace(keyspace: Keyspace, signal: AbortSignal): Promise<void>;

  /** Lists and watches leave out documents that are invalid and report them; this one fails with TOPOLOGY_INVALID. */
  workflow(name: string, signal: AbortSignal): Promise<Stored<WorkflowDocument> | null>;
  workflows(signal: AbortSignal): Promise<readonly Stored<WorkflowDocument>[]>;
  watchWorkflows(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<readonly Stored<WorkflowDocument>[]>;
  /** Compare-and-set of one document (index 0: must not exist). TOPOLOGY_CONFLICT when it was changed. A new nonce is put in. Returns what is stored now. */
  writeWorkflow(document: WorkflowDocument, index: number, signal: AbortSignal): Promise<Stored<WorkflowDocument>>;
  /** Reads, changes and writes until it takes (at most 10 times). `change` may return null: nothing to do. */
  updateWorkflow(name: string, change: (current: WorkflowDocument) => WorkflowDocument | null, signal: AbortSignal): Promise<Stored<WorkflowDocument>>;

  /** Registers or updates a gateway; its session is named inside. Last write wins. */
  putRegistration(registration: Registration, signal: AbortSignal): Promise<void>;
  /** All registrations; `silent` when the session no longer exists. */
  registrations(signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]>;
  /** The same, for whoever has to count every one. TOPOLOGY_INVALID: one cannot be read, such as that of another release. */
  everyRegistration(signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]>;
  /** Registrations whenever one changes, without the question whether they are silent. Stale reads allowed. */
  watchRegistrations(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<readonly Registration[]>;
  removeRegistration(id: string, signal: AbortSignal): Promise<void>;

  /** Raises the cluster's attempt counter above `floor` and its own value, and returns it. */
  nextAttempt(floor: number, signal: AbortSignal): Promise<number>;

  /** A session with a TTL of 10 s (Consul's least; expiry up to twice that), lock delay 0, behaviour "release". */
  openSession(name: string, signal: AbortSignal): Promise<TopologySession>;
  /** Ends somebody's session: for a successor that knows the holder to be gone. Unknown session: success. */
  destroySession(id: string, signal: AbortSignal): Promise<void>;
  /** Takes `locks/<key>` with the session, or fails at once with LOCK_TAKEN (metadata: holder, session). */
  lock(key: string, session: TopologySession, holder: string, signal: AbortSignal): Promise<Lock>;
}

export interface WorkflowWrite {
  readonly document: WorkflowDocument;
  /** 0: must not exist. */
  readonly index: number;
}

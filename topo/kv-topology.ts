import type { Clock } from '../core/clock.ts';
import { type Keyspace, keyspaceSchema } from '../core/keyspace.ts';
import type { Registration } from '../core/registration.ts';
import type { RulesDocument } from '../core/rules-document.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';
import { nextAttempt } from './attempt-counter.ts';
import { BackOff } from './back-off.ts';
import { ConsulKeys } from './consul-keys.ts';
import type { KvClient } from './kv-client.ts';
import { KvDocuments } from './kv-documents.ts';
import { Locks } from './locks.ts';
import { RegistrationStore } from './registration-store.ts';
import { RenewedSession } from './renewed-session.ts';
import { RulesStore } from './rules-store.ts';
import type { ChangeNote, HistoryEntry, Lock, RulesChange, RulesSnapshot, Stored, Topology, TopologySession, WorkflowWrite } from './topology.ts';
import type { TopologyContext } from './topology-context.ts';
import { WorkflowStore } from './workflow-store.ts';

export interface KvTopologyOptions {
  /** Name of the cluster; everything lies under `switchyard/<cluster>/`. */
  readonly cluster: string;
  readonly clock: Clock;
  /** A new random text every time, at most 64 characters; also the source of jitter. */
  readonly newNonce: () => string;
  /** For faults with no caller to tell: documents that are left out, renewals that fail, faults of watches without an `onFault`. Must not throw. */
  readonly onBackgroundError?: (error: Error) => void;
  /** Longest wait of one blocking query. Default 30,000; a frozen agent is noticed about 10 % and 2 s later. */
  readonly watchWaitMs?: number;
}

/** The topology over the calls of a client, which it closes at its end. Disposing ends watches, sessions and the client. */
export function openKvTopology(client: KvClient & AsyncDisposable, options: KvTopologyOptions): Topology {
  return new KvTopology(client, options);
}

class KvTopology implements Topology {
  readonly #client: KvClient & AsyncDisposable;
  readonly #context: TopologyContext;
  readonly #rules: RulesStore;
  readonly #keyspaces: KvDocuments<Keyspace>;
  readonly #workflows: WorkflowStore;
  readonly #registrations: RegistrationStore;
  readonly #locks: Locks;
  readonly #sessions = new Set<RenewedSession>();
  readonly #closed = new AbortController();

  constructor(client: KvClient & AsyncDisposable, options: KvTopologyOptions) {
    const { clock, newNonce } = options;
    this.#client = client;
    this.#context = {
      client,
      keys: new ConsulKeys(options.cluster),
      clock,
      newNonce,
      conflictBackOff: new BackOff({ clock, newNonce, firstMs: 2, mostMs: 100 }),
      faultBackOff: new BackOff({ clock, newNonce, firstMs: 20, mostMs: 1_000 }),
      watchWaitMs: options.watchWaitMs ?? 30_000,
      report: options.onBackgroundError ?? (() => {}),
    };
    this.#workflows = new WorkflowStore(this.#context);
    this.#rules = new RulesStore(this.#context, this.#workflows.documents);
    this.#keyspaces = new KvDocuments(this.#context, {
      prefix: this.#context.keys.keyspaces,
      schema: keyspaceSchema,
      nameOf: (keyspace) => keyspace.name,
      invalid: 'KEYSPACE_INVALID',
    });
    this.#registrations = new RegistrationStore(this.#context);
    this.#locks = new Locks(this.#context);
  }

  readRules(signal: AbortSignal): Promise<RulesSnapshot> {
    return this.#rules.read(signal);
  }

  watchRules(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<RulesSnapshot> {
    return this.#rules.watch(this.#untilClosed(signal), onFault);
  }

  updateRules(note: ChangeNote, change: (current: RulesDocument) => RulesChange | null, signal: AbortSignal, also: readonly WorkflowWrite[] = []): Promise<RulesDocument> {
    return this.#rules.update(note, change, signal, also);
  }

  restoreRules(note: ChangeNote, signal: AbortSignal): Promise<RulesDocument | null> {
    return this.#rules.restore(note, signal);
  }

  initialRules(note: ChangeNote, defaultKeyspace: string, signal: AbortSignal): Promise<RulesDocument> {
    return this.#rules.initial(note, defaultKeyspace, signal);
  }

  history(limit: number, before: number | null, signal: AbortSignal): Promise<readonly HistoryEntry[]> {
    return this.#rules.history.list(limit, before, signal);
  }

  recordExternal(document: RulesDocument, signal: AbortSignal): Promise<void> {
    return this.#rules.history.recordExternal(document, signal);
  }

  keyspaces(signal: AbortSignal): Promise<readonly Stored<Keyspace>[]> {
    return this.#keyspaces.list(signal);
  }

  async *watchKeyspaces(signal: AbortSignal, onFault?: (error: Error) => void): AsyncGenerator<readonly Keyspace[], void, undefined> {
    for await (const stored of this.#keyspaces.watch(this.#untilClosed(signal), onFault)) yield stored.map(({ value }) => value);
  }

  putKeyspace(keyspace: Keyspace, signal: AbortSignal): Promise<void> {
    return this.#keyspaces.put(keyspace, signal);
  }

  workflow(name: string, signal: AbortSignal): Promise<Stored<WorkflowDocument> | null> {
    return this.#workflows.documents.read(name, signal);
  }

  workflows(signal: AbortSignal): Promise<readonly Stored<WorkflowDocument>[]> {
    return this.#workflows.documents.list(signal);
  }

  watchWorkflows(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<readonly Stored<WorkflowDocument>[]> {
    return this.#workflows.documents.watch(this.#untilClosed(signal), onFault);
  }

  writeWorkflow(document: WorkflowDocument, index: number, signal: AbortSignal): Promise<Stored<WorkflowDocument>> {
    return this.#workflows.write(document, index, signal);
  }

  updateWorkflow(name: string, change: (current: WorkflowDocument) => WorkflowDocument | null, signal: AbortSignal): Promise<Stored<WorkflowDocument>> {
    return this.#workflows.update(name, change, signal);
  }

  putRegistration(registration: Registration, signal: AbortSignal): Promise<void> {
    return this.#registrations.documents.put(registration, signal);
  }

  registrations(signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]> {
    return this.#registrations.list(signal);
  }

  everyRegistration(signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]> {
    return this.#registrations.listEvery(signal);
  }

  watchRegistrations(signal: AbortSignal, onFault?: (error: Error) => void): AsyncIterable<readonly Registration[]> {
    return this.#registrations.watch(this.#untilClosed(signal), onFault);
  }

  removeRegistration(id: string, signal: AbortSignal): Promise<void> {
    return this.#registrations.documents.remove(id, signal);
  }

  nextAttempt(floor: number, signal: AbortSignal): Promise<number> {
    return nextAttempt(this.#context, floor, signal);
  }

  async openSession(name: string, signal: AbortSignal): Promise<TopologySession> {
    const session = await RenewedSession.open(this.#context, name, (ended) => this.#sessions.delete(ended), signal);
    this.#sessions.add(session);
    return session;
  }

  destroySession(id: string, signal: AbortSignal): Promise<void> {
    return this.#context.client.destroySession(id, signal);
  }

  lock(key: string, session: TopologySession, holder: string, signal: AbortSignal): Promise<Lock> {
    return this.#locks.lock(key, session, holder, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await Promise.all([...this.#sessions].map((session) => session[Symbol.asyncDispose]()));
    await this.#client[Symbol.asyncDispose]();
  }

  #untilClosed(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closed.signal]);
  }
}

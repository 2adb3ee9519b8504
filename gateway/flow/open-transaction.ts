import type { DataTransaction, TransactionOptions } from '../../backends/backend.ts';
import { noSavepoint } from '../../backends/request-answer.ts';
import type { Clock } from '../../core/clock.ts';
import type { RowLock } from '../../core/operation.ts';
import type { TableRef } from '../../core/routing-table.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableHandle } from '../codec/table-handle.ts';
import type { FenceView } from '../rules/fence-view.ts';
import type { Routing } from '../rules/routing.ts';
import type { Schemas } from '../schemas.ts';
import type { StoreLease, Stores } from '../stores.ts';
import { type Bounce, Bounces, isBounce, noCutover } from './bounces.ts';
import type { WriteBuffer } from './buffer.ts';
import type { Call } from './call.ts';
import type { Holds } from './hold.ts';

export interface TransactionLimits {
  readonly maxOpen: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly drainMs: number;
}

export interface TransactionsOptions {
  readonly routing: Routing;
  readonly fenceView: FenceView;
  readonly holds: Holds;
  readonly buffer: WriteBuffer;
  readonly schemas: Schemas;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly limits: TransactionLimits;
  readonly onFenced: (key: string, operation: 'read' | 'write') => void;
}

/** All open transactions of the gateway: how many there may be, and which of them a hold ends. */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #open = new Set<OpenTransaction>();

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** Now open. */
  get count(): number {
    return this.#open.size;
  }

  /** A transaction that has not begun in any store yet. To be disposed of. */
  open(call: Call, options: TransactionOptions): OpenTransaction {
    const transaction: OpenTransaction = new OpenTransaction(this.#options, call, options, {
      enter: (keyspace) => this.#enter(keyspace),
      leave: () => this.#open.delete(transaction),
    });
    this.#open.add(transaction);
    return transaction;
  }

  /** A hold of the group begins: who has used its tables may finish within the drain limit. */
  holdBegins(group: string): void {
    for (const transaction of this.#open) transaction.holdBegins(group);
  }

  #enter(keyspace: string): void {
    const { maxOpen } = this.#options.limits;
    const there = [...this.#open].filter((each) => each.keyspace === keyspace).length;
    if (there >= maxOpen) throw new SwitchyardError('STORE_OVERLOADED', `${there} transactions are open in keyspace "${keyspace}" already; at most ${maxOpen} may be`);
  }
}

interface Registry {
  readonly enter: (keyspace: string) => void;
  readonly leave: () => void;
}

/** Where the transaction runs, once its first request has said so. */
interface Place {
  readonly lease: StoreLease;
  readonly transaction: DataTransaction;
}

/**
 * One interactive transaction on its way through the gateway. Its first request decides the keyspace; a hold of that table is waited for before it begins. From then on it stays where it is: what a cutover takes away meanwhile ends it with
 * TRANSACTION_MOVED, which nothing but a new transaction helps. The store's fence decides, as for every other call; ending early when a hold begins only keeps a cutover from waiting for its locks.
 */
export class OpenTransaction implements AsyncDisposable {
  readonly #options: TransactionsOptions;
  readonly #call: Call;
  readonly #transaction: TransactionOptions;
  readonly #registry: Registry;
  readonly #bounces: Bounces;
  readonly #over = new AbortController();
  readonly #groups = new Set<string>();
  readonly #stopTimers: (() => void)[] = [];
  /** Of the first table that was used: its record goes with that table. */
  #table = '';
  #place: Place | null = null;
  /** Where it runs or is about to begin: it counts there at once. */
  #keyspace: string | null = null;
  /** Savepoints from before anything was done, which a beginning somewhere else has to make again. */
  #early: readonly string[] = [];
  /** Whether a request was carried out in the store. */
  #used = false;

  constructor(options: TransactionsOptions, call: Call, transaction: TransactionOptions, registry: Registry) {
    this.#options = options;
    this.#call = call;
    this.#transaction = transaction;
    this.#registry = registry;
    this.#bounces = new Bounces(options);
    const { clock, limits } = options;
    const expired = new SwitchyardError('TRANSACTION_EXPIRED', `the transaction was open for ${limits.totalMs} ms, the longest time allowed; it was rolled back`);
    this.#stopTimers.push(clock.after(limits.totalMs, () => this.#over.abort(expired)));
    this.signal = AbortSignal.any([call.signal, this.#over.signal]);
  }

  /** Aborts when the call does, and with the reason of its own end. */
  readonly signal: AbortSignal;

  /** Null: no request has said where it runs. */
  get keyspace(): string | null {
    return this.#keyspace;
  }

  get isReadOnly(): boolean {
    return this.#transaction.readOnly;
  }

  /** What a read is to a fence: one whose rows may not change before the commit is met as a write is. */
  readsAs(lock: RowLock | null): 'read' | 'write' {
    const { isolation, readOnly } = this.#transaction;
    return lock !== null || (isolation === 'serializable' && !readOnly) ? 'write' : 'read';
  }

  /** Nothing can be done any more. */
  get isOver(): boolean {
    return this.signal.aborted || this.#place?.transaction.isOver === true;
  }

  /** Runs one request on a table where the transaction runs; the first one begins it there. `act` may be called again while nothing of the transaction was done. */
  async use<T>(name: string, purpose: 'read' | 'write', act: (transaction: DataTransaction, handle: TableHandle, ref: TableRef) => Promise<T>): Promise<T> {
    let last: Bounce | null = null;
    for (;;) {
      this.signal.throwIfAborted();
      try {
        const { place, handle, ref } = await this.#at(name);
        const answer = await act(place.transaction, handle, ref);
        this.#used = true;
        return answer;
      } catch (error) {
        this.signal.throwIfAborted();
        if (!isBounce(error)) {
          // A row that is missing, too, was looked for in a snapshot, which has to be that of all that follows.
          if (this.#place !== null && this.#transaction.isolation !== 'read committed') this.#used = true;
          throw error;
        }
        last = await this.#bounced(name, purpose, last, error);
      }
    }
  }

  async savepoint(name: string): Promise<void> {
    this.signal.throwIfAborted();
    await this.#place?.transaction.savepoint(name, this.signal);
    if (!this.#used) this.#early = [...this.#early.filter((each) => each !== name), name];
  }

  async rollBackTo(name: string): Promise<void> {
    this.signal.throwIfAborted();
    const at = this.#early.indexOf(name);
    if (this.#place !== null) await this.#place.transaction.rollBackTo(name, this.signal);
    else if (at < 0) throw noSavepoint(name);
    if (!this.#used) this.#early = this.#early.slice(0, at + 1);
  }

  async commit(): Promise<void> {
    this.signal.throwIfAborted();
    try {
      // From here on only the call's own end counts: a commit is not cut off for a hold.
      await this.#place?.transaction.commit(this.#table, this.#call.signal);
    } catch (error) {
      if (hasReason(error, 'FENCED')) throw moved("its store's fence has closed a table that it has written", error);
      throw error;
    }
  }

  holdBegins(group: string): void {
    if (this.#transaction.readOnly || !this.#groups.has(group)) return;
    const { clock, limits } = this.#options;
    this.#stopTimers.push(clock.after(limits.drainMs, () => this.#over.abort(moved(`workflow "${group}" holds writes of its tables for a cutover`))));
  }

  /** The next request; null when the caller has ended the stream. TRANSACTION_EXPIRED: none came in time. */
  async next<T>(requests: AsyncIterator<T>): Promise<T | null> {
    const { clock, limits } = this.#options;
    const expired = new SwitchyardError('TRANSACTION_EXPIRED', `no request came for ${limits.idleMs} ms; the transaction was rolled back`);
    const stop = clock.after(limits.idleMs, () => this.#over.abort(expired));
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(this.signal.reason);
    this.signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.signal.throwIfAborted();
      const { value, done } = await Promise.race([requests.next(), promise]);
      return done === true ? null : value;
    } finally {
      stop();
      this.signal.removeEventListener('abort', onAbort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stopTimers.splice(0)) stop();
    this.#registry.leave();
    await this.#leave();
  }

  /** Returns when the request may be tried again; throws where something was done already, which a new transaction has to do again. */
  async #bounced(name: string, purpose: 'read' | 'write', last: Bounce | null, error: SwitchyardError): Promise<Bounce> {
    const { routing, fenceView, onFenced } = this.#options;
    const ref = routing.current().resolve(name);
    const keyspace = this.#keyspace ?? fenceView.homeOf(ref);
    if (error.reason === 'FENCED') onFenced(ref.key, purpose);
    if (this.#used) {
      await this.#bounces.lookAgain(this.signal, [ref]);
      const fenced = fenceView.find(ref);
      if (fenced === null) throw noCutover(ref, keyspace, error);
      if (error.reason !== 'FENCED' && fenced.openRow !== null && fenced.home === keyspace) throw error;
      throw moved(`keyspace "${keyspace}" does not serve table "${ref.table}" any more`, error);
    }
    // Behind a fence its locks would be waited for; a name that nobody knows leaves all as it is.
    if (error.reason === 'FENCED') await this.#leave();
    const bounce = await (purpose === 'read' ? this.#bounces.read(this.signal, ref, keyspace, last, error) : this.#bounces.write(this.signal, [ref], keyspace, last, error));
    await this.#leave();
    return bounce;
  }

  async #at(name: string): Promise<{ readonly place: Place; readonly handle: TableHandle; readonly ref: TableRef }> {
    const { routing, fenceView, schemas } = this.#options;
    for (;;) {
      const ref = routing.current().resolve(name);
      const group = this.#bounces.groupOf(ref);
      if (!this.#transaction.readOnly && group !== null && this.#options.holds.isHeld(group)) {
        if (this.#used) throw moved(`workflow "${group}" holds writes of table "${ref.key}" for a cutover`);
        await this.#wait(group);
        continue;
      }
      const keyspace = fenceView.homeOf(ref);
      if (this.#place !== null && this.#keyspace !== keyspace) {
        if (this.#groups.has(group ?? '')) throw moved(`table "${ref.key}" is served by keyspace "${keyspace}" now`);
        throw new SwitchyardError(
          'TABLES_NOT_TOGETHER',
          `a transaction is of one keyspace, this one of "${this.#keyspace}"; just now table "${ref.key}" is served by "${keyspace}"`,
        );
      }
      const handle = schemas.peek(keyspace, ref.table) ?? (await schemas.get(keyspace, ref.table, this.signal));
      this.#place ??= await this.#begin(keyspace);
      if (this.#table === '') this.#table = ref.table;
      if (group !== null) this.#groups.add(group);
      return { place: this.#place, handle, ref };
    }
  }

  async #begin(keyspace: string): Promise<Place> {
    this.#registry.enter(keyspace);
    this.#keyspace = keyspace;
    const lease = this.#options.stores.lease(keyspace, 'transactions');
    let transaction: DataTransaction | null = null;
    try {
      transaction = await lease.store.begin(this.#transaction, this.signal);
      if (transaction.wasCommitted)
        throw new SwitchyardError('TRANSACTION_COMMITTED', `the transaction with request id "${this.#transaction.once?.id}" has been committed; nothing is done now`);
      for (const name of this.#early) await transaction.savepoint(name, this.signal);
      return { lease, transaction };
    } catch (error) {
      this.#keyspace = null;
      await transaction?.[Symbol.asyncDispose]();
      lease[Symbol.dispose]();
      throw error;
    }
  }

  /** Waits for the end of a hold at a place in the buffer of its own, as a write without a key does. */
  async #wait(group: string): Promise<void> {
    const { buffer, holds, clock } = this.#options;
    const since = clock.monotonic();
    try {
      const admitted = buffer.admit({ group, keys: [], deadline: this.#call.deadline, bytes: 0, signal: this.signal }, holds.expectedMs(group));
      holds.watch(group);
      (await admitted).done();
    } finally {
      this.#call.onHeld(clock.monotonic() - since, null);
    }
  }

  /** Rolls back what was not committed, and gives the connection back. */
  async #leave(): Promise<void> {
    const place = this.#place;
    this.#place = null;
    this.#keyspace = null;
    this.#table = '';
    this.#groups.clear();
    if (place === null) return;
    await place.transaction[Symbol.asyncDispose]();
    place.lease[Symbol.dispose]();
  }
}

const moved = (why: string, cause?: unknown): SwitchyardError =>
  new SwitchyardError('TRANSACTION_MOVED', `${why}; the transaction was rolled back: run it again`, { ...(cause === undefined ? {} : { cause }) });

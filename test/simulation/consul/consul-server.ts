import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { KvItem, KvReading, KvWrite, ReadMode, WriteOutcome } from '../../../topo/kv-client.ts';
import type { Connection, Host, ServerSession } from '../kernel/connection.ts';
import { SimProcess } from '../kernel/process.ts';
import type { Random } from '../kernel/random.ts';
import type { Timeline } from '../kernel/scheduler.ts';
import { ConsulState } from './consul-state.ts';

/** How far a server that is no leader may be behind. */
const mostStaleMs = 300;
const expiryEveryMs = 500;

interface Waiter {
  readonly ready: () => boolean;
  readonly wake: () => void;
}

type Read = (state: ConsulState) => KvReading;

/**
 * Consul as its clients meet it: linearizable only where `consistent` is asked for; a deposed leader answers default reads from what it knew for a while; without a leader nothing is done or answered, and what was on its way may have been
 * done; sessions end later than their time, or all of a sudden; a restore from a snapshot takes everything back, indexes too.
 */
export class ConsulServer implements Host<ServerSession> {
  readonly place = 'consul';
  readonly process: SimProcess;
  readonly connections = new Set<Connection<ServerSession>>();
  readonly #scheduler: Timeline;
  readonly #random: Random;
  readonly #waiters = new Set<Waiter>();
  #state: ConsulState;
  /** What the leader of before still answers with. */
  #deposed: ConsulState | null = null;
  #hasLeader = true;
  #backup: ConsulState | null = null;
  /** Ids of sessions are never given twice, whatever was restored. */
  #sessions = 0;

  constructor(scheduler: Timeline, random: Random, state?: ConsulState) {
    this.#state = state ?? new ConsulState();
    this.#scheduler = scheduler;
    this.#random = random;
    this.process = new SimProcess(this.place, scheduler, random);
    this.#expire();
  }

  openSession(): ServerSession {
    return { cancel: () => {}, close: () => {} };
  }

  /** The state now, for whoever stands outside. */
  get state(): ConsulState {
    return this.#state;
  }

  async read(mode: ReadMode, read: Read): Promise<KvReading> {
    if (mode.kind === 'consistent') return read(this.#leader());
    if (mode.kind === 'stale') return read(this.#deposed !== null && this.#random.chance(0.5) ? this.#deposed : this.#state);
    const isOld = this.#deposed !== null && this.#random.chance(0.5);
    if (isOld) return read(this.#deposed ?? this.#state);
    const now = read(this.#leader());
    if (mode.kind !== 'blocking' || now.index !== mode.index) return now;
    return this.#wait(mode.index, mode.waitMs, read);
  }

  async snapshot(prefixes: readonly string[]): Promise<ReadonlyMap<string, KvItem>> {
    const state = this.#leader();
    return new Map(prefixes.flatMap((prefix) => state.list(prefix).items.map((item) => [item.key, item] as const)));
  }

  async write(operations: readonly KvWrite[]): Promise<WriteOutcome> {
    const state = this.#leader();
    const outcome = state.write(operations);
    this.#changed();
    return outcome;
  }

  async createSession(ttlMs: number): Promise<string> {
    this.#sessions += 1;
    const id = `session-${this.#sessions}-${this.#random.int(1_000_000)}`;
    this.#leader().createSession(id, ttlMs, this.#expiryOf(ttlMs));
    return id;
  }

  async renewSession(id: string, ttlMs: number): Promise<boolean> {
    return this.#leader().renewSession(id, this.#expiryOf(ttlMs));
  }

  async destroySession(id: string): Promise<void> {
    this.#leader().endSession(id);
    this.#changed();
  }

  async sessionIds(): Promise<ReadonlySet<string>> {
    return this.#leader().sessionIds;
  }

  /** Without a leader until the returned function is called; then the old one goes on answering default reads for a while. */
  loseLeader(): () => void {
    this.#hasLeader = false;
    this.#wakeAll();
    return () => {
      if (this.#hasLeader) return;
      this.#hasLeader = true;
      this.#state.restartSessions(this.#scheduler.now);
    };
  }

  /** Another leader: the one of before does not know yet, and answers. */
  changeLeader(): void {
    const old = this.#state.copy();
    this.#deposed = old;
    this.#state.restartSessions(this.#scheduler.now);
    this.#scheduler.schedule(this.#random.between(50, mostStaleMs), null, () => {
      if (this.#deposed === old) this.#deposed = null;
    });
  }

  /** Somebody ends a session, or the node's health check fails. */
  endSomeSession(): void {
    const ids = [...this.#state.sessionIds];
    if (ids.length === 0) return;
    this.#state.endSession(this.#random.pick(ids));
    this.#changed();
  }

  /** Somebody with a client of his own changes something. */
  change(act: (state: ConsulState) => void): void {
    if (!this.#hasLeader) return;
    act(this.#state);
    this.#changed();
  }

  backUp(): void {
    this.#backup = this.#state.copy();
  }

  /** Everything is as it was at the last backup, indexes too. */
  restore(): void {
    if (this.#backup === null) return;
    this.#state = this.#backup.copy();
    this.#wakeAll();
  }

  #leader(): ConsulState {
    if (!this.#hasLeader) throw new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'answered 500: No cluster leader');
    return this.#state;
  }

  #wait(index: number, waitMs: number, read: Read): Promise<KvReading> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        if (!this.#waiters.delete(waiter)) return;
        timer.cancelled = true;
        this.#scheduler.schedule(0, this.process, () => {
          try {
            resolve(read(this.#leader()));
          } catch (error) {
            reject(error);
          }
        });
      };
      const waiter: Waiter = { ready: () => read(this.#state).index !== index, wake: finish };
      const timer = this.#scheduler.schedule(waitMs * (1 + this.#random.next() / 16), this.process, finish);
      this.#waiters.add(waiter);
    });
  }

  #changed(): void {
    for (const waiter of [...this.#waiters]) if (waiter.ready()) waiter.wake();
  }

  #wakeAll(): void {
    for (const waiter of [...this.#waiters]) waiter.wake();
  }

  /** Between the session's time and twice that. */
  #expiryOf(ttlMs: number): number {
    return this.#scheduler.now + ttlMs * this.#random.between(1, 2);
  }

  #expire(): void {
    this.#scheduler.schedule(expiryEveryMs, this.process, () => {
      if (this.#hasLeader) {
        this.#state.expireSessions(this.#scheduler.now);
        this.#changed();
      }
      this.#expire();
    });
  }
}

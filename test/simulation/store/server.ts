import { type Attempt, attempt } from '../../../core/ids.ts';
import type { Connection, Host } from '../kernel/connection.ts';
import { SimProcess } from '../kernel/process.ts';
import type { Random } from '../kernel/random.ts';
import type { Timeline } from '../kernel/scheduler.ts';
import type { Engine } from './engine.ts';
import { LockTable } from './locks.ts';
import { StoreSession } from './session.ts';
import type { Transaction } from './transaction.ts';

/** Which safeguard of a store is out of order, for showing that it is needed. */
export type StoreFault = 'fence' | 'read-fence' | 'old-snapshots' | 'token' | 'marker';

/** Within this a client finds out that the machine at the other end has forgotten the connection. */
const keepAliveMs = 10_000;
const pauseChance = 0.06;
const longPauseChance = 0.03;

/** A database server: it may crash and come back with what was committed, or stand still. */
export class StoreServer implements Host<StoreSession> {
  readonly place: string;
  readonly engine: Engine;
  readonly faults: ReadonlySet<StoreFault>;
  readonly connections = new Set<Connection<StoreSession>>();
  /** Those that run now. */
  readonly transactions = new Set<Transaction>();
  /** What a store without the safeguard `marker` says has been recorded. */
  pretendedMarker: () => Attempt = () => attempt(0);
  readonly #scheduler: Timeline;
  readonly #random: Random;
  #process: SimProcess;
  #locks = new LockTable();
  /** Connections whose clients have not heard of the crash. */
  #unaware: Connection<StoreSession>[] = [];

  constructor(engine: Engine, scheduler: Timeline, random: Random, faults: ReadonlySet<StoreFault>) {
    this.place = engine.name;
    this.engine = engine;
    this.faults = faults;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#process = new SimProcess(this.place, scheduler, random);
  }

  get process(): SimProcess {
    return this.#process;
  }

  get locks(): LockTable {
    return this.#locks;
  }

  /** The server's own clock. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** The server's clock for people, in µs since 1970-01-01T00:00:00Z. */
  get epochMicros(): bigint {
    return BigInt(Math.round(this.#process.clock.now() * 1_000));
  }

  openSession(): StoreSession {
    return new StoreSession(this);
  }

  /** Runs `act` after `ms` unless the server has died or the returned function was called. */
  after(ms: number, act: () => void): () => void {
    const task = this.#scheduler.schedule(ms, this.#process, act);
    return () => {
      task.cancelled = true;
    };
  }

  /** Usually nothing; sometimes the statement loses the processor for a while. */
  pause(): Promise<void> | undefined {
    if (!this.#random.chance(pauseChance)) return undefined;
    const ms = this.#random.chance(longPauseChance) ? this.#random.between(20, 400) : this.#random.exponential(1.5);
    return new Promise((resolve) => this.#scheduler.schedule(ms, this.#process, resolve));
  }

  /** Everything that was not committed is gone; clients hear of it unless the whole machine is silent. */
  crash(silently: boolean): void {
    this.#process.kill();
    const broken = [...this.connections];
    this.connections.clear();
    if (silently) this.#unaware = broken;
    else for (const connection of broken) connection.break();
  }

  restart(): void {
    for (const connection of this.#unaware.splice(0)) this.#scheduler.schedule(this.#random.between(0, keepAliveMs), null, () => connection.break());
    this.#locks = new LockTable();
    this.transactions.clear();
    this.#process = new SimProcess(this.place, this.#scheduler, this.#random);
  }
}

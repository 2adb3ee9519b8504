import type { FenceRow } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import { ConsulServer } from '../consul/consul-server.ts';
import type { ConsulState } from '../consul/consul-state.ts';
import { Network } from '../kernel/network.ts';
import type { SimProcess } from '../kernel/process.ts';
import { Random } from '../kernel/random.ts';
import { Scheduler } from '../kernel/scheduler.ts';
import { Engine } from '../store/engine.ts';
import { keyOfRow, rowsOf, type WholeRow } from '../store/rows.ts';
import { type StoreFault, StoreServer } from '../store/server.ts';
import { type Isolation, Transaction } from '../store/transaction.ts';
import { keyText } from '../../../core/cell.ts';
import { Client } from './client.ts';
import { ControlNode } from './control-node.ts';
import { GatewayNode } from './gateway-node.ts';
import type { RowOperation } from '../../checker/history.ts';
import { Invariants } from './invariants.ts';
import { Journal } from './journal.ts';
import { meddleWithRules } from './meddling.ts';
import { Nemesis } from './nemesis.ts';
import { ProcessParts, type StartedProcess } from './parts.ts';
import { clients, controls, type FaultAction, gateways, type Plan, stores } from './plan.ts';
import { longTransaction } from './stranger.ts';
import { counters, initialRows, movedTables, pairKey, registers, swaps, tableNames } from './tables.ts';

export interface WorldOptions {
  readonly plan: Plan;
  /** Safeguards that the stores are to do without. */
  readonly broken: ReadonlySet<StoreFault>;
  /** Whether processes' information is kept for people, not only their errors. */
  readonly isTalkative: boolean;
  /** A world to begin with in which the workflow runs already; null: nothing is there but the old store's tables. */
  readonly prepared: Prepared | null;
}

/** What is left of a world when every process has ended. */
export interface Prepared {
  readonly engines: ReadonlyMap<string, Engine>;
  readonly consul: ConsulState;
  readonly atMs: number;
}

/** How long clients hurry after something has happened to a fence. */
const busyMs = 250;
const hurriedRestMs = 6;

/** Two stores, Consul, two gateways, two controls, and callers, on one thread and in virtual time. */
export class World {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly network: Network;
  readonly journal = new Journal(this.scheduler);
  readonly consul: ConsulServer;
  readonly stores: ReadonlyMap<string, StoreServer>;
  readonly invariants: Invariants;
  readonly gateways: readonly GatewayNode[];
  readonly controls: readonly ControlNode[];
  readonly nemesis: Nemesis;
  readonly history: RowOperation[] = [];
  readonly violations: string[] = [];
  clients: readonly Client[] = [];
  /** Whether somebody has written the rules by hand. */
  isMeddled = false;
  readonly #plan: Plan;
  readonly #parts: ProcessParts;
  #values = 100;
  #busyUntilMs = 0;
  #strangers = 0;

  constructor({ plan, broken, isTalkative, prepared }: WorldOptions) {
    const { scheduler, journal } = this;
    this.#plan = plan;
    this.random = new Random(`world ${plan.seed}`);
    this.network = new Network(scheduler, this.random.fork('network'));
    this.consul = new ConsulServer(scheduler, this.random.fork('consul'), prepared?.consul.copy());
    this.stores = new Map(
      stores.map((name) => [name, new StoreServer(prepared?.engines.get(name)?.copy(prepared.atMs) ?? new Engine(name), scheduler, this.random.fork(name), broken)]),
    );
    const engines = new Map([...this.stores].map(([name, { engine }]) => [name, engine]));
    this.invariants = new Invariants(
      engines,
      (said) => this.violate(said),
      (store, row) => this.#fenceChanged(store, row),
    );
    for (const server of this.stores.values()) {
      server.engine.onCommit = (transaction) => {
        scheduler.mix(server.engine.lastCommit);
        this.invariants.committed(server.engine, transaction);
      };
      server.pretendedMarker = () => attempt(this.invariants.highestAttempt);
    }
    this.nemesis = new Nemesis(this, plan.faults);
    if (prepared === null) this.#fillOldStore();
    else for (const { engine } of this.stores.values()) this.invariants.learn(engine);
    this.#parts = new ProcessParts({ scheduler, network: this.network, random: this.random.fork('processes'), consul: this.consul, stores: this.stores, journal, isTalkative });
    this.gateways = gateways.map((place) => new GatewayNode(place, this.#parts));
    this.controls = controls.map((place) => new ControlNode(place, this.#parts, (by, to, step) => this.#stepDone(by, to, step)));
  }

  /** What would be left if everything ended now. */
  get remains(): Prepared {
    return { engines: new Map([...this.stores].map(([name, { engine }]) => [name, engine])), consul: this.consul.state.withoutSessions(), atMs: this.scheduler.now };
  }

  violate(said: string): void {
    this.journal.note('VIOLATION', said);
    this.violations.push(said);
  }

  startClients(): void {
    this.clients = clients.map(
      (name) =>
        new Client({
          name,
          scheduler: this.scheduler,
          network: this.network,
          random: this.random.fork(name),
          gateways: this.gateways,
          restMs: () => this.random.exponential(this.scheduler.now < this.#busyUntilMs ? hurriedRestMs : this.#plan.restMs),
          onOperation: (operation) => this.#tell(operation),
          nextValue: () => this.#nextValue(),
        }),
    );
  }

  startProcess(place: string): StartedProcess {
    return this.#parts.start(place);
  }

  processAt(place: string): SimProcess {
    const node = [...this.gateways, ...this.controls].find((each) => each.place === place) ?? this.stores.get(place);
    if (node === undefined) throw new Error(`there is nothing at ${place}`);
    return node.process;
  }

  /** Kills what runs at a place; the returned function starts it again. */
  crash(place: string, silent: boolean): () => void {
    const store = this.stores.get(place);
    if (store !== undefined) {
      if (!store.process.isAlive) return () => {};
      store.crash(silent);
      return () => store.restart();
    }
    const node = [...this.gateways, ...this.controls].find((each) => each.place === place);
    if (node === undefined || !node.process.isAlive) return () => {};
    node.kill();
    return () => node.restart();
  }

  meddle(how: Extract<FaultAction, { kind: 'rules' }>['how']): void {
    this.isMeddled = true;
    this.consul.change((state) => meddleWithRules(state, how));
  }

  startStranger(store: string, isolation: Isolation, forMs: number): void {
    const server = this.stores.get(store);
    if (server === undefined) return;
    this.#strangers += 1;
    const { network, scheduler } = this;
    const random = this.random.fork(`stranger ${this.#strangers}`);
    void longTransaction({ server, isolation, forMs, network, scheduler, random, value: this.#nextValue(), onOperation: (operation) => this.#tell(operation) });
  }

  /** What the store that serves holds in the end, as reads of every row. */
  readFinalRows(serving: string | null): void {
    const engine = this.stores.get(serving ?? '')?.engine;
    if (engine === undefined) return;
    const at = this.scheduler.now + 1;
    const read = (key: string, table: string, id: bigint): void => {
      const row = engine.read(rowsOf(table), keyText([id]), engine.lastCommit) as WholeRow | undefined;
      const value = row?.[1] ?? null;
      this.history.push({ process: 'store', invoked: at, responded: at, outcome: 'ok', key, kind: 'read', saw: value === null ? null : Number(value) });
    };
    for (const id of [...registers, ...counters, ...swaps]) read(`item ${id}`, 'item', id);
    for (const table of tableNames) read('pair', table, pairKey);
  }

  #nextValue(): number {
    this.#values += 1;
    return this.#values;
  }

  #tell(operation: RowOperation): void {
    this.scheduler.mix(operation.outcome.length);
    this.history.push(operation);
  }

  #fenceChanged(store: string, row: FenceRow): void {
    this.#busyUntilMs = this.scheduler.now + busyMs;
    this.journal.note(store, `${row.table} ${row.state}(${row.attempt}) of ${row.workflow ?? 'nobody'}`);
    this.nemesis.fenceChanged(row);
  }

  #stepDone(place: string, to: string, step: string): void {
    if (step === 'warm-up') this.#busyUntilMs = this.scheduler.now + busyMs;
    this.journal.note(place, `step ${step}, to the ${to}`);
    this.nemesis.stepDone(step);
  }

  #fillOldStore(): void {
    const server = this.stores.get('old');
    if (server === undefined) return;
    const transaction = new Transaction(server, 'owner');
    for (const table of movedTables) {
      transaction.put('table', table.name, table);
      transaction.put('acl', table.name, ['SELECT', 'INSERT', 'UPDATE', 'DELETE']);
      for (const row of initialRows[table.name] ?? []) transaction.put(rowsOf(table.name), keyText(keyOfRow(table, row)), row);
    }
    transaction.commit();
  }
}

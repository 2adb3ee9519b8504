import type { FenceRow } from '../../../core/fence.ts';
import type { Scheduler } from '../kernel/scheduler.ts';
import type { Network } from '../kernel/network.ts';
import type { Journal } from './journal.ts';
import { type Fault, type FaultAction, faultText } from './plan.ts';
import type { World } from './world.ts';

type Undo = () => void;

/** Does to a world what its plan says, and undoes it. */
export class Nemesis {
  readonly #world: World;
  readonly #faults: readonly Fault[];
  readonly #counts = new Map<string, number>();
  readonly #undo = new Set<Undo>();
  #isOver = false;
  #hasBegun = false;
  /** Faults that have happened so far. */
  happened = 0;

  constructor(world: World, faults: readonly Fault[]) {
    this.#world = world;
    this.#faults = faults;
  }

  /** From here on times count and triggers fire. */
  begin(): void {
    this.#hasBegun = true;
    for (const fault of this.#faults) if (fault.when.kind === 'time') this.#later(fault, fault.when.atMs);
  }

  /** A fence row has changed. */
  fenceChanged(row: FenceRow): void {
    // The tables of a workflow change together; the first one counts.
    if (row.table === 'item') this.#count(`fence ${row.state}`);
  }

  stepDone(step: string): void {
    this.#count(`step ${step}`);
  }

  /** Nothing more happens, and what lasts is undone. */
  end(): void {
    this.#isOver = true;
    for (const undo of [...this.#undo]) undo();
    this.#undo.clear();
  }

  /** Time that the last planned fault is due by, in ms after the beginning, where that is known. */
  get lastTimeMs(): number {
    return Math.max(0, ...this.#faults.map(({ when }) => (when.kind === 'time' ? when.atMs : 0)));
  }

  get #scheduler(): Scheduler {
    return this.#world.scheduler;
  }

  #count(what: string): void {
    if (!this.#hasBegun) return;
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    for (const fault of this.#faults) {
      const { when } = fault;
      if (when.kind !== 'time' && when.nth === count && what === (when.kind === 'fence' ? `fence ${when.state}` : `step ${when.step}`)) this.#later(fault, when.delayMs);
    }
  }

  #later(fault: Fault, delayMs: number): void {
    this.#scheduler.schedule(delayMs, null, () => {
      if (!this.#isOver) this.#strike(fault);
    });
  }

  #strike(fault: Fault): void {
    this.happened += 1;
    this.#journal.note('nemesis', faultText(fault));
    const undo = this.#act(fault.action, fault.forMs);
    if (undo === null) return;
    const once = (): void => {
      if (!this.#undo.delete(once)) return;
      this.#journal.note('nemesis', `over: ${faultText(fault)}`);
      undo();
    };
    this.#undo.add(once);
    this.#scheduler.schedule(fault.forMs, null, once);
  }

  /** Null: there is nothing to undo. */
  #act(action: FaultAction, forMs: number): Undo | null {
    const world = this.#world;
    switch (action.kind) {
      case 'crash':
        return world.crash(action.place, action.silent);
      case 'stop': {
        const process = world.processAt(action.place);
        process.stop();
        return () => process.goOn();
      }
      case 'cut': {
        const ways: Undo[] = [];
        if (action.ways !== 'back') ways.push(this.#network.cut(action.a, action.b));
        if (action.ways !== 'there') ways.push(this.#network.cut(action.b, action.a));
        return () => {
          for (const way of ways) way();
        };
      }
      case 'slow':
        return this.#network.slow(action.factor);
      case 'clock':
        world.processAt(action.place).jump(action.byMs);
        return null;
      case 'no-leader':
        return world.consul.loseLeader();
      case 'new-leader':
        world.consul.changeLeader();
        return null;
      case 'end-session':
        world.consul.endSomeSession();
        return null;
      case 'restore':
        world.consul.restore();
        return null;
      case 'rules':
        world.meddle(action.how);
        return null;
      case 'long-transaction':
        world.startStranger(action.store, action.isolation, forMs);
        return null;
    }
  }

  get #network(): Network {
    return this.#world.network;
  }

  get #journal(): Journal {
    return this.#world.journal;
  }
}

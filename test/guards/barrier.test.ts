import { describe, expect, test } from '@jest/globals';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Barrier } from '../../gateway/flow/barrier.ts';
import { createLogger } from '../../runtime/logger.ts';
import type { RulesSnapshot, Topology } from '../../topo/topology.ts';
import { GatewayRig, movement, never, row, routingOf } from './support/gateway-rig.ts';
import { settled } from './support/hand-clock.ts';
import { reasonOf } from './support/reasons.ts';

const settleMs = 30_000;
const leaving = { ...movement, barrier: true };
const serving = { tables: { orders: { primary: 'old', movement: leaving } } };
const holding = { tables: { orders: { primary: 'old', movement: leaving, writes: 'held', hold: { attempt: 5 } } } };
const moved = { tables: { orders: { primary: 'new', attempt: 5, movement: leaving, writes: 'held', hold: { attempt: 5 } } } };

/** A gateway's barrier over a topology that is played; "old" is a foreign service. */
class BarrierRig {
  readonly gateway: GatewayRig;
  readonly barrier: Barrier;
  asked = 0;
  told = 0;
  isAway = false;
  /** What is in the topology. */
  rules: object;
  version = 1;

  constructor(rules: object = serving) {
    this.rules = rules;
    this.gateway = new GatewayRig(rules);
    const { clock, routing } = this.gateway;
    const topology = { readRules: () => this.#read() } as unknown as Topology;
    const stores = { isForeign: (keyspace: string) => keyspace === 'old', hasForeign: () => true };
    this.barrier = new Barrier({
      topology,
      routing,
      stores,
      clock,
      log: createLogger('test', 'silent'),
      settleMs,
      onSettled: () => {
        this.told += 1;
      },
    });
  }

  /** Registered, long running, and with a lease. */
  static async ready(rules?: object): Promise<BarrierRig> {
    const rig = new BarrierRig(rules);
    rig.barrier.registered();
    await rig.gateway.clock.pass(settleMs + 1_000);
    return rig;
  }

  /** The gateway sees these rules, and so does whoever asks the topology. */
  apply(rules: object): void {
    this.rules = rules;
    this.version += 1;
    this.gateway.routing.swap(routingOf(this.version, rules));
    this.barrier.rulesApplied();
  }

  bars(keyspace = 'old'): boolean {
    return this.barrier.bars(this.gateway.ref('orders'), keyspace);
  }

  async #read(): Promise<RulesSnapshot> {
    this.asked += 1;
    if (this.isAway) throw new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'away');
    return { kind: 'valid', document: routingOf(this.version, this.rules).document, index: 1 };
  }
}

describe('a store that cannot fence', () => {
  test('is sent nothing before the gateway is registered and has applied rules that it read after that', async () => {
    const rig = new BarrierRig({ tables: { orders: { primary: 'old' } } });
    expect([rig.bars(), rig.bars('new')]).toEqual([true, false]);
    await rig.gateway.clock.pass(1_000);
    expect([rig.bars(), rig.asked]).toEqual([true, 0]);
    // There are newer rules than it has applied.
    rig.version = 2;
    rig.barrier.registered();
    await rig.gateway.clock.pass(100);
    expect(rig.bars()).toBe(true);
    rig.gateway.routing.swap(routingOf(2, rig.rules));
    await rig.gateway.clock.pass(100);
    expect(rig.bars()).toBe(false);
    // Nothing is leaving: nobody asks any more, and Consul may be away.
    const { asked } = rig;
    rig.isAway = true;
    await rig.gateway.clock.pass(60_000);
    expect([rig.bars(), rig.asked]).toEqual([false, asked]);
  });

  test('is used for a table that leaves it under a lease alone, which counts from before it was asked for', async () => {
    const rig = await BarrierRig.ready();
    expect(rig.bars()).toBe(false);
    rig.isAway = true;
    // The last one was asked for at most 250 ms ago.
    await rig.gateway.clock.pass(700);
    expect(rig.bars()).toBe(false);
    await rig.gateway.clock.pass(300);
    expect(rig.bars()).toBe(true);
    rig.isAway = false;
    await rig.gateway.clock.pass(250);
    expect(rig.bars()).toBe(false);
  });

  test('is not used any more once the topology says that the table has moved, whatever rules are applied', async () => {
    const rig = await BarrierRig.ready(holding);
    expect(rig.bars()).toBe(false);
    rig.rules = moved;
    rig.version += 1;
    await rig.gateway.clock.pass(250);
    expect(rig.bars()).toBe(true);
  });

  test('a call waits for a lease, and says why when it has waited long enough', async () => {
    const rig = await BarrierRig.ready();
    const { clock } = rig.gateway;
    const since = clock.monotonic();
    const short = rig.barrier.pause(rig.gateway.ref('orders'), since, never);
    await clock.pass(5);
    await short;
    await clock.pass(10_000);
    expect(await reasonOf(rig.barrier.pause(rig.gateway.ref('orders'), since, never))).toBe('TOPOLOGY_UNAVAILABLE');
  });
});

describe('the version whose writes have settled', () => {
  test('is not told for so long after a start, for the process before may have sent something', async () => {
    const rig = new BarrierRig();
    rig.barrier.registered();
    rig.barrier.rulesApplied();
    await rig.gateway.clock.pass(settleMs - 1);
    expect([rig.barrier.settledVersion, rig.told]).toEqual([0, 0]);
    await rig.gateway.clock.pass(2);
    expect([rig.barrier.settledVersion, rig.told]).toEqual([1, 1]);
  });

  test('waits for the writes that older versions routed, and for nothing in other stores', async () => {
    const rig = await BarrierRig.ready();
    const ending = Promise.withResolvers<void>();
    const elsewhere = Promise.withResolvers<void>();
    const write = rig.barrier.send('old', 1, () => ending.promise);
    void rig.barrier.send('new', 1, () => elsewhere.promise);
    rig.apply(holding);
    expect(rig.barrier.settledVersion).toBe(1);
    const before = rig.told;
    ending.resolve();
    await write;
    expect([rig.barrier.settledVersion, rig.told]).toEqual([2, before + 1]);
  });

  test.each(['OUTCOME_UNKNOWN', 'CANCELLED', 'DEADLINE_EXCEEDED', 'INTERNAL'] as const)(
    'a write that ended with %s is under way for as long as the service may have it',
    async (reason) => {
      const rig = await BarrierRig.ready();
      expect(await reasonOf(rig.barrier.send('old', 1, () => Promise.reject(new SwitchyardError(reason, 'gone'))))).toBe(reason);
      rig.apply(holding);
      await rig.gateway.clock.pass(settleMs - 1);
      expect(rig.barrier.settledVersion).toBe(1);
      await rig.gateway.clock.pass(2);
      expect(rig.barrier.settledVersion).toBe(2);
    },
  );

  test('a write that was refused has settled', async () => {
    const rig = await BarrierRig.ready();
    expect(await reasonOf(rig.barrier.send('old', 1, () => Promise.reject(new SwitchyardError('UNIQUE_VIOLATION', 'taken'))))).toBe('UNIQUE_VIOLATION');
    rig.apply(holding);
    expect(rig.barrier.settledVersion).toBe(2);
  });

  test('is not told while a table goes on by an earlier rule', async () => {
    const rig = await BarrierRig.ready();
    const previous = rig.gateway.routing.current();
    rig.gateway.routing.swap(routingOf(2, moved).keeping(new Set(['orders']), previous));
    expect(rig.barrier.settledVersion).toBe(0);
  });

  test('whoever leaves waits for what may still come', async () => {
    const rig = await BarrierRig.ready();
    await reasonOf(rig.barrier.send('old', 1, () => Promise.reject(new SwitchyardError('OUTCOME_UNKNOWN', 'gone'))));
    let hasSettled = false;
    void rig.barrier.settled().then(() => {
      hasSettled = true;
    });
    await rig.gateway.clock.pass(settleMs - 100);
    expect(hasSettled).toBe(false);
    await rig.gateway.clock.pass(200);
    expect(hasSettled).toBe(true);
  });
});

describe('routes and holds behind a barrier', () => {
  test('the rules decide until the rows of the target lead there', async () => {
    const rig = new GatewayRig(serving);
    rig.stores.new = [row('orders', 'CLOSED', 0, 'old')];
    await rig.look('orders');
    expect(rig.fenceView.homeOf(rig.ref('orders'))).toBe('old');
    rig.routing.swap(routingOf(2, moved));
    expect(rig.fenceView.homeOf(rig.ref('orders'))).toBe('new');
    // From here on a rule that somebody writes by hand leads nowhere else.
    rig.stores.new = [row('orders', 'READABLE', 0, 'old')];
    await rig.look('orders');
    rig.routing.swap(routingOf(3, serving));
    expect(rig.fenceView.homeOf(rig.ref('orders'))).toBe('new');
  });

  test('a hold without a time of its own lasts until the rules say otherwise, whoever waits and whatever the rows of the target are', async () => {
    const rig = new GatewayRig(holding);
    rig.stores.new = [row('orders', 'CLOSED', 0, 'old')];
    rig.holds.beginHolds(new Map([['move', { attempt: 5 }]]));
    await rig.look('orders');
    const waiting = rig.buffer.admit({ group: 'move', keys: [], deadline: rig.clock.monotonic() + 60_000, bytes: 1, signal: never }, 0).then((ticket) => {
      ticket.done();
      return 'admitted';
    });
    rig.holds.watch('move');
    await rig.clock.pass(4_000);
    expect(rig.holds.isHeld('move')).toBe(true);
    rig.holds.endOthers(new Map());
    await settled();
    expect([rig.holds.isHeld('move'), await waiting]).toEqual([false, 'admitted']);
  });

  test('it ends as well when the target is seen to take writes of its attempt', async () => {
    const rig = new GatewayRig(moved);
    rig.holds.beginHolds(new Map([['move', { attempt: 5 }]]));
    rig.stores.new = [row('orders', 'OPEN', 4, 'old')];
    await rig.look('orders');
    rig.holds.rowsLearned();
    expect(rig.holds.isHeld('move')).toBe(true);
    rig.stores.new = [row('orders', 'OPEN', 5, 'old')];
    await rig.look('orders');
    rig.holds.rowsLearned();
    expect(rig.holds.isHeld('move')).toBe(false);
  });
});

import { describe, expect, test } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { isAway } from '../../gateway/rules/fence-view.ts';
import { away, GatewayRig, never, row } from './support/gateway-rig.ts';
import { whileTimePasses } from './support/hand-clock.ts';

describe('a look at the fence rows', () => {
  test('asks every end once, follows peers and remembers what they say', async () => {
    const rig = new GatewayRig({ tables: { orders: { primary: 'old' } } });
    Object.assign(rig.stores, { old: [row('orders', 'CLOSED', 3, 'new')], new: [row('orders', 'OPEN', 3, 'old')] });
    expect([rig.fenceView.find(rig.ref('orders')), rig.fenceView.homeOf(rig.ref('orders'))]).toEqual([null, 'old']);
    const ref = rig.ref('orders');
    const look = await rig.fenceView.look(rig.fenceView.subjectOf([ref]), 'all', 100, never);
    expect(rig.asked.toSorted()).toEqual(['new', 'old']);
    expect([[...look.answered].toSorted(), look.failed.size, [...look.rows.keys()].toSorted()]).toEqual([['new', 'old'], 0, ['new.orders', 'old.orders']]);
    expect(rig.fenceView.homeOf(ref)).toBe('new');
    expect([rig.fenceView.has('new.orders'), rig.fenceView.has('third.orders')]).toEqual([true, false]);
    expect(rig.fenceView.find(ref)?.keyspaces.toSorted()).toEqual(['new', 'old']);
    expect(rig.fenceView.subjectOf([ref])).toEqual({ tables: ['orders'], keyspaces: ['new', 'old'] });
    expect(rig.fenceView.find({ ...ref, places: ['third.orders'] })).toBeNull();
  });

  test('of a table that no store has a row of remembers nothing', async () => {
    const rig = new GatewayRig();
    await rig.look('loose');
    expect([rig.fenceView.find(rig.ref('loose')), rig.fenceView.homeOf(rig.ref('loose')), rig.asked]).toEqual([null, 'third', ['third']]);
  });

  test('tells who has answered and who has failed, and does not wait for one that says nothing', async () => {
    const rig = new GatewayRig();
    Object.assign(rig.stores, { old: away, new: 'silent' });
    const look = await whileTimePasses(rig.clock, rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), 'all', 100, never));
    expect([rig.clock.monotonic(), look.answered.size, [...look.failed.keys()], look.failed.get('old')]).toEqual([1_100, 0, ['old'], away]);
    // Asking without anybody to ask is no wait.
    expect((await rig.fenceView.look({ tables: ['orders'], keyspaces: [] }, 'all', 100, never)).answered.size).toBe(0);
  });

  test('ends early where what is wanted has been seen, and only there', async () => {
    const lookIn = async (state: 'OPEN' | 'SEALED' | 'CLOSED', purpose: 'read' | 'write' | 'all'): Promise<number> => {
      const rig = new GatewayRig();
      Object.assign(rig.stores, { old: [row('orders', state, 2, 'new')], new: 'silent' });
      await whileTimePasses(rig.clock, rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), purpose, 100, never));
      return rig.clock.monotonic() - 1_000;
    };
    expect([await lookIn('OPEN', 'write'), await lookIn('OPEN', 'read'), await lookIn('SEALED', 'read')].map((ms) => ms <= 1)).toEqual([true, true, true]);
    expect([await lookIn('OPEN', 'all'), await lookIn('SEALED', 'write'), await lookIn('CLOSED', 'read')]).toEqual([100, 100, 100]);
  });

  test('does not end early by an OPEN row that is older than what is known, nor before every table has been seen', async () => {
    const rig = new GatewayRig();
    Object.assign(rig.stores, { old: [row('orders', 'OPEN', 2, 'new')], new: [row('orders', 'CLOSED', 3, 'old')] });
    await rig.look('orders');
    rig.stores.new = 'silent';
    const begunMs = rig.clock.monotonic();
    await whileTimePasses(rig.clock, rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), 'write', 100, never));
    expect(rig.clock.monotonic() - begunMs).toBe(100);
    const both = new GatewayRig();
    Object.assign(both.stores, { old: [row('orders', 'OPEN', 2, 'new')], new: 'silent' });
    await whileTimePasses(both.clock, both.fenceView.look(both.fenceView.subjectOf([both.ref('orders'), both.ref('lines')]), 'write', 100, never));
    expect(both.clock.monotonic()).toBe(1_100);
  });

  test("ends with the signal's reason, also when it had aborted before", async () => {
    const rig = new GatewayRig();
    rig.stores.old = 'silent';
    const controller = new AbortController();
    const looking = rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), 'all', 100, controller.signal);
    controller.abort(new Error('left'));
    await expect(looking).rejects.toThrow('left');
    const asked = rig.asked.length;
    await expect(rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), 'all', 100, controller.signal)).rejects.toThrow('left');
    expect(rig.asked.length).toBe(asked);
  });

  test('follows at most eight keyspaces from peer to peer', async () => {
    const rig = new GatewayRig();
    for (let index = 0; index < 12; index += 1) rig.stores[`k${index}`] = [row('orders', 'CLOSED', 1, `k${index + 1}`)];
    await rig.fenceView.look({ tables: ['orders'], keyspaces: ['k0'] }, 'all', 100, never);
    expect(rig.asked.length).toBe(8);
  });

  test('joins what two looks at two ends have remembered apart', async () => {
    const rig = new GatewayRig({ tables: {} });
    const look = (keyspace: string) => rig.fenceView.look({ tables: ['orders'], keyspaces: [keyspace] }, 'all', 100, never);
    Object.assign(rig.stores, { third: [row('orders', 'CLOSED', 5, 'third')], old: [row('orders', 'OPEN', 4, 'old')] });
    await look('third');
    await look('old');
    const at = (place: string) => rig.fenceView.find({ ...rig.ref('old.orders'), places: [place] });
    expect(at('third.orders')).not.toBe(at('old.orders'));
    Object.assign(rig.stores, { old: [row('orders', 'CLOSED', 5, 'third')], third: away });
    await look('old');
    expect(at('old.orders')?.row('third')?.attempt).toBe(5);
    expect(at('third.orders')).toBe(at('old.orders'));
    expect(at('old.orders')?.keyspaces.toSorted()).toEqual(['old', 'third']);
    // A store that has none any more is remembered as one that had: rows are kept for ever.
    rig.stores.old = [];
    await look('old');
    expect(at('old.orders')?.row('old')?.state).toBe('CLOSED');
  });
});

test('a look leaves no timer behind, nor anything at its signal', async () => {
  const rig = new GatewayRig();
  const { signal } = new AbortController();
  await rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), 'all', 100, signal);
  expect([rig.clock.timers, getEventListeners(signal, 'abort')]).toEqual([0, []]);
});

test('what is looked at does not depend on the order in which it is named', () => {
  const rig = new GatewayRig();
  const [orders, lines] = [rig.ref('orders'), rig.ref('lines')];
  expect(rig.fenceView.subjectOf([orders, lines])).toEqual({ tables: ['lines', 'orders'], keyspaces: ['new', 'old'] });
  expect(rig.fenceView.subjectOf([lines, orders])).toEqual(rig.fenceView.subjectOf([orders, lines]));
});

test('a look whose stores have all failed is over at once', async () => {
  const rig = new GatewayRig();
  Object.assign(rig.stores, { old: away, new: away });
  const look = await rig.fenceView.look(rig.fenceView.subjectOf([rig.ref('orders')]), 'all', 100, never);
  expect([rig.clock.monotonic(), [...look.failed.keys()].toSorted()]).toEqual([1_000, ['new', 'old']]);
});

test('the keyspace of the rules is asked also where no place names it', () => {
  const rig = new GatewayRig();
  expect(rig.fenceView.subjectOf([{ ...rig.ref('loose'), places: [] }])).toEqual({ tables: ['loose'], keyspaces: ['third'] });
});

describe('what one store says of several tables', () => {
  test('that it has no row of one that is remembered there is remembered', async () => {
    const rig = new GatewayRig();
    rig.stores.new = [row('orders', 'CLOSED', 0, 'old'), row('lines', 'CLOSED', 0, 'old')];
    await rig.look('orders', 'lines');
    // The source has been looked at: the claim has reached the target only.
    expect([rig.fenceView.find(rig.ref('orders'))?.row('old'), rig.fenceView.homeOf(rig.ref('orders'))]).toEqual([null, 'old']);
    rig.stores.old = [row('orders', 'OPEN', 0, 'new')];
    await rig.look('orders', 'lines');
    expect([rig.fenceView.find(rig.ref('orders'))?.row('old')?.state, rig.fenceView.find(rig.ref('lines'))?.row('old')]).toEqual(['OPEN', null]);
    expect(rig.fenceView.find(rig.ref('orders'))).not.toBe(rig.fenceView.find(rig.ref('lines')));
  });

  test('a table that another workflow takes on is remembered as one, whatever name asks for it', async () => {
    const rig = new GatewayRig();
    Object.assign(rig.stores, { old: [row('orders', 'CLOSED', 5, 'new')], new: [row('orders', 'OPEN', 5, 'old')] });
    await rig.look('orders');
    Object.assign(rig.stores, { old: away, new: [row('orders', 'OPEN', 5, 'third', 'next')], third: [row('orders', 'CLOSED', 0, 'new', 'next')] });
    await rig.look('orders');
    Object.assign(rig.stores, { new: [row('orders', 'CLOSED', 6, 'third', 'next')], third: [row('orders', 'OPEN', 6, 'new', 'next')] });
    await rig.look('orders');
    expect([rig.fenceView.homeOf(rig.ref('orders')), rig.fenceView.homeOf(rig.ref('third.orders'))]).toEqual(['third', 'third']);
  });

  test('a peer without a row yet belongs to the memory, and is asked the next time', async () => {
    const rig = new GatewayRig({ tables: { orders: { primary: 'old' } } });
    rig.stores.old = [row('orders', 'OPEN', 1, 'third')];
    rig.stores.third = 'silent';
    await whileTimePasses(rig.clock, rig.fenceView.look({ tables: ['orders'], keyspaces: ['old'] }, 'all', 20, never));
    expect(rig.fenceView.find(rig.ref('orders'))?.keyspaces.toSorted()).toEqual(['old', 'third']);
    expect(rig.fenceView.has('third.orders')).toBe(true);
  });
});

test('away is a store that cannot be reached or that nobody can open, not one that is slow or broken', () => {
  const is = (reason: 'STORE_UNAVAILABLE' | 'KEYSPACE_UNKNOWN' | 'KEYSPACE_INVALID' | 'STORE_FAILED' | 'DEADLINE_EXCEEDED') => isAway(new SwitchyardError(reason, 'x'));
  expect([is('STORE_UNAVAILABLE'), is('KEYSPACE_UNKNOWN'), is('KEYSPACE_INVALID'), is('STORE_FAILED'), is('DEADLINE_EXCEEDED'), isAway(new Error('x')), isAway(undefined)]).toEqual(
    [true, true, true, false, false, false, false],
  );
});

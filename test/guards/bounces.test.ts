import { describe, expect, test } from '@jest/globals';
import type { FenceState } from '../../core/fence.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Bounce } from '../../gateway/flow/bounces.ts';
import { away, GatewayRig, never, row } from './support/gateway-rig.ts';
import { settled, whileTimePasses } from './support/hand-clock.ts';
import { reasonOf } from './support/reasons.ts';

const fenced = new SwitchyardError('FENCED', 'permission denied');
const fresh: Bounce = { unexplained: '', unanswered: 0 };

function rig(old: FenceState | null, there: FenceState | null, attempts: readonly [number, number] = [2, 2]): GatewayRig {
  const made = new GatewayRig();
  const rows = (state: FenceState | null, at: number, peer: string) => (state === null ? [] : [row('orders', state, at, peer)]);
  Object.assign(made.stores, { old: rows(old, attempts[0], 'new'), new: rows(there, attempts[1], 'old') });
  return made;
}
const read = (made: GatewayRig, last: Bounce | null = null, keyspace = 'old', name = 'orders'): Promise<Bounce> =>
  whileTimePasses(made.clock, made.bounces.read(never, made.ref(name), keyspace, last, fenced));
const write = (made: GatewayRig, last: Bounce | null = null, keyspace = 'old', names: readonly string[] = ['orders']): Promise<Bounce> =>
  whileTimePasses(
    made.clock,
    made.bounces.write(
      never,
      names.map((name) => made.ref(name)),
      keyspace,
      last,
      fenced,
    ),
  );

describe('what a table is held together with', () => {
  test('its workflow by the rules, else by the rows, else nothing', async () => {
    const made = new GatewayRig({ tables: { orders: { primary: 'old', movement }, lines: { primary: 'old' }, loose: { primary: 'third' } } });
    made.stores.old = [row('lines', 'OPEN', 1, 'new', 'another')];
    await made.look('lines');
    expect([made.bounces.groupOf(made.ref('orders')), made.bounces.groupOf(made.ref('lines')), made.bounces.groupOf(made.ref('loose'))]).toEqual(['move', 'another', null]);
  });
});
const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' };

describe('a read that bounced', () => {
  test('off a table without rows was denied for good', async () => {
    expect(await reasonOf(read(rig(null, null)))).toBe('STORE_DENIED');
    const error = await read(rig(null, null)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ metadata: { table: 'orders', keyspace: 'old' }, cause: fenced });
  });

  test('goes where the rows lead', async () => {
    const made = rig('CLOSED', 'OPEN');
    expect(await read(made)).toEqual(fresh);
    expect(made.fenceView.homeOf(made.ref('orders'))).toBe('new');
  });

  test('off the store that may be read by its row is denied at the second time only, and only for the same row', async () => {
    for (const state of ['OPEN', 'SEALED', 'FROZEN'] as const) {
      const made = rig(state, 'CLOSED');
      const first = await read(made);
      expect(first).toEqual({ unexplained: `old.orders ${state} 2`, unanswered: 0 });
      expect(await reasonOf(read(made, { unexplained: 'old.orders OPEN 1', unanswered: 0 }))).toBe('none');
      expect(await reasonOf(read(made, first))).toBe('STORE_DENIED');
    }
  });

  test('waits while no end can be read, as in a torn look', async () => {
    const made = rig('CLOSED', 'CLOSED', [2, 1]);
    const reading = made.bounces.read(never, made.ref('orders'), 'old', null, fenced);
    await made.clock.pass(1);
    const asked = made.asked.length;
    await made.clock.pass(1);
    expect(made.asked.length).toBeGreaterThan(asked);
    made.stores.new = [row('orders', 'READABLE', 1, 'old')];
    expect(await whileTimePasses(made.clock, reading)).toEqual(fresh);
  });

  test('is tried again for a while where the store does not tell, and then given its rejection', async () => {
    const made = new GatewayRig();
    Object.assign(made.stores, { old: away, new: [] });
    const begunMs = made.clock.monotonic();
    expect(await read(made, { unexplained: 'x', unanswered: 3 })).toEqual({ unexplained: 'x', unanswered: 4 });
    expect(made.clock.monotonic() - begunMs).toBeGreaterThanOrEqual(10);
    expect(await read(made)).toEqual({ unexplained: '', unanswered: 1 });
    expect(await read(made, { unexplained: '', unanswered: 19 })).toEqual({ unexplained: '', unanswered: 20 });
    const error = await read(made, { unexplained: '', unanswered: 20 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: 'FENCED', retryAfterMs: 200, cause: away });
    made.stores.old = 'silent';
    expect(await read(made, { unexplained: '', unanswered: 20 }).catch((reason: unknown) => reason)).toMatchObject({ reason: 'FENCED', cause: fenced });
  });

  test('does not wait for the store that rejected it when the table has left there', async () => {
    const made = rig('SEALED', 'READABLE', [2, 1]);
    await made.look('orders');
    Object.assign(made.stores, { old: away, new: [row('orders', 'OPEN', 2, 'old')] });
    expect(await read(made)).toEqual(fresh);
  });

  test('of a table that is remembered there is tried again while the store does not tell', async () => {
    const made = rig('OPEN', 'CLOSED');
    await made.look('orders');
    Object.assign(made.stores, { old: away, new: away });
    expect(await read(made)).toEqual({ unexplained: '', unanswered: 1 });
  });

  test('that the rows explain by now begins to count anew', async () => {
    // The row of the store that rejected it is CLOSED; the table is still there because nobody else can be read.
    const made = rig('OPEN', 'CLOSED');
    const first = await read(made);
    made.stores.old = [row('orders', 'CLOSED', 3, 'new')];
    const reading = made.bounces.read(never, made.ref('orders'), 'old', first, fenced);
    await settled();
    made.stores.new = [row('orders', 'OPEN', 3, 'old')];
    expect(await whileTimePasses(made.clock, reading)).toEqual(fresh);
  });
});

describe('a write that bounced', () => {
  test('off tables without rows was denied for good', async () => {
    expect(await reasonOf(write(rig(null, null)))).toBe('STORE_DENIED');
    expect(await reasonOf(write(rig(null, null), null, 'old', ['orders', 'lines']))).toBe('STORE_DENIED');
  });

  test('goes where the rows are OPEN, and counts as unexplained where it was', async () => {
    expect(await write(rig('CLOSED', 'OPEN'))).toEqual(fresh);
    const made = rig('OPEN', 'CLOSED');
    const first = await write(made);
    expect(first).toEqual({ unexplained: 'old.orders OPEN 2', unanswered: 0 });
    expect(made.holds.isHeld('move')).toBe(false);
    expect(await reasonOf(write(made, first))).toBe('STORE_DENIED');
    expect(await reasonOf(write(rig('OPEN', 'CLOSED', [3, 3]), first))).toBe('none');
  });

  test('begins a hold of what has no place for writes, and of nothing else', async () => {
    for (const state of ['FROZEN', 'SEALED', 'CLOSED'] as const) {
      const made = rig(state, 'CLOSED');
      expect(await write(made)).toEqual(fresh);
      expect([made.holds.isHeld('move'), made.holds.isHeld('table loose')]).toEqual([true, false]);
    }
    const mixed = rig('OPEN', 'CLOSED');
    mixed.stores.old = [row('orders', 'OPEN', 2, 'new'), row('lines', 'FROZEN', 3, 'new')];
    expect(await write(mixed, null, 'old', ['orders', 'lines'])).toEqual(fresh);
    expect(mixed.holds.isHeld('move')).toBe(true);
    // A table without rows beside one with: nothing of it is held.
    const beside = rig('FROZEN', 'CLOSED');
    expect(await write(beside, null, 'old', ['loose', 'orders'])).toEqual(fresh);
    expect(beside.holds.isHeld('move')).toBe(true);
  });

  test('of which one table has no rows is judged by those of the others', async () => {
    // The first table has no row at all; the second one leads away.
    const away2 = rig('CLOSED', 'OPEN');
    expect(await write(away2, null, 'old', ['lines', 'orders'])).toEqual(fresh);
    // Nobody has a row of the first, and the second is OPEN where the write bounced: unexplained.
    expect(await write(rig('OPEN', 'CLOSED'), null, 'old', ['lines', 'orders'])).toEqual({ unexplained: 'old.orders OPEN 2', unanswered: 0 });
    // Led away, whatever the row says where it bounced.
    const led = rig('CLOSED', 'OPEN', [2, 3]);
    await led.look('orders');
    led.stores.old = [row('orders', 'OPEN', 2, 'new')];
    expect(await write(led, { unexplained: 'old.orders OPEN 2', unanswered: 0 })).toEqual(fresh);
  });

  test('of which one table is OPEN there and another one elsewhere is explained, however often', async () => {
    const made = new GatewayRig();
    made.stores.old = [row('orders', 'OPEN', 2, 'new'), row('lines', 'CLOSED', 2, 'new')];
    made.stores.new = [row('orders', 'CLOSED', 2, 'old'), row('lines', 'OPEN', 2, 'old')];
    expect(await write(made, { unexplained: 'old.orders OPEN 2, old.lines CLOSED 2', unanswered: 0 }, 'old', ['orders', 'lines'])).toEqual(fresh);
  });

  test('does not count what was not looked at: the same nothing twice is no proof', async () => {
    // The rows are remembered, and this look sees none of them: its store has failed, but the table is held open elsewhere.
    const made = rig('OPEN', 'CLOSED');
    await made.look('orders');
    made.stores.old = [];
    expect(await write(made, fresh)).toEqual(fresh);
    expect(await read(made, fresh)).toEqual(fresh);
  });

  test('holds by the rows what no rule holds together, and nothing where the rows are OPEN', async () => {
    const made = new GatewayRig({ tables: { lines: { primary: 'old' } } });
    made.stores.old = [row('lines', 'FROZEN', 2, 'new', 'another'), row('orders', 'OPEN', 2, 'new', 'third')];
    expect(await write(made, null, 'old', ['orders', 'lines'])).toEqual(fresh);
    expect([made.holds.isHeld('another'), made.holds.isHeld('third')]).toEqual([true, false]);
    const mixed = new GatewayRig({ tables: { lines: { primary: 'old' }, loose: { primary: 'old', writes: 'held', hold: { holdMs: 5, attempt: 1 } } } });
    mixed.stores.old = [row('lines', 'FROZEN', 2, 'new', 'another')];
    expect(await write(mixed, null, 'old', ['loose', 'lines'])).toEqual(fresh);
    expect([mixed.holds.isHeld('another'), mixed.holds.isHeld('table loose')]).toEqual([true, false]);
  });

  test('is tried again where the store does not tell and the rows have not led away', async () => {
    const made = rig('OPEN', 'CLOSED');
    await made.look('orders');
    Object.assign(made.stores, { old: away, new: away });
    expect(await write(made)).toEqual({ unexplained: '', unanswered: 1 });
    // Where the rows say that nothing is open it waits for the hold instead.
    const frozen = rig('FROZEN', 'CLOSED');
    await frozen.look('orders');
    Object.assign(frozen.stores, { old: away, new: away });
    expect(await write(frozen)).toEqual(fresh);
    expect(frozen.holds.isHeld('move')).toBe(true);
    // Where the table has left, its old store has nothing to tell.
    const left = rig('CLOSED', 'OPEN');
    await left.look('orders');
    Object.assign(left.stores, { old: away, new: [row('orders', 'OPEN', 2, 'old')] });
    expect([await write(left), await write(left, null, 'old', ['lines', 'orders'])]).toEqual([fresh, fresh]);
    // Nobody has ever told of the table.
    const unknown = new GatewayRig();
    Object.assign(unknown.stores, { old: away, new: away });
    expect(await write(unknown)).toEqual({ unexplained: '', unanswered: 1 });
  });

  test('looks at all that moves with it, and ends the holds that the rows end', async () => {
    const made = rig('OPEN', 'CLOSED');
    made.stores.old = [row('orders', 'OPEN', 2, 'new'), row('lines', 'OPEN', 2, 'new')];
    made.holds.bounced('move', [made.ref('orders')]);
    await whileTimePasses(made.clock, made.bounces.lookAgain(never, [made.ref('orders')]));
    expect(made.fenceView.find(made.ref('lines'))?.openRow?.attempt).toBe(2);
    expect([made.holds.isHeld('move'), made.ended.map(({ how }) => how)]).toEqual([false, ['rows']]);
    // A table that belongs to nothing is looked at alone.
    const alone = new GatewayRig();
    await whileTimePasses(alone.clock, alone.bounces.lookAgain(never, [alone.ref('loose')]));
    expect(alone.asked).toEqual(['third']);
  });
});

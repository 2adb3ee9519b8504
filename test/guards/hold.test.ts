import { describe, expect, test } from '@jest/globals';
import type { FenceState } from '../../core/fence.ts';
import type { Hold } from '../../core/rules-document.ts';
import type { BufferedWrite } from '../../gateway/flow/buffer.ts';
import { GatewayRig, never, row } from './support/gateway-rig.ts';
import { settled } from './support/hand-clock.ts';

const hold = (attempt: number, holdMs = 100): ReadonlyMap<string, Hold> => new Map([['move', { attempt, holdMs }]]);
const none: ReadonlyMap<string, Hold> = new Map();

function rows(made: GatewayRig, state: FenceState, at: number, lines: FenceState = state): void {
  made.stores.old = [row('orders', state, at, 'new'), row('lines', lines, at, 'new')];
}

/** A write that waits in the buffer. */
function waitingWrite(made: GatewayRig, more: Partial<BufferedWrite> = {}): { readonly admitted: () => boolean } {
  let admitted = false;
  void made.buffer.admit({ group: 'move', keys: [], deadline: made.clock.monotonic() + 2_000, bytes: 1, signal: never, ...more }, 0).then(
    (ticket) => {
      admitted = true;
      ticket.done();
    },
    () => {},
  );
  made.holds.watch('move');
  return { admitted: () => admitted };
}

describe('a hold by rule', () => {
  test('begins at its first sight and ends with its time', async () => {
    const made = new GatewayRig();
    expect([made.holds.isHeld('move'), made.holds.expectedMs('move')]).toEqual([false, 0]);
    made.holds.beginHolds(hold(3));
    expect([made.holds.isHeld('move'), made.holds.isHeld('other')]).toEqual([true, false]);
    await made.clock.pass(99);
    expect(made.holds.isHeld('move')).toBe(true);
    await made.clock.pass(1);
    expect([made.holds.isHeld('move'), made.ended]).toEqual([false, [{ group: 'move', heldMs: 100, how: 'expired' }]]);
  });

  test('that a later version repeats does not begin again; another attempt does', async () => {
    const made = new GatewayRig();
    made.holds.beginHolds(hold(3));
    await made.clock.pass(60);
    made.holds.beginHolds(hold(3));
    await made.clock.pass(40);
    expect(made.holds.isHeld('move')).toBe(false);
    made.holds.beginHolds(hold(3));
    expect(made.holds.isHeld('move')).toBe(false);
    made.holds.beginHolds(hold(4));
    expect(made.holds.isHeld('move')).toBe(true);
    await made.clock.pass(60);
    made.holds.beginHolds(hold(5));
    await made.clock.pass(60); // the timer of the one before is gone
    expect(made.holds.isHeld('move')).toBe(true);
    await made.clock.pass(40);
    expect(made.ended.map(({ heldMs }) => heldMs)).toEqual([100, 160]);
  });

  test('ends when newer rules take it back, and may come again then', () => {
    const made = new GatewayRig();
    made.holds.beginHolds(hold(3));
    made.holds.endOthers(hold(3));
    expect(made.holds.isHeld('move')).toBe(true);
    made.holds.endOthers(none);
    expect([made.holds.isHeld('move'), made.ended.map(({ how }) => how), made.clock.timers]).toEqual([false, ['rules'], 0]);
    made.holds.endOthers(none);
    expect(made.ended.length).toBe(1);
    made.holds.beginHolds(hold(3));
    expect(made.holds.isHeld('move')).toBe(true);
  });

  test('ends when all its tables are OPEN at its attempt or a higher one, not before', async () => {
    const made = new GatewayRig();
    made.holds.beginHolds(hold(3, 1_000));
    const waits = waitingWrite(made);
    rows(made, 'OPEN', 2);
    await made.clock.pass(20);
    expect([made.holds.isHeld('move'), waits.admitted()]).toEqual([true, false]);
    rows(made, 'OPEN', 3, 'FROZEN');
    await made.clock.pass(20);
    expect(made.holds.isHeld('move')).toBe(true);
    rows(made, 'OPEN', 3);
    await made.clock.pass(5);
    expect([made.holds.isHeld('move'), waits.admitted(), made.ended.map(({ how }) => how)]).toEqual([false, true, ['rows']]);
    const higher = new GatewayRig();
    higher.holds.beginHolds(hold(3, 1_000));
    rows(higher, 'OPEN', 4);
    await higher.look('orders', 'lines');
    higher.holds.rowsLearned();
    expect(higher.holds.isHeld('move')).toBe(false);
  });

  test('of a table without rows is not ended by them', async () => {
    const made = new GatewayRig();
    made.holds.beginHolds(hold(3));
    made.holds.rowsLearned();
    expect(made.holds.isHeld('move')).toBe(true);
  });

  test('goes on by the fence when its time is over, the rows contradict and somebody waits', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.holds.beginHolds(hold(3));
    const waits = waitingWrite(made);
    await made.clock.pass(150);
    expect([made.holds.isHeld('move'), waits.admitted(), made.ended]).toEqual([true, false, []]);
    // By the fence an OPEN row of any attempt will do that is not lower than what was seen.
    rows(made, 'OPEN', 3);
    await made.clock.pass(6);
    expect([made.holds.isHeld('move'), waits.admitted(), made.ended.map(({ how }) => how)]).toEqual([false, true, ['rows']]);
    expect(made.ended[0]?.heldMs).toBeGreaterThan(150);
  });

  test('ends with its time when nobody waits, whatever the rows say; the next write finds out for itself', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    await made.look('orders', 'lines');
    made.holds.beginHolds(hold(3));
    await made.clock.pass(100);
    expect([made.holds.isHeld('move'), made.ended.map(({ how }) => how)]).toEqual([false, ['expired']]);
  });

  test('ends with its time when the rows do not contradict, though somebody waits', async () => {
    const made = new GatewayRig();
    rows(made, 'OPEN', 2);
    made.holds.beginHolds(hold(3));
    const waits = waitingWrite(made);
    await made.clock.pass(100);
    expect([made.holds.isHeld('move'), waits.admitted(), made.ended.map(({ how }) => how)]).toEqual([false, true, ['expired']]);
  });
});

describe('a hold by fence', () => {
  test('lasts while somebody waits and the rows are not OPEN', async () => {
    const made = new GatewayRig();
    rows(made, 'SEALED', 3);
    made.holds.bounced('move', [made.ref('orders')]);
    expect(made.holds.isHeld('move')).toBe(true);
    const waits = waitingWrite(made);
    await made.clock.pass(500);
    expect([made.holds.isHeld('move'), waits.admitted()]).toEqual([true, false]);
    made.stores.old = [row('orders', 'CLOSED', 3, 'new'), row('lines', 'CLOSED', 3, 'new')];
    made.stores.new = [row('orders', 'OPEN', 3, 'old'), row('lines', 'OPEN', 3, 'old')];
    await made.clock.pass(6);
    expect([made.holds.isHeld('move'), waits.admitted(), made.ended.map(({ how }) => how)]).toEqual([false, true, ['rows']]);
  });

  test('that nobody waits for any more ends unused, and does not count for what is expected', async () => {
    const made = new GatewayRig();
    rows(made, 'SEALED', 3);
    made.holds.bounced('move', [made.ref('orders')]);
    waitingWrite(made, { deadline: made.clock.monotonic() + 40 });
    await made.clock.pass(60);
    expect([made.holds.isHeld('move'), made.ended.map(({ how }) => how)]).toEqual([false, ['unused']]);
    made.holds.bounced('move', [made.ref('orders')]);
    expect(made.holds.expectedMs('move')).toBe(30);
  });

  test('does not begin again while one lasts, and knows what has bounced beside the rules', async () => {
    const made = new GatewayRig();
    made.stores.third = [row('loose', 'FROZEN', 3, 'old', 'third')];
    made.holds.beginHolds(hold(3));
    await made.clock.pass(50);
    made.holds.bounced('move', [made.ref('loose')]);
    rows(made, 'OPEN', 3);
    await made.look('orders', 'lines', 'loose');
    made.holds.rowsLearned();
    expect(made.holds.isHeld('move')).toBe(true); // loose is not OPEN
    await made.clock.pass(50);
    expect(made.ended.map(({ heldMs, how }) => [heldMs, how])).toEqual([[100, 'expired']]);
    // It is forgotten with the end.
    made.holds.beginHolds(hold(4));
    rows(made, 'OPEN', 4);
    await made.look('orders', 'lines', 'loose');
    made.holds.rowsLearned();
    expect(made.holds.isHeld('move')).toBe(false);
  });

  test('is not ended by newer rules without a hold', async () => {
    const made = new GatewayRig();
    made.holds.bounced('move', [made.ref('orders')]);
    made.holds.endOthers(none);
    expect([made.holds.isHeld('move'), made.ended]).toEqual([true, []]);
  });
});

describe('the rows are watched', () => {
  test('by one for all, only while something is held and somebody waits', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.holds.watch('move');
    made.holds.watch('nobody');
    await made.clock.pass(50);
    expect(made.asked).toEqual([]);
    made.holds.beginHolds(hold(3, 1_000));
    await made.clock.pass(50);
    expect(made.asked).toEqual([]);
    waitingWrite(made);
    waitingWrite(made);
    made.holds.watch('move');
    await made.clock.pass(50);
    const asked = made.asked.filter((keyspace) => keyspace === 'old').length;
    expect([asked >= 9, asked <= 12]).toEqual([true, true]);
    made.holds.close();
    await settled();
    const after = made.asked.length;
    await made.clock.pass(2_000);
    expect([made.asked.length, made.ended]).toEqual([after, []]);
  });

  test('also once the hold is over and a new one begins', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.holds.beginHolds(hold(3));
    waitingWrite(made, { deadline: made.clock.monotonic() + 50 });
    await made.clock.pass(200);
    made.holds.beginHolds(hold(4));
    waitingWrite(made);
    const before = made.asked.length;
    await made.clock.pass(20);
    expect(made.asked.length).toBeGreaterThan(before);
  });
});

describe('an end', () => {
  test('leaves no timer behind', async () => {
    const made = new GatewayRig();
    made.holds.beginHolds(hold(3, 1_000));
    rows(made, 'OPEN', 3);
    await made.look('orders', 'lines');
    const before = made.clock.timers;
    made.holds.rowsLearned();
    expect([made.holds.isHeld('move'), before - made.clock.timers]).toEqual([false, 1]);
    made.holds.beginHolds(hold(4, 1_000));
    const running = made.clock.timers;
    made.holds.close();
    expect(running - made.clock.timers).toBe(1);
    const fenced = new GatewayRig();
    fenced.holds.bounced('move', [fenced.ref('orders')]);
    fenced.holds.close();
    expect(fenced.holds.isHeld('move')).toBe(true);
  });

  test('by newer rules that the fence goes on leaves no timer behind either', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.holds.beginHolds(hold(3));
    waitingWrite(made);
    await made.clock.pass(20);
    const before = made.clock.timers;
    made.holds.endOthers(none);
    expect([made.holds.isHeld('move'), before - made.clock.timers]).toEqual([true, 1]);
  });

  test('is the end of watching, also while what has waited is let go bit by bit', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.holds.bounced('move', [made.ref('orders')]);
    for (let count = 0; count < 3; count += 1) void made.buffer.admit({ group: 'move', keys: [], deadline: made.clock.monotonic() + 2_000, bytes: 1, signal: never }, 0);
    made.holds.watch('move');
    await made.clock.pass(10);
    rows(made, 'OPEN', 3);
    await made.clock.pass(10);
    const asked = made.asked.length;
    await made.clock.pass(100);
    expect([made.holds.isHeld('move'), made.buffer.waiting('move'), made.asked.length - asked]).toEqual([false, 1, 0]);
  });

  test('comes once: what is open is not ended again by rows or rules', async () => {
    const made = new GatewayRig();
    rows(made, 'OPEN', 3);
    made.holds.bounced('move', [made.ref('orders')]);
    await made.look('orders', 'lines');
    made.holds.rowsLearned();
    made.holds.rowsLearned();
    made.holds.endOthers(none);
    expect(made.ended.length).toBe(1);
    expect(made.holds.expectedMs('move')).toBe(0);
  });

  test('by the fence goes on by rule where a rule comes for it, counted from its own beginning', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    const before = made.asked.length;
    made.holds.bounced('move', [made.ref('orders')]);
    const waits = waitingWrite(made);
    await made.clock.pass(20);
    made.holds.beginHolds(hold(3, 50));
    await made.clock.pass(40);
    expect([made.holds.isHeld('move'), waits.admitted(), made.asked.length > before]).toEqual([true, false, true]);
    made.holds.endOthers(none); // the rows contradict: it goes on by the fence
    expect([made.holds.isHeld('move'), made.ended]).toEqual([true, []]);
    rows(made, 'OPEN', 3);
    await made.clock.pass(6);
    expect(made.ended.map(({ how }) => how)).toEqual(['rows']);
    expect(made.ended[0]?.heldMs).toBeGreaterThanOrEqual(60);
  });

  test('by its time goes on by the fence where but one of its tables contradicts', async () => {
    const made = new GatewayRig();
    rows(made, 'OPEN', 3, 'FROZEN');
    made.holds.beginHolds(hold(3));
    const waits = waitingWrite(made);
    await made.clock.pass(150);
    expect([made.holds.isHeld('move'), waits.admitted()]).toEqual([true, false]);
  });
});

describe('a rule that holds what waits already', () => {
  test('has its rows watched from its beginning', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.buffer.hold('move');
    waitingWrite(made); // nothing holds the group yet as far as the holds know
    expect(made.asked).toEqual([]);
    made.holds.beginHolds(hold(3, 1_000));
    await made.clock.pass(10);
    expect(made.asked.length).toBeGreaterThan(0);
  });
});

describe('what a hold is expected to last', () => {
  test('follows those that were measured, is counted from the beginning and is never nothing', async () => {
    const made = new GatewayRig();
    made.holds.beginHolds(hold(1));
    expect(made.holds.expectedMs('move')).toBe(30);
    await made.clock.pass(10);
    expect(made.holds.expectedMs('move')).toBe(20);
    await made.clock.pass(20);
    expect(made.holds.expectedMs('move')).toBe(5);
    await made.clock.pass(70);
    made.holds.beginHolds(hold(2));
    expect(made.holds.expectedMs('move')).toBeCloseTo(30 + (100 - 30) * 0.2);
  });

  test('one that lasted very long counts as a second', async () => {
    const made = new GatewayRig();
    rows(made, 'FROZEN', 3);
    made.holds.bounced('move', [made.ref('orders')]);
    waitingWrite(made, { deadline: made.clock.monotonic() + 4_000 });
    await made.clock.pass(3_000);
    rows(made, 'OPEN', 3);
    await made.clock.pass(10);
    made.holds.bounced('move', [made.ref('orders')]);
    expect(made.holds.expectedMs('move')).toBeCloseTo(30 + (1_000 - 30) * 0.2);
  });
});

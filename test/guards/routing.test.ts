import { describe, expect, test } from '@jest/globals';
import type { RuleProblem } from '../../core/registration.ts';
import { Routing } from '../../gateway/rules/routing.ts';
import { movement, routingOf } from './support/gateway-rig.ts';
import { reasonOf } from './support/reasons.ts';

describe('the routing table in force', () => {
  test('is none before the first rules', async () => {
    const routing = new Routing();
    expect([routing.table, routing.appliedVersion, routing.tablesOf('move')]).toEqual([null, 0, []]);
    expect(await reasonOf(() => routing.current())).toBe('GATEWAY_NOT_READY');
  });

  test('never goes back to a lower version, and may be the same one anew', () => {
    const routing = new Routing();
    const [fifth, again] = [routingOf(5, {}), routingOf(5, {})];
    routing.swap(fifth);
    expect(() => routing.swap(routingOf(4, {}))).toThrow(/lower/);
    expect(routing.current()).toBe(fifth);
    routing.swap(again);
    expect([routing.current(), routing.appliedVersion]).toEqual([again, 5]);
  });

  test('tells what is held together', () => {
    const routing = new Routing();
    routing.swap(routingOf(1, { tables: { orders: { primary: 'old', movement }, lines: { primary: 'old', movement }, loose: { primary: 'old' } } }));
    expect(routing.tablesOf('move').map(({ key }) => key)).toEqual(['lines', 'orders']);
    routing.swap(routingOf(2, { tables: { loose: { primary: 'old', writes: 'held', hold: { holdMs: 5, attempt: 1 } } } }));
    expect([routing.tablesOf('move'), routing.tablesOf('table loose').map(({ key }) => key)]).toEqual([[], ['loose']]);
  });

  test('says whether what is refused has changed', () => {
    const routing = new Routing();
    const problem: RuleProblem = { version: 1, table: null, reason: 'RULES_INVALID', message: 'm' };
    expect([routing.report([]), routing.report([problem]), routing.report([{ ...problem }]), routing.report([])]).toEqual([false, true, false, true]);
    routing.report([problem]);
    expect(routing.problems).toEqual([problem]);
  });
});

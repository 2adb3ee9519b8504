import { describe, expect, test } from '@jest/globals';
import { type RulesDocument, rulesDocumentSchema } from '../../core/rules-document.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { Move, SideName } from '../move.ts';
import { heldAttempt, heldRules, openRules, type RulesGoal, rulesProblem } from './rules-change.ts';

// Only names are looked at.
const move = { name: 'move1', tables: ['orders', 'lines'], source: { keyspace: 'old' }, target: { keyspace: 'new' } } as unknown as Move;
const goal = (primary: SideName, more: Partial<RulesGoal> = {}): RulesGoal => ({ move, primary, attempt: null, restore: true, ...more });
const movement = { workflow: 'move1', source: 'old', target: 'new', want: 'target' };
const parse = (tables: object): RulesDocument =>
  rulesDocumentSchema.parse({ version: 7, nonce: 'n', changedBy: 'test', changedAt: '2026-01-01T00:00:00Z', defaultKeyspace: 'old', keyspaces: { x: 'y' }, tables });
const claimed = parse({
  orders: { primary: 'old', attempt: 3, movement, names: ['old.orders', 'new.orders'] },
  'old.lines': { primary: 'old', movement, names: ['new.lines'] },
  other: { primary: 'third' },
});
const after = (change: RulesChange | null): RulesDocument => parse(change?.tables ?? {});

describe('a flip', () => {
  const flipped = after(openRules(claimed, goal('target', { attempt: 9 })));

  test('points all the tables, under whatever name their rule is kept, and nothing else', () => {
    expect(flipped.tables.orders).toMatchObject({ primary: 'new', attempt: 9, writes: 'open', movement, names: ['old.orders', 'new.orders'] });
    expect(flipped.tables['old.lines']).toMatchObject({ primary: 'new', attempt: 9, writes: 'open', movement });
    expect(flipped.tables.other).toEqual(claimed.tables.other);
    expect(openRules(claimed, goal('target')).keyspaces).toEqual({ x: 'y' });
  });

  test('leaves nothing to do', () => {
    expect(rulesProblem(claimed, goal('target'))).not.toBeNull();
    expect(rulesProblem(flipped, goal('target'))).toBeNull();
  });
});

test('a hold keeps primary and attempt, and goes when the writes are opened', () => {
  const held = after(heldRules(claimed, move, 'source', { holdMs: 500, attempt: 12 }));
  expect(held.tables.orders).toMatchObject({ primary: 'old', attempt: 3, writes: 'held', hold: { holdMs: 500, attempt: 12 } });
  expect(heldAttempt(held, move)).toBe(12);
  expect(rulesProblem(held, goal('source'))).toContain('held for attempt 12');
  const released = after(openRules(held, goal('source')));
  expect(released.tables).toEqual(claimed.tables);
  expect(heldAttempt(released, move)).toBeNull();
});

describe('rules that somebody took away or changed', () => {
  const torn = parse({ orders: { primary: 'old' }, 'old.lines': { primary: 'third', movement: { ...movement, workflow: 'another' } } });

  test('are written again', () => {
    expect(rulesProblem(torn, goal('source'))).toContain('does not name the workflow');
    const mended = after(openRules(torn, goal('target', { attempt: 4 })));
    expect(mended.tables.orders).toMatchObject({ primary: 'new', attempt: 4, movement: { workflow: 'move1', want: 'target' } });
    expect(mended.tables.lines).toMatchObject({ primary: 'new', movement: { workflow: 'move1' }, names: ['old.lines', 'new.lines'] });
    expect(mended.tables['old.lines']).toEqual(torn.tables['old.lines']);
  });

  test('are told of where there is no rule at all', () => {
    expect(rulesProblem(parse({}), goal('source'))).toContain('has no rule');
  });

  test('are those of the table, under whatever key one of its names stands', () => {
    const aliased = parse({ shop: { primary: 'old', names: ['old.orders'], movement }, lines: { primary: 'old', movement } });
    expect(rulesProblem(aliased, goal('source'))).toBeNull();
    expect(Object.keys(openRules(aliased, goal('target')).tables)).toEqual(['shop', 'lines']);
  });

  test('of another workflow, or of a keyspace beside the move, stay as they are, and the table gets one under a name that is free', () => {
    const another = { ...movement, workflow: 'another' };
    const taken = parse({ orders: { primary: 'old', movement: another }, lines: { primary: 'third' } });
    const mended = parse(openRules(taken, goal('target')).tables);
    expect([mended.tables.orders, mended.tables.lines]).toEqual([taken.tables.orders, taken.tables.lines]);
    expect(mended.tables['old.orders']).toMatchObject({ primary: 'new', movement: { workflow: 'move1' }, names: ['new.orders'] });
    expect(mended.tables['old.lines']).toMatchObject({ primary: 'new', movement: { workflow: 'move1' }, names: ['new.lines'] });
    // No name is free: there is nothing that could be done.
    const names = ['orders', 'old.orders', 'new.orders', 'lines', 'old.lines', 'new.lines'];
    const full = parse(Object.fromEntries(names.map((name) => [name, { primary: 'old', movement: another }])));
    expect([rulesProblem(full, goal('target')), openRules(full, goal('target')).tables]).toEqual([null, full.tables]);
  });

  test("are left alone while the workflow's runner may be at work on them", () => {
    expect(rulesProblem(torn, goal('target', { restore: false }))).toBeNull();
    expect(openRules(torn, goal('target', { restore: false })).tables).toEqual(torn.tables);
  });

  test('are never held, for the workflow may have ended', () => {
    expect(heldRules(torn, move, 'source', { holdMs: 500, attempt: 12 })).toBeNull();
    const half = parse({ orders: claimed.tables.orders, 'old.lines': { primary: 'old' } });
    const tables = heldRules(half, move, 'source', { holdMs: 500, attempt: 12 })?.tables;
    expect([tables?.orders?.writes, tables?.['old.lines']]).toEqual(['held', half.tables['old.lines']]);
  });
});

test('the attempt of a hold is the highest of the move, whatever others hold', () => {
  const held = (attempt: number, workflow = 'move1') => ({ primary: 'old', writes: 'held', hold: { holdMs: 5, attempt }, movement: { ...movement, workflow } });
  expect(heldAttempt(parse({ orders: held(4), lines: held(3), other: held(9, 'another') }), move)).toBe(4);
});

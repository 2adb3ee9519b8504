import { describe, expect, test } from '@jest/globals';
import { rulesDocumentSchema, type RulesDocument } from '../../core/rules-document.ts';
import { type Claim, claimTables, releaseTables, wantOf, wantSide } from './claims.ts';

const rules = (tables: Record<string, unknown> = {}, more: Record<string, unknown> = {}): RulesDocument =>
  rulesDocumentSchema.parse({ version: 1, nonce: 'n', changedBy: '', changedAt: '', defaultKeyspace: 'old', tables, ...more });
const claim = (more: Partial<Claim> = {}): Claim => ({ workflow: 'w', source: 'old', target: 'new', tables: ['orders'], bareElsewhere: new Set(), ...more });
const movement = { workflow: 'other', source: 'old', target: 'third', want: 'source' };
const claimed = (document: RulesDocument, more: Partial<Claim> = {}): RulesDocument => ({ ...document, ...claimTables(document, claim(more)) });

describe('claimTables', () => {
  test('takes a table under its bare name with both qualified ones', () => {
    expect(claimed(rules()).tables).toEqual({
      orders: { primary: 'old', attempt: 0, writes: 'open', names: ['old.orders', 'new.orders'], movement: { workflow: 'w', source: 'old', target: 'new', want: 'source' } },
    });
  });

  test('keeps the key, the attempt and the names that a table has', () => {
    const { tables } = claimed(rules({ orders: { primary: 'old', attempt: 7, names: ['first.orders', 'old.orders'] } }));
    expect(tables.orders).toMatchObject({ attempt: 7, names: ['first.orders', 'old.orders', 'new.orders'] });
  });

  test('refuses a table that a workflow owns under any of its names', () => {
    for (const [key, names] of [
      ['orders', []],
      ['old.orders', []],
      ['new.orders', []],
      ['shared', ['new.orders']],
    ] as const) {
      expect(() => claimed(rules({ [key]: { primary: 'old', names, movement } }))).toThrow(
        expect.objectContaining({ reason: 'TABLE_OWNED', metadata: { table: 'orders', workflow: 'other' } }),
      );
    }
  });

  test('refuses a source that does not serve the table', () => {
    const moved = rules({ orders: { primary: 'third', names: ['old.orders', 'third.orders'] } });
    expect(() => claimed(moved)).toThrow(expect.objectContaining({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('served by third') }));
    expect(() => claimed(rules({}, { keyspaces: { old: 'third' } }))).toThrow(expect.objectContaining({ reason: 'PRECHECK_FAILED' }));
  });

  test("another keyspace's table of the same name keeps the bare name", () => {
    expect(Object.keys(claimed(rules({ orders: { primary: 'third' } })).tables)).toEqual(['orders', 'old.orders']);
    const { tables } = claimed(rules({}, { defaultKeyspace: 'third' }), { bareElsewhere: new Set(['orders']) });
    expect(tables).toMatchObject({ 'old.orders': { primary: 'old', names: ['new.orders'] } });
  });

  test('a table of two moves is claimed once', () => {
    const first = claimed(rules());
    expect(() => claimed(first, { workflow: 'v' })).toThrow(expect.objectContaining({ reason: 'TABLE_OWNED' }));
  });
});

test('releasing keeps every name and opens writes, and is a change also where no rule names the workflow', () => {
  const { movement: own } = claimed(rules()).tables.orders ?? {};
  const rule = { primary: 'old', attempt: 3, writes: 'held', hold: { holdMs: 100, attempt: 3 }, names: ['old.orders', 'new.orders'] };
  const released = releaseTables(rules({ orders: { ...rule, movement: own }, others: { primary: 'old', movement } }), 'w', 'new');
  expect(released.tables.orders).toEqual({ primary: 'new', attempt: 3, writes: 'open', names: ['old.orders', 'new.orders'] });
  expect(released.tables.others?.movement).toEqual(movement);
  const gone = rules({ orders: { ...rule, hold: undefined, writes: 'open' } });
  expect(releaseTables(gone, 'w', 'new').tables).toEqual(gone.tables);
});

test('what one table wants counts for the workflow', () => {
  const both = claimed(rules(), { tables: ['orders', 'items'] });
  expect(wantOf(both, 'w', 'source')).toBe('source');
  const orders = both.tables.orders;
  if (orders?.movement === undefined) throw new Error('not claimed');
  const one: RulesDocument = { ...both, tables: { ...both.tables, orders: { ...orders, movement: { ...orders.movement, want: 'target' } } } };
  expect(wantOf(one, 'w', 'source')).toBe('target');
  expect(wantOf(one, 'elsewhere', 'source')).toBeNull();
  const all = { ...one, ...wantSide(one, 'w', 'target') };
  expect(Object.values(all.tables).map((rule) => rule.movement?.want)).toEqual(['target', 'target']);
  expect(wantSide(all, 'w', 'target')).toBeNull();
});

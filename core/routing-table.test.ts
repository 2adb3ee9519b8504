import { describe, expect, test } from '@jest/globals';
import { buildRoutingTable, type RoutingTable } from './routing-table.ts';
import { rulesDocumentSchema } from './rules-document.ts';
import { hasReason } from './switchyard-error.ts';

const known = new Set(['old', 'new', 'third']);
const rules = (version: number, rest: object) =>
  rulesDocumentSchema.parse({ version, nonce: 'n', changedBy: 'test', changedAt: '2026-01-01T00:00:00Z', defaultKeyspace: 'old', ...rest });
const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' };

function build(version: number, rest: object, previous: RoutingTable | null = null) {
  const built = buildRoutingTable(rules(version, rest), known, previous);
  if (built.routing === null) throw new Error(built.problems[0]?.message);
  return { routing: built.routing, problems: built.problems };
}

function reasonOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (hasReason(error, 'TABLE_UNKNOWN', 'KEYSPACE_UNKNOWN', 'RULES_INVALID', 'ARGUMENT_INVALID')) return error.reason;
    throw error;
  }
  return 'none';
}

describe('names that every object has', () => {
  test('are no rules before somebody writes them', () => {
    const { tables, keyspaces } = rules(1, { tables: { orders: { primary: 'old' } } });
    for (const name of ['constructor', 'toString', '__proto__']) expect([tables[name], keyspaces[name]]).toEqual([undefined, undefined]);
    expect(build(2, { tables: { constructor: { primary: 'new' } } }, build(1, {}).routing).routing.resolve('constructor').keyspace).toBe('new');
    // A wrong rule of a table that had none: it goes on without one.
    const { routing, problems } = build(2, { tables: { toString: { primary: 'nowhere' } } }, build(1, {}).routing);
    expect([problems.length, reasonOf(() => routing.resolve('toString')), routing.resolve('old.toString').keyspace]).toEqual([1, 'none', 'old']);
  });

  test('are refused where they would be left out', () => {
    for (const field of ['tables', 'keyspaces']) expect(() => rules(1, JSON.parse(`{"${field}":{"__proto__":{"primary":"old"}}}`) as object)).toThrow(/__proto__/);
  });
});

describe('names', () => {
  test('without a rule a bare name means the default keyspace, a qualified one its own', () => {
    const { routing } = build(1, {});
    expect(routing.resolve('orders')).toMatchObject({ keyspace: 'old', table: 'orders', key: 'old.orders', group: null });
    expect(routing.resolve('new.orders')).toMatchObject({ keyspace: 'new', table: 'orders', key: 'new.orders' });
    expect(reasonOf(() => routing.resolve('nowhere.orders'))).toBe('TABLE_UNKNOWN');
    expect(reasonOf(() => routing.resolve(''))).toBe('ARGUMENT_INVALID');
  });

  test('under a workflow every name leads to the same rule', () => {
    const { routing } = build(1, { tables: { orders: { primary: 'new', movement } } });
    for (const name of ['orders', 'old.orders', 'new.orders']) expect(routing.resolve(name)).toBe(routing.ref('orders'));
    expect(routing.resolve('orders')).toMatchObject({ keyspace: 'new', group: 'move' });
    expect(routing.resolve('third.orders').keyspace).toBe('third');
  });

  test('after a workflow its names go on leading to the rule', () => {
    const { routing } = build(1, { tables: { orders: { primary: 'new', names: ['old.orders', 'new.orders'] } } });
    expect(routing.resolve('old.orders').keyspace).toBe('new');
  });

  test('a bare name means the default keyspace even where the rule is keyed by the qualified name', () => {
    const { routing } = build(1, { tables: { 'old.orders': { primary: 'new' } } });
    expect(routing.resolve('orders').keyspace).toBe('new');
    expect(routing.resolve('third.orders').keyspace).toBe('third');
  });

  test("the default keyspace's qualified name follows a bare rule", () => {
    const { routing } = build(1, { tables: { orders: { primary: 'new' } } });
    expect(routing.resolve('old.orders').keyspace).toBe('new');
  });

  test("whole keyspaces are redirected, a table's rule beats that", () => {
    const { routing } = build(1, { keyspaces: { old: 'new' }, tables: { users: { primary: 'old' } } });
    expect(routing.resolve('orders')).toMatchObject({ keyspace: 'new', places: ['new.orders', 'old.orders'] });
    expect(routing.resolve('users').keyspace).toBe('old');
  });
});

describe('wrong rules', () => {
  test('an unknown default keyspace refuses the document', () => {
    const built = buildRoutingTable(rules(2, { defaultKeyspace: 'nowhere' }), known, null);
    expect(built).toMatchObject({ routing: null, problems: [{ version: 2, table: null, reason: 'KEYSPACE_UNKNOWN' }] });
  });

  test('an unknown keyspace makes only its table wrong: that goes on as before', () => {
    const before = build(1, { tables: { orders: { primary: 'new' } } }).routing;
    const { routing, problems } = build(2, { tables: { orders: { primary: 'nowhere' }, users: { primary: 'new' } } }, before);
    expect(problems).toMatchObject([{ version: 2, table: 'orders', reason: 'KEYSPACE_UNKNOWN' }]);
    expect(routing.resolve('orders').keyspace).toBe('new');
    expect(routing.resolve('users').keyspace).toBe('new');
    expect(routing.version).toBe(2);
  });

  test('without a predecessor the table answers with the problem', () => {
    const { routing } = build(1, { tables: { orders: { primary: 'nowhere' } } });
    expect(reasonOf(() => routing.resolve('orders'))).toBe('KEYSPACE_UNKNOWN');
    expect(routing.resolve('users').keyspace).toBe('old');
  });

  test.each([
    [{ orders: { primary: 'third', movement } }, 'orders'],
    [{ orders: { primary: 'old', movement: { ...movement, target: 'old' } } }, 'orders'],
    [{ orders: { primary: 'old', names: ['old.users'] } }, 'orders'],
    [{ 'old.orders': { primary: 'third' }, orders: { primary: 'old', movement } }, 'old.orders'],
  ])('%j is refused', (tables, table) => {
    expect(build(1, { tables }).problems).toMatchObject([{ table, reason: 'RULES_INVALID' }]);
  });
});

test('tables can be kept as they were', () => {
  const before = build(1, { tables: { orders: { primary: 'old' } } }).routing;
  const after = build(2, { tables: { orders: { primary: 'new' }, users: { primary: 'new' } } }).routing;
  const kept = after.keeping(new Set(['orders', 'users']), before);
  expect([kept.version, kept.resolve('orders').keyspace, kept.resolve('users').keyspace]).toEqual([2, 'old', 'old']);
  expect(after.resolve('orders').keyspace).toBe('new');
});

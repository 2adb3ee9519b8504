import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Comparison_Operator } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { RulesDocument, TableRule } from '../../core/rules-document.ts';
import { editRules, getRules, putRules } from '../bench/cutover/consul-rules.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';
import { SHOP_LOGINS } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

// Two tables that a workflow moves, one that none does, in both stores; what a row says tells where it was read.
const schema = `
CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL, total int NOT NULL DEFAULT 0);
CREATE TABLE lines (id int PRIMARY KEY, note text NOT NULL);
CREATE TABLE plain (id int PRIMARY KEY, place text NOT NULL);
INSERT INTO plain VALUES (1, current_database());`;

const never = new AbortController().signal;
const id = (value: number) => ({ cells: { id: { kind: { case: 'int64Value' as const, value: BigInt(value) } } } });
const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });
const cell = (row: Row | undefined, name: string) => row?.cells[name]?.kind.value;

let stage: GatewayStage;
let running: RunningGateway;
let attempt = 0;

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  await stage.claim('move', ['orders', 'lines']);
});
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});

const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' as const };
const rule = (primary: 'old' | 'new', more: Partial<TableRule> = {}): TableRule => ({
  primary,
  attempt: 0,
  writes: 'open',
  movement,
  names: ['old.orders', 'new.orders'],
  ...more,
});
const moved = (primary: 'old' | 'new', more: Partial<TableRule> = {}): RulesDocument['tables'] => ({
  orders: rule(primary, more),
  lines: rule(primary, { ...more, names: ['old.lines', 'new.lines'] }),
});

/** Sets the tables' rules through the topology, as control does. */
async function setTables(tables: RulesDocument['tables']): Promise<number> {
  const document = await stage.topology.updateRules({ by: 'test', reason: 'test' }, (current) => ({ ...current, tables }), never);
  return document.version;
}

/** Puts both tables into a state in a store. */
async function fence(keyspace: 'old' | 'new', state: Parameters<GatewayStage['fence']>[2], at: number): Promise<void> {
  for (const table of ['orders', 'lines']) await stage.fence(keyspace, table, state, at);
}

async function apply(version: number): Promise<void> {
  await stage.registration(running.gateway, (registration) => registration.appliedVersion === version);
}

const readPlain = async (): Promise<unknown> => cell((await running.client.get({ table: 'plain', key: id(1) })).row, 'place');
const countIn = async (keyspace: 'old' | 'new', table = 'orders'): Promise<number> => Number(await stage.sql(keyspace, `SELECT count(*) FROM ${table}`));

/** What both stores and the rules look like at rest: OPEN in "old", CLOSED in "new", equal and empty, at a fresh attempt. */
beforeEach(async () => {
  attempt += 10;
  await stage.sql('new', 'SET session_replication_role = origin; ALTER TABLE orders DISABLE TRIGGER ALL; ALTER TABLE lines DISABLE TRIGGER ALL; TRUNCATE orders, lines');
  await stage.sql('old', 'ALTER TABLE orders DISABLE TRIGGER ALL; ALTER TABLE lines DISABLE TRIGGER ALL; TRUNCATE orders, lines');
  await fence('new', 'CLOSED', attempt);
  await fence('old', 'OPEN', attempt);
  await setTables(moved('old'));
  running = await stage.start();
});
afterEach(async () => {
  await running?.[Symbol.asyncDispose]();
});

describe('rules', () => {
  test('primary changed through the topology flips a table that no workflow owns', async () => {
    expect(await readPlain()).toBe('old');
    await apply(await setTables({ ...moved('old'), plain: { primary: 'new', attempt: 0, writes: 'open', names: [] } }));
    expect(await readPlain()).toBe('new');
    expect(cell((await running.client.get({ table: 'old.plain', key: id(1) })).row, 'place')).toBe('new');
  });

  test('so does a plain consul kv put -cas', async () => {
    const put = await editRules(stage.consul, 'by hand', (document) => {
      document.tables = { ...document.tables, plain: { primary: 'new', attempt: 0, writes: 'open', names: [] } };
    });
    await apply(put.version);
    expect(await readPlain()).toBe('new');
  });

  test('a keyspace that comes later is served without a newer document, and mends the rules that named it', async () => {
    const version = await setTables({ ...moved('old'), plain: { primary: 'later', attempt: 0, writes: 'open', names: [] } });
    await stage.registration(running.gateway, ({ appliedVersion, problems }) => appliedVersion === version && problems[0]?.reason === 'KEYSPACE_UNKNOWN');
    await stage.topology.putKeyspace({ name: 'later', shards: [stage.shard('new')] }, never);
    await stage.registration(running.gateway, ({ problems }) => problems.length === 0);
    expect(await readPlain()).toBe('new');
    await stage.topology.putKeyspace({ name: 'latest', shards: [stage.shard('new')] }, never);
    const read = async () => cell((await running.client.get({ table: 'latest.plain', key: id(1) })).row, 'place');
    expect(await waitUntil('the tables of the keyspace', { limitMs: 5_000 }, () => read().catch(() => undefined))).toBe('new');
  });

  test('a keyspace that comes later sends no table back whose store is slow to answer just then', async () => {
    await apply(await setTables({ ...moved('old'), plain: { primary: 'new', attempt: 0, writes: 'open', names: ['old.plain', 'new.plain'] } }));
    expect(await readPlain()).toBe('new');
    const { host, port } = stage.postgres;
    const holder = new pg.Client({ host, port, database: 'new', user: SHOP_LOGINS.owner.user, password: SHOP_LOGINS.owner.password });
    await holder.connect();
    try {
      await holder.query('BEGIN; LOCK TABLE switchyard.fence IN ACCESS EXCLUSIVE MODE');
      await stage.topology.putKeyspace({ ...stage.keyspace('new'), name: 'unrelated' }, never);
      const untilMs = performance.now() + 1_500;
      let known = false;
      while (performance.now() < untilMs) {
        expect(await readPlain()).toBe('new');
        known ||= await running.client.describeTable({ table: 'unrelated.plain' }).then(
          () => true,
          () => false,
        );
      }
      expect(known).toBe(true);
    } finally {
      await holder.end();
    }
  });

  test('malformed, stale and partly wrong documents are refused, named, and harmless', async () => {
    const { document, index } = await getRules(stage.consul);
    await putRules(stage.consul, JSON.stringify({ ...document, version: document.version + 1, tabels: {} }), index);
    const malformed = await stage.registration(running.gateway, ({ problems }) => problems.length > 0);
    expect(malformed).toMatchObject({ appliedVersion: document.version, problems: [{ reason: 'RULES_INVALID', table: null, message: expect.stringContaining('tabels') }] });
    expect(await readPlain()).toBe('old');

    await putRules(stage.consul, JSON.stringify({ ...document, version: document.version - 1, nonce: 'stale' }), (await indexOf()) ?? 0);
    const stale = await stage.registration(running.gateway, ({ problems }) => problems[0]?.reason === 'RULES_STALE');
    expect(stale).toMatchObject({ appliedVersion: document.version, problems: [{ version: document.version - 1, table: null }] });

    const plain = { primary: 'new' as const, attempt: 0, writes: 'open' as const, names: [] };
    await putRules(
      stage.consul,
      JSON.stringify({ ...document, version: document.version + 5, nonce: 'partly', tables: { ...document.tables, orders: rule('old', { primary: 'nowhere' }), plain } }),
      (await indexOf()) ?? 0,
    );
    const partly = await stage.registration(running.gateway, ({ appliedVersion }) => appliedVersion === document.version + 5);
    expect(partly.problems).toMatchObject([{ reason: 'KEYSPACE_UNKNOWN', table: 'orders', message: expect.stringContaining('nowhere') }]);
    expect(await readPlain()).toBe('new');
    await running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('still old') } } });
    expect(await countIn('old')).toBe(1);

    await stage.consul.kv('delete', 'switchyard/test/rules');
    await stage.registration(running.gateway, ({ problems }) => problems[0]?.reason === 'RULES_MISSING');
    expect(await readPlain()).toBe('new');
    await stage.consul.kv('put', 'switchyard/test/rules', JSON.stringify({ ...document, version: document.version + 6, nonce: 'back' }));
    expect((await stage.registration(running.gateway, ({ appliedVersion }) => appliedVersion === document.version + 6)).problems).toEqual([]);
  });

  test('a rule that the fence rows contradict is refused for its table, and a dropped one is kept', async () => {
    const version = await setTables({ ...moved('new'), plain: { primary: 'new', attempt: 0, writes: 'open', names: [] } });
    const refused = await stage.registration(running.gateway, ({ appliedVersion }) => appliedVersion === version);
    expect(refused.problems.map(({ reason, table }) => [reason, table]).sort()).toEqual([
      ['RULE_FENCED', 'lines'],
      ['RULE_FENCED', 'orders'],
    ]);
    await running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('old') } } });
    expect([await countIn('old'), await readPlain()]).toEqual([1, 'new']);

    await fence('old', 'CLOSED', attempt + 1);
    await fence('new', 'OPEN', attempt + 1);
    await stage.registration(running.gateway, ({ problems }) => problems.length === 0 || problems.every(({ reason }) => reason !== 'RULE_FENCED'));
    await running.client.insert({ table: 'orders', row: { cells: { ...id(2).cells, note: text('new') } } });
    expect(await countIn('new')).toBe(1);

    const dropped = await setTables({});
    const kept = await stage.registration(running.gateway, ({ appliedVersion }) => appliedVersion === dropped);
    expect(kept.problems.map(({ reason, table }) => [reason, table]).sort()).toEqual([
      ['RULE_FENCED', 'lines'],
      ['RULE_FENCED', 'orders'],
    ]);
    expect(cell((await running.client.get({ table: 'orders', key: id(2) })).row, 'note')).toBe('new');
  });

  test('starts with the last good rules while Consul is away, and goes on when it is back', async () => {
    const stateDir = `${stage.directory}/state`;
    const version = await setTables({ ...moved('old'), plain: { primary: 'new', attempt: 0, writes: 'open', names: [] } });
    const first = await stage.start({ stateDir, id: 'saving' });
    await stage.registration(first.gateway, ({ appliedVersion }) => appliedVersion === version);
    await first[Symbol.asyncDispose]();
    await stage.consul.pause();
    try {
      await using second = await stage.start({ stateDir, id: 'alone' });
      expect(second.gateway.appliedVersion).toBe(version);
      expect(cell((await second.client.get({ table: 'plain', key: id(1) })).row, 'place')).toBe('new');
      await using third = await stage.start({ id: 'unsaved' });
      await expect(third.client.get({ table: 'plain', key: id(1) })).rejects.toMatchObject({ reason: 'GATEWAY_NOT_READY' });
      stage.consul.resume();
      const next = await setTables(moved('old'));
      await stage.registration(second.gateway, ({ appliedVersion }) => appliedVersion === next);
      await stage.registration(third.gateway, ({ appliedVersion }) => appliedVersion === next);
      expect(cell((await second.client.get({ table: 'plain', key: id(1) })).row, 'place')).toBe('old');
    } finally {
      stage.consul.resume();
    }
  });

  test('starts with the last good rules while the document in Consul is malformed', async () => {
    const stateDir = `${stage.directory}/state-of-good-rules`;
    const version = await setTables({ ...moved('old'), plain: { primary: 'new', attempt: 0, writes: 'open', names: [] } });
    const first = await stage.start({ stateDir, id: 'saving-good-rules' });
    await stage.registration(first.gateway, ({ appliedVersion }) => appliedVersion === version);
    await first[Symbol.asyncDispose]();
    const good = await getRules(stage.consul);
    await putRules(stage.consul, '{ "version": 1e9', good.index);
    try {
      await using second = await stage.start({ stateDir, id: 'started-beside-bad-rules' });
      expect(second.gateway.appliedVersion).toBe(version);
      expect(cell((await second.client.get({ table: 'plain', key: id(1) })).row, 'place')).toBe('new');
      await stage.registration(second.gateway, ({ problems }) => problems.some(({ reason }) => reason === 'RULES_INVALID'));
    } finally {
      await putRules(stage.consul, JSON.stringify({ ...good.document, version: version + 1, nonce: 'good again' }), (await indexOf()) ?? 0);
    }
  });
});

describe('fences', () => {
  test('writes to a FROZEN table wait and are done when it opens again; reads go on', async () => {
    await running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('before') } } });
    await fence('old', 'FROZEN', attempt + 1);
    const since = performance.now();
    const writes = [2, 3, 4].map((each) => running.client.insert({ table: 'orders', row: { cells: { ...id(each).cells, note: text('held') } } }));
    const mutation = running.client.mutate({
      mutations: ['orders', 'lines'].map((table) => ({ kind: { case: 'insert' as const, value: { table, row: { cells: { ...id(5).cells, note: text('both') } } } } })),
    });
    for (let n = 0; n < 20; n += 1) expect(cell((await running.client.get({ table: 'orders', key: id(1) })).row, 'note')).toBe('before');
    await sleep(150);
    expect(await countIn('old')).toBe(1);
    await fence('old', 'OPEN', attempt + 1);
    await Promise.all([...writes, mutation]);
    expect(performance.now() - since).toBeGreaterThan(150);
    expect([await countIn('old'), await countIn('old', 'lines')]).toEqual([5, 1]);
  });

  test('a switch without any word from the rules: reads never fail, held writes go to the peer', async () => {
    await running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('one') } } });
    await fence('old', 'FROZEN', attempt + 1);
    const held = [2, 3].map((each) => running.client.insert({ table: 'orders', row: { cells: { ...id(each).cells, note: text('held') } } }));
    let reading = true;
    const reads = (async () => {
      let count = 0;
      for (; reading; count += 1) expect(cell((await running.client.get({ table: 'orders', key: id(1) })).row, 'note')).toBe('one');
      return count;
    })();
    await stage.sql(
      'new',
      `SET session_replication_role = origin; ALTER TABLE orders DISABLE TRIGGER ALL; INSERT INTO orders VALUES (1, 'one'); ALTER TABLE orders ENABLE ALWAYS TRIGGER switchyard_fence_write`,
    );
    await fence('old', 'SEALED', attempt + 1);
    await fence('new', 'READABLE', attempt);
    await fence('old', 'CLOSED', attempt + 1);
    await fence('new', 'OPEN', attempt + 1);
    await Promise.all(held);
    reading = false;
    expect(await reads).toBeGreaterThan(5);
    expect([await countIn('old'), await countIn('new')]).toEqual([1, 3]);
    const late = await stage.registration(running.gateway, ({ problems }) => problems.length === 2);
    expect(late.problems.every(({ reason, message }) => reason === 'RULE_FENCED' && message.includes('"new"'))).toBe(true);
    const version = await setTables(moved('new', { attempt: attempt + 1 }));
    expect((await stage.registration(running.gateway, ({ appliedVersion, problems }) => appliedVersion === version && problems.length === 0)).problems).toEqual([]);
  });

  test('a write whose deadline is shorter than the hold fails as not applied and is never sent', async () => {
    await fence('old', 'FROZEN', attempt + 1);
    const insert = (each: number, deadlineMs: number) => running.client.insert({ table: 'orders', row: { cells: { ...id(each).cells, note: text('late') } } }, { deadlineMs });
    const held = insert(1, 5_000);
    await expect(insert(2, 200)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await fence('old', 'OPEN', attempt + 1);
    await held;
    await sleep(50);
    expect(await stage.sql('old', 'SELECT id FROM orders')).toBe('1\n');
  });

  test('a rule holds writes at once, keeps their order per key, and expires by itself', async () => {
    await running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('0') } } });
    const since = performance.now();
    await apply(await setTables(moved('old', { writes: 'held', hold: { holdMs: 1_000, attempt: attempt + 1 } })));
    const order: number[] = [];
    const add = async (n: number): Promise<void> => {
      await running.client.update({ table: n % 2 === 0 ? 'orders' : 'old.orders', key: id(1), row: { cells: { note: text(`${n}`) } } });
      order.push(n);
    };
    const writes: Promise<void>[] = [];
    for (let n = 1; n <= 20; n += 1) {
      writes.push(add(n));
      await sleep(2);
    }
    const reads = await running.client.get({ table: 'orders', key: id(1) });
    expect([cell(reads.row, 'note'), order]).toEqual(['0', []]);
    await Promise.all(writes);
    expect(performance.now() - since).toBeGreaterThan(1_000);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(cell((await running.client.get({ table: 'orders', key: id(1) })).row, 'note')).toBe('20');
  });

  test('a hold ends with the rows, whatever the rules say', async () => {
    await apply(await setTables(moved('old', { writes: 'held', hold: { holdMs: 1_000, attempt: attempt + 1 } })));
    const write = running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('x') } } });
    await fence('old', 'CLOSED', attempt + 1);
    await fence('new', 'OPEN', attempt + 1);
    const since = performance.now();
    await write;
    expect(performance.now() - since).toBeLessThan(400);
    expect([await countIn('old'), await countIn('new')]).toEqual([0, 1]);
  });

  test('an OPEN row of a lower attempt is never followed', async () => {
    await fence('old', 'CLOSED', attempt + 2);
    await fence('new', 'OPEN', attempt + 2);
    await running.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('new') } } });
    await stage.sql(
      'old',
      `UPDATE switchyard.fence SET state = 'OPEN', attempt = ${attempt + 1}; ALTER TABLE orders DISABLE TRIGGER switchyard_fence_write; GRANT ALL ON orders TO shop_gateway`,
    );
    await fence('new', 'FROZEN', attempt + 3);
    await expect(running.client.insert({ table: 'orders', row: { cells: { ...id(2).cells, note: text('nowhere') } } }, { deadlineMs: 300 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(await countIn('old')).toBe(0);
    await fence('new', 'OPEN', attempt + 3);
    await running.client.insert({ table: 'orders', row: { cells: { ...id(2).cells, note: text('new') } } });
    expect(await countIn('new')).toBe(2);
  });

  test('a page token stays valid across a switch', async () => {
    for (let n = 1; n <= 4; n += 1) await running.client.insert({ table: 'orders', row: { cells: { ...id(n).cells, note: text('x'), total: int(n) } } });
    const query = {
      table: 'orders',
      filter: { kind: { case: 'compare' as const, value: { column: 'total', operator: Comparison_Operator.GREATER, value: int(0) } } },
      pageSize: 2,
    };
    const first = await running.client.query(query);
    await stage.sql('new', `ALTER TABLE orders DISABLE TRIGGER ALL; INSERT INTO orders SELECT n, 'x', n FROM generate_series(1, 4) n`);
    await fence('old', 'CLOSED', attempt + 1);
    await fence('new', 'OPEN', attempt + 1);
    const second = await running.client.query({ ...query, pageToken: first.nextPageToken });
    expect([...first.rows, ...second.rows].map((row) => cell(row, 'id'))).toEqual([1n, 2n, 3n, 4n]);
  });
});

test('a gateway that leaves finishes its calls and takes its registration with it', async () => {
  const leaving = await stage.start({ id: 'leaving' });
  await stage.registration(leaving.gateway, ({ appliedVersion }) => appliedVersion > 0);
  const locker = new pg.Client({ connectionString: stage.postgres.url('old', SHOP_LOGINS.owner) });
  await locker.connect();
  await locker.query('BEGIN; LOCK TABLE orders');
  const call = leaving.client.insert({ table: 'orders', row: { cells: { ...id(1).cells, note: text('last') } } });
  const waiting = `SELECT 1 FROM pg_stat_activity WHERE usename = '${SHOP_LOGINS.gateway.user}' AND wait_event_type = 'Lock'`;
  await waitUntil('the insert to wait in the store', { limitMs: 10_000 }, async () => {
    // A transaction goes on seeing the activity of its first look.
    await locker.query('SELECT pg_stat_clear_snapshot()');
    return (await locker.query(waiting)).rowCount === 1 ? true : undefined;
  });
  const left = leaving.gateway[Symbol.asyncDispose]();
  await locker.query('COMMIT');
  await Promise.all([call, left]);
  await locker.end();
  expect((await stage.topology.registrations(never)).map(({ id: each }) => each)).not.toContain('leaving');
  leaving.client[Symbol.dispose]();
});

async function indexOf(): Promise<number | null> {
  const answer = await stage.consul.kv('get', '-detailed', 'switchyard/test/rules');
  return Number(/^ModifyIndex\s+(\d+)$/m.exec(answer)?.[1] ?? Number.NaN);
}

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Logger, pino } from 'pino';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import { logName } from '../../backends/postgres/log-names.ts';
import { backends } from '../../backends/registry.ts';
import { ControlMetrics } from '../../control/metrics.ts';
import { checkKeyspace } from '../../control/services/check-keyspace.ts';
import { Stores } from '../../control/stores.ts';
import { TopologyView } from '../../control/topology-view.ts';
import { Upkeep } from '../../control/upkeep/upkeep.ts';
import { type Shard, serverShard } from '../../core/keyspace.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { openConsulTopology } from '../../topo/consul-topology.ts';
import type { Topology } from '../../topo/topology.ts';
import { FreezableProxy } from '../support/cluster/freezable-proxy.ts';
import { type ConsulServer, startConsul } from '../support/servers/consul.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* What control does for every keyspace by itself, over one PostgreSQL server (a relay that can be frozen before each keyspace's database), a file and Consul: their stores are prepared, old request ids removed, and logs measured and dropped that keep too much. */

const never = new AbortController().signal;
const limits = { limitMs: 40_000, everyMs: 20 };
const mebibyte = 2 ** 20;
const logLimits = { alarmBytes: 4 * mebibyte, dropBytes: 16 * mebibyte };
const metrics = new ControlMetrics(createMetrics());
const said: { readonly level: number; readonly keyspace?: string; readonly reason?: string; readonly log?: string; readonly msg: string }[] = [];
const ending = new AbortController();

let consul: ConsulServer;
let postgres: PostgresServer;
let topology: Topology;
let proxies: Readonly<Record<'old' | 'new', FreezableProxy>>;
let folder: string;
let upkeep: Upkeep;
let stores: Stores;
let running: Promise<unknown>;

beforeAll(async () => {
  [consul, postgres] = await Promise.all([startConsul(), startPostgres({ name: 'upkeep' })]);
  await createShop(postgres, { tables: false, database: 'old' });
  // The owner may not make a schema here before the grant script has run.
  await postgres.createDatabase('new');
  await postgres.createDatabase('other', SHOP_LOGINS.owner.user);
  proxies = { old: await FreezableProxy.start(postgres), new: await FreezableProxy.start(postgres) };
  folder = await mkdtemp(join(tmpdir(), 'switchyard-upkeep-'));
  topology = openConsulTopology({ address: consul.address, cluster: 'test', clock: systemClock, newNonce: randomUUID });
  const log: Logger = pino({ level: 'info' }, { write: (line) => void said.push(JSON.parse(line)) });
  const env = { OWNER: SHOP_LOGINS.owner.password, PLAYER: SHOP_LOGINS.player.password };
  stores = new Stores({ topology, controlId: 'control-1', clock: systemClock, backends, env, log, poolSize: 2, acquireTimeoutMs: 5_000 });
  const view = new TopologyView(topology, systemClock, log);
  upkeep = new Upkeep({ stores, view, metrics, clock: systemClock, log, keptHours: 24, watchedHours: 24, logLimits, everyMs: 100, callLimitMs: 5_000 });
  running = Promise.all([view.run(ending.signal), upkeep.run(ending.signal)]);
}, 120_000);

afterAll(async () => {
  ending.abort();
  await running;
  await topology[Symbol.asyncDispose]();
  await Promise.all(Object.values(proxies).map((proxy) => proxy[Symbol.asyncDispose]()));
  await Promise.all([consul[Symbol.asyncDispose](), postgres[Symbol.asyncDispose](), rm(folder, { recursive: true, force: true })]);
});

function shard(name: 'old' | 'new', database: string = name): Shard {
  const login = (identity: keyof typeof SHOP_LOGINS) => ({ user: SHOP_LOGINS[identity].user, password: `env:${identity.toUpperCase()}` });
  return { kind: 'postgres', host: '127.0.0.1', port: proxies[name].port, database, gateway: login('gateway'), player: login('player'), owner: login('owner') };
}
const apply = (name: string, of: Shard): Promise<void> => topology.putKeyspace({ name, shards: [of] }, never);

async function untilPrepared(database: string): Promise<void> {
  const look = async (): Promise<true | undefined> => ((await postgres.psql(database, "SELECT to_regclass('switchyard.request');")) === 'switchyard.request\n' ? true : undefined);
  await waitUntil(`${database} prepared`, { ...limits, explain: () => JSON.stringify(said) }, look);
}
/** Records of so many requests, as old as that. */
const record = (database: string, count: number, hours: number): Promise<string> =>
  postgres.psql(
    database,
    `INSERT INTO switchyard.request SELECT '', '${hours} h ' || n, 't', 'd', '', (extract(epoch FROM now() - interval '${hours} hours') * 1000000)::bigint FROM generate_series(1, ${count}) n;`,
  );
const count = async (database: string): Promise<number> => Number(await postgres.psql(database, 'SELECT count(*) FROM switchyard.request;'));
const untilCount = (database: string, wished: number): Promise<true> =>
  waitUntil(`${wished} records in ${database}`, limits, async () => ((await count(database)) === wished ? true : undefined));
const gauge = async (keyspace: string): Promise<number | undefined> => (await metrics.keyspaceUnprepared.get()).values.find(({ labels }) => labels.keyspace === keyspace)?.value;
const warnings = (keyspace: string, reason: string): readonly string[] =>
  said.filter((line) => line.level >= 40 && line.keyspace === keyspace && line.reason === reason).map(({ msg }) => msg);

test('a store is prepared as soon as its keyspace is known; one that refuses is said once, with the fix, and prepared when it lets us', async () => {
  await apply('new', shard('new'));
  await apply('old', shard('old'));
  await untilPrepared('old');
  await waitUntil('new refusing', limits, async () => (upkeep.problem('new')?.startsWith('STORE_DENIED') ? true : undefined));
  await waitUntil('old to be known as prepared', limits, async () => ((await gauge('old')) === 0 ? true : undefined));
  expect(upkeep.problem('old')).toBeNull();
  expect(upkeep.problem('new')).toMatch(/permission denied/);
  expect(await gauge('new')).toBe(1);

  await postgres.psql('new', postgresBackend.grantScript(shard('new'), []));
  await untilPrepared('new');
  await waitUntil('new to be known as prepared', limits, async () => ((await gauge('new')) === 0 ? true : undefined));
  expect(upkeep.problem('new')).toBeNull();
  expect(warnings('new', 'STORE_DENIED')).toEqual([expect.stringMatching(/refuses writes with a request id.*switchyard keyspace grants new/)]);
});

test('records are removed when their time is over, however many, and not before', async () => {
  await record('old', 2_500, 25);
  await record('old', 3, 23);
  await untilCount('old', 3);
  await waitUntil('all of them counted', limits, async () => ((await metrics.requestIdsRemoved.get()).values[0]?.value === 2_500 ? true : undefined));
});

const grow = (mebibytes: number): Promise<string> =>
  postgres.psql('old', `SELECT pg_logical_emit_message(false, 'test', repeat('x', ${mebibyte})) FROM generate_series(1, ${mebibytes});`);
const kept = async (): Promise<readonly { readonly log: string; readonly bytes: number }[]> =>
  (await metrics.logKept.get()).values.map(({ labels, value }) => ({ log: String(labels.log), bytes: value }));

test('a log that nobody reads is shown, said once when it has become large, and dropped before it fills the disk; slots of others stay', async () => {
  // Of a workflow that nobody knows any more, and one that is somebody else's.
  const stream = 'gone.forward';
  const name = logName({ id: stream }, serverShard(shard('old')));
  await postgres.psql('old', `INSERT INTO switchyard.log VALUES ('${stream}', 0);`);
  for (const slot of [name, 'theirs']) await postgres.psql('old', `SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput');`);
  await waitUntil('the log shown', limits, async () => ((await kept())[0]?.log === name ? true : undefined));
  expect(upkeep.logAlarm('old', stream)).toBeNull();

  await grow(5);
  const alarm = await waitUntil('an alarm', limits, async () => upkeep.logAlarm('old', stream) ?? undefined);
  expect(alarm).toMatch(
    /^log "switchyard_gone_forward_\w+" of stream "gone\.forward" keeps \d+ MiB of the store's history, and nobody reads it now: when it keeps 16 MiB it is dropped/,
  );
  expect((await kept())[0]?.bytes).toBeGreaterThan(4 * mebibyte);
  const [found, ...more] = await checkKeyspace({ name: 'old', shards: [shard('old')] }, { stores, clock: systemClock, logLimits }, never);
  expect([found?.message.slice(0, 30), more]).toEqual([alarm.slice(0, 30), []]);
  expect(found?.fix).toMatch(/^switchyard movetables status gone says .*as the owner of the store: SELECT pg_drop_replication_slot\('switchyard_gone_forward_\w+'\)$/);
  await grow(1);
  await waitUntil('another look', limits, async () => (((await kept())[0]?.bytes ?? 0) > 6 * mebibyte ? true : undefined));

  await grow(12);
  await waitUntil('the log gone', limits, async () => ((await kept()).length === 0 ? true : undefined));
  expect(await postgres.psql('old', "SELECT string_agg(slot_name, ' ') FROM pg_replication_slots;")).toBe('theirs\n');
  expect((await metrics.logsDropped.get()).values).toEqual([{ labels: { keyspace: 'old' }, value: 1 }]);
  expect(upkeep.logAlarm('old', stream)).toBeNull();
  const ofLog = said.filter((line) => line.log === name);
  expect(ofLog.map(({ level }) => level)).toEqual([40, 50]);
  expect(ofLog[1]?.msg).toMatch(/^the log was dropped because it kept \d+ MiB .*FAILED.*no way back any more/);
  await postgres.psql('old', "SELECT pg_drop_replication_slot('theirs');");
});

test('a store that hangs keeps no other waiting, and is served again when it answers', async () => {
  proxies.old.freeze();
  await record('old', 5, 26);
  await record('new', 5, 26);
  await untilCount('new', 0);
  await waitUntil('a call of old given up', limits, async () => (warnings('old', 'STORE_UNAVAILABLE').length > 0 ? true : undefined));
  expect(await count('old')).toBe(8);
  proxies.old.thaw();
  await untilCount('old', 3);
  expect(warnings('old', 'STORE_UNAVAILABLE').at(-1)).toMatch(/^old request ids are not removed, or logs not watched, just now/);
});

test('a keyspace that gets another store has that one prepared', async () => {
  await apply('new', shard('new', 'other'));
  await untilPrepared('other');
});

test('a file that is not there is not made; one that somebody makes is prepared', async () => {
  const path = join(folder, 'shop.db');
  await apply('file', { kind: 'sqlite', path });
  await waitUntil('a try', limits, async () => (upkeep.problem('file') === null ? undefined : true));
  expect(upkeep.problem('file')).toMatch(/^STORE_UNAVAILABLE/);
  expect(existsSync(path)).toBe(false);
  using database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL');
  await waitUntil('the file prepared', limits, async () => (upkeep.problem('file') === null ? true : undefined));
  expect(database.prepare("SELECT name FROM sqlite_schema WHERE name = 'switchyard_request'").all()).toHaveLength(1);
});

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { sourcesForRelease } from './apt.ts';
import { startConsul } from './consul.ts';
import { findConsul } from './debian.ts';
import { findFreePorts, isPortFree } from './free-port.ts';
import { startPostgres } from './postgres.ts';
import { createShop, SHOP_LOGINS } from './shop.ts';
import { waitUntil } from './wait-until.ts';

const LIMIT = { limitMs: 15_000 };
const FIRST_TIME_MS = 300_000; // what is missing on the machine is downloaded

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function untilGone(pids: readonly number[], paths: readonly string[]): Promise<void> {
  const left = () => [...pids.filter(isAlive), ...paths.filter(existsSync)];
  await waitUntil('the end of everything', { ...LIMIT, explain: () => `left: ${left().join(', ')}` }, async () => (left().length === 0 ? true : undefined));
}

/** Collects what a child writes until it has written what is waited for. */
async function outputOf(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => (output += data.toString()));
  return waitUntil(`${pattern} in a child's output`, { limitMs: 60_000, explain: () => output }, async () => pattern.exec(output) ?? undefined);
}

const moduleUrl = (name: string) => new URL(name, import.meta.url).href;

test(
  'PostgreSQL keeps its data and port over a stop and a crash, and leaves nothing',
  async () => {
    const server = await startPostgres({ name: 'test', settings: { work_mem: '5MB' } });
    expect(await server.psql('postgres', 'SHOW wal_level; SHOW work_mem;')).toBe('logical\n5MB\n');
    await server.psql('postgres', 'CREATE TABLE kept (id int);');
    for (const mode of ['fast', 'immediate'] as const) {
      await server.psql('postgres', 'INSERT INTO kept VALUES (1), (2);');
      await server.stop(mode);
      expect(server.isRunning).toBe(false);
      await expect(server.psql('postgres', 'SELECT 1;')).rejects.toThrow(/psql ended with code 2/);
      await server.start();
    }
    expect(await server.psql('postgres', 'SELECT count(*) FROM kept;')).toBe('4\n');
    await expect(server.psql('postgres', 'SELECT 1; SELECT nothing; SELECT 2;')).rejects.toThrow(/column "nothing" does not exist/);
    await expect(server.psql('postgres', 'SELECT 1;', { login: { user: 'postgres', password: 'wrong' } })).rejects.toThrow(/authentication failed/);

    const { directory, port, pid = 0 } = server;
    await server[Symbol.asyncDispose]();
    await untilGone([pid], [directory]);
    expect(await isPortFree(port)).toBe(true);
    await server[Symbol.asyncDispose]();
  },
  FIRST_TIME_MS,
);

test('PostgreSQL that cannot start says why', async () => {
  await expect(startPostgres({ settings: { no_such_setting: 'x' } })).rejects.toThrow(/unrecognized configuration parameter "no_such_setting"/);
  await using first = await startPostgres();
  await expect(startPostgres({ port: first.port })).rejects.toThrow(/could not bind/);
});

test('a shop has three roles, of which only the owner may touch its tables', async () => {
  await using server = await startPostgres();
  const shop = await createShop(server, { tables: true });
  await createShop(server, { tables: false, database: 'empty' });
  const as = (role: keyof typeof SHOP_LOGINS, sql: string) => server.psql(shop.database, sql, { login: SHOP_LOGINS[role] });
  expect(await as('owner', 'SELECT count(*) FROM pgbench_accounts;')).toBe('100000\n');
  expect(await as('owner', "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE tablename LIKE 'pgbench%';")).toBe('shop_owner\n');
  expect(await as('owner', "SELECT column_name FROM information_schema.columns WHERE table_name = 'pgbench_history' AND column_name IN ('hid', 'op_id');")).toBe('hid\nop_id\n');
  await expect(as('gateway', 'SELECT count(*) FROM pgbench_accounts;')).rejects.toThrow(/permission denied/);
  await expect(as('player', 'SELECT count(*) FROM pgbench_accounts;')).rejects.toThrow(/permission denied/);
  expect(await as('player', "SELECT slot_name FROM pg_create_logical_replication_slot('probe', 'pgoutput'); SELECT pg_drop_replication_slot('probe');")).toBe('probe\n\n');
  await server.pgbench(shop.database, ['--transactions=5', '--no-vacuum'], { login: SHOP_LOGINS.owner });
  expect(await server.psql('empty', "SELECT count(*) FROM pg_tables WHERE schemaname = 'public';")).toBe('0\n');
  expect(shop.urls.gateway).toBe(`postgres://shop_gateway:gateway-demo@127.0.0.1:${server.port}/shop`);
});

test(
  'Consul serves keys, can be frozen, and leaves nothing',
  async () => {
    const consul = await startConsul();
    await consul.kv('put', 'a/b', 'first');
    expect(await consul.kv('get', 'a/b')).toBe('first\n');
    await expect(consul.kv('put', '-cas', '-modify-index=1', 'a/b', 'second')).rejects.toThrow(/CAS/);

    const read = (limitMs: number) => fetch(`${consul.address}/v1/kv/a/b?raw`, { signal: AbortSignal.timeout(limitMs) }).then((response) => response.text());
    await consul.pause();
    await expect(read(300)).rejects.toThrow(/timeout/);
    consul.resume();
    expect(await read(5_000)).toBe('first');

    await consul.pause();
    await consul.restart();
    await expect(consul.kv('get', 'a/b')).rejects.toThrow(/No key exists/);
    const { directory, pid = 0 } = consul;
    await consul[Symbol.asyncDispose]();
    await untilGone([pid], [directory]);
  },
  FIRST_TIME_MS,
);

test('a persistent Consul keeps its keys over a restart', async () => {
  await using consul = await startConsul({ persistent: true });
  await consul.kv('put', 'kept', 'yes');
  await consul.restart();
  expect(await consul.kv('get', 'kept')).toBe('yes\n');
});

test('a killed starter leaves nothing', async () => {
  const program = `
    import { startPostgres } from ${JSON.stringify(moduleUrl('./postgres.ts'))};
    import { startConsul } from ${JSON.stringify(moduleUrl('./consul.ts'))};
    const servers = await Promise.all([startPostgres(), startConsul(), startConsul()]);
    await servers[1].pause();
    console.log('started ' + JSON.stringify(servers.map(({ pid, directory }) => ({ pid, directory }))) + ';');
    setInterval(() => {}, 1000);`;
  const starter = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [, text = ''] = await outputOf(starter, /started (.*);/);
  const servers = JSON.parse(text) as readonly { pid: number; directory: string }[];
  expect(servers.map(({ pid }) => isAlive(pid))).toEqual([true, true, true]);
  starter.kill('SIGKILL');
  await untilGone(
    servers.map(({ pid }) => pid),
    servers.map(({ directory }) => directory),
  );
});

test('a killed supervisor takes its server with it', async () => {
  if (!spawnSync('setpriv', ['--help'], { encoding: 'utf8' }).stdout?.includes('--pdeathsig')) return; // only Linux can do that
  const server = await startPostgres();
  const { directory, pid = 0 } = server;
  const supervisor = Number(spawnSync('ps', ['-o', 'ppid=', '-p', `${pid}`], { encoding: 'utf8' }).stdout);
  expect(supervisor).toBeGreaterThan(1);
  process.kill(supervisor, 'SIGKILL');
  await untilGone([supervisor, pid], []);
  await waitUntil('the news of it', LIMIT, async () => (server.isRunning ? undefined : true));
  await server[Symbol.asyncDispose]();
  expect(existsSync(directory)).toBe(false);
});

test('the sandbox says what it started and ends with Ctrl-C', async () => {
  const ports = await findFreePorts(3);
  const [oldPort, newPort, consulPort] = ports;
  const logs = mkdtempSync(join(tmpdir(), 'switchyard-logs-'));
  const args = ['up', `--old-port=${oldPort}`, `--new-port=${newPort}`, `--consul-port=${consulPort}`, `--dir=${logs}`];
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const sandbox = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await outputOf(sandbox, /SHOP_OWNER_PASSWORD=owner-demo[\s\S]*Ctrl-C/);
    expect(await Promise.all(ports.map(isPortFree))).toEqual([false, false, false]);
    const second = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    await outputOf(second, /port \d+ on 127\.0\.0\.1 is taken: choose another with --old-port/);
    sandbox.kill('SIGINT');
    await outputOf(sandbox, /nothing is left/);
    await waitUntil('the end of the sandbox', LIMIT, async () => (sandbox.exitCode === null ? undefined : true));
    expect(sandbox.exitCode).toBe(0);
    expect(await Promise.all(ports.map(isPortFree))).toEqual([true, true, true]);
    expect(['old.log', 'new.log', 'consul.log'].map((name) => existsSync(join(logs, name)))).toEqual([true, true, true]);
  } finally {
    sandbox.kill('SIGKILL');
    rmSync(logs, { recursive: true });
  }
});

test('a machine without Consul and without Debian is told what to do in one line', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'switchyard-empty-'));
  try {
    const search = findConsul({ path: empty, cacheFolder: join(empty, 'cache'), aptFolder: join(empty, 'apt') });
    await expect(search).rejects.toThrow(/^Consul is needed and was not found: put a `consul` binary [^\n]*$/);
  } finally {
    rmSync(empty, { recursive: true });
  }
});

test("another release's sources are the machine's with the suite replaced", async () => {
  const apt = mkdtempSync(join(tmpdir(), 'switchyard-apt-'));
  try {
    mkdirSync(join(apt, 'sources.list.d'));
    const list =
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian bookworm main contrib\n# deb http://off.invalid bookworm main\ndeb http://mirror.invalid/debian bookworm-updates main\n';
    const deb822 = `# ours
Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /k.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid
Suites: bookworm
Components: main
`;
    writeFileSync(join(apt, 'sources.list'), list);
    writeFileSync(join(apt, 'sources.list.d', 'debian.sources'), deb822);
    expect(await sourcesForRelease('bullseye', apt)).toEqual({
      list: 'deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian bullseye main\n',
      deb822: 'Types: deb\nURIs: http://mirror.invalid/debian\nSuites: bullseye\nComponents: main\nSigned-By: /k.gpg\n',
    });
  } finally {
    rmSync(apt, { recursive: true });
  }
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { type PostgresServer, startPostgres } from '../../support/servers/postgres.ts';
import { type CommitCut, StoreRelay } from './store-relay.ts';

const database = 'postgres';
const gateway = { user: 'gateway', password: 'secret' };
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ name: 'relay' });
  await server.psql(database, `CREATE ROLE gateway LOGIN PASSWORD '${gateway.password}'; CREATE TABLE written (id int); GRANT ALL ON written TO gateway;`);
});
afterAll(() => server[Symbol.asyncDispose]());

interface Stage extends AsyncDisposable {
  readonly relay: StoreRelay;
  /** Put here, the next commit is cut so. */
  next: CommitCut | null;
  readonly told: (readonly [how: CommitCut['how'], committed: boolean])[];
  connect(login: { readonly user: string; readonly password: string }): Promise<pg.Client>;
}

async function stage(): Promise<Stage> {
  const take = (): CommitCut | null => {
    const cut = made.next;
    made.next = null;
    return cut;
  };
  const { host, port } = server;
  const relay = await StoreRelay.open({ host, port, user: gateway.user, commitCut: take, onCommitCut: ({ how }, committed) => made.told.push([how, committed]) });
  const clients: pg.Client[] = [];
  const made: Stage = {
    relay,
    next: null,
    told: [],
    connect: async (login) => {
      const client = new pg.Client({ host: '127.0.0.1', port: relay.port, database, ...login });
      client.on('error', () => {});
      clients.push(client);
      await client.connect();
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      await relay[Symbol.asyncDispose]();
      for (const client of clients) client.connection.stream.destroy();
    },
  };
  return made;
}

const written = async (id: number): Promise<boolean> => (await server.psql(database, `SELECT count(*) FROM written WHERE id = ${id};`)).trim() === '1';

test.each([
  [{ how: 'lost' } as const, false],
  [{ how: 'unanswered' } as const, true],
  [{ how: 'late', afterMs: 50 } as const, true],
])('a write that commits by itself is cut: %j', async (cut, committed) => {
  await using it = await stage();
  const client = await it.connect(gateway);
  it.next = cut;
  const id = Math.floor(Math.random() * 1e9);
  await expect(client.query('INSERT INTO written VALUES ($1)', [id])).rejects.not.toBeInstanceOf(pg.DatabaseError);
  // The client is told before the server has the commit.
  if (cut.how === 'late') expect(it.told).toEqual([]);
  await it.relay.settled();
  expect(it.told).toEqual([[cut.how, committed]]);
  expect(await written(id)).toBe(committed);
});

test('a transaction is cut in its COMMIT and nowhere else', async () => {
  await using it = await stage();
  const client = await it.connect(gateway);
  it.next = { how: 'unanswered' };
  await client.query('BEGIN');
  await client.query('INSERT INTO written VALUES ($1)', [1]);
  await client.query('SELECT 1');
  expect(it.next).not.toBeNull();
  await expect(client.query('COMMIT')).rejects.not.toBeInstanceOf(pg.DatabaseError);
  await it.relay.settled();
  expect(it.told).toEqual([['unanswered', true]]);
  expect(await written(1)).toBe(true);
});

test('a commit that the server refuses does not count as done', async () => {
  await using it = await stage();
  const client = await it.connect(gateway);
  it.next = { how: 'unanswered' };
  await expect(client.query('INSERT INTO written VALUES ($1 / 0)', [1])).rejects.not.toBeInstanceOf(pg.DatabaseError);
  await it.relay.settled();
  expect(it.told).toEqual([['unanswered', false]]);
});

test('other logins, and what is large, pass whole', async () => {
  await using it = await stage();
  const client = await it.connect(server.superuser);
  it.next = { how: 'lost' };
  await client.query('INSERT INTO written VALUES (2)');
  expect(it.next).not.toBeNull();
  expect(it.relay.connections).toEqual([]);
  const { rows } = await client.query<{ length: number }>('SELECT length($1::text || repeat($2, 3000000)) AS length', ['x'.repeat(3_000_000), 'y']);
  expect(rows).toEqual([{ length: 6_000_000 }]);
});

test('a connection that can be cut is known while something is under way on it, and can be reset', async () => {
  await using it = await stage();
  const client = await it.connect(gateway);
  expect(it.relay.connections.map(({ waiting }) => waiting)).toEqual([false]);
  const sleeping = client.query('SELECT pg_sleep(30)');
  const refused = expect(sleeping).rejects.not.toBeInstanceOf(pg.DatabaseError);
  await server.psql(database, 'SELECT 1;');
  const [connection] = it.relay.connections;
  expect(connection?.waiting).toBe(true);
  connection?.reset();
  await refused;
});

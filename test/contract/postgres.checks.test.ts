import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Problem, StoreOptions } from '../../backends/backend.ts';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import type { Identity, ServerShard } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';

/* What an operator who got something wrong is told by a PostgreSQL store: every fault is planted, must be found alone, and must be gone once the printed fix was run. */

const never = new AbortController().signal;
const database = 'shop';

let server: PostgresServer;

const shard = (): ServerShard => {
  const by = (identity: Identity) => ({ user: SHOP_LOGINS[identity].user, password: `env:${identity.toUpperCase()}_SECRET` });
  return { kind: 'postgres', host: server.host, port: server.port, database, gateway: by('gateway'), player: by('player'), owner: by('owner') };
};
const options = (identity: Identity, more: Partial<StoreOptions> = {}): StoreOptions => ({
  keyspace: 'new',
  openedBy: 'control process "c1"',
  shard: shard(),
  password: SHOP_LOGINS[identity].password,
  poolSize: 2,
  acquireTimeoutMs: 5_000,
  applicationName: 'checks',
  clock: systemClock,
  onBackgroundError: () => {},
  ...more,
});
const admin = (sql: string): Promise<string> => server.psql(database, sql);
const runGrants = (): Promise<string> => admin(postgresBackend.grantScript(shard(), []));

async function storeProblems(): Promise<readonly Problem[]> {
  await using owner = postgresBackend.openOwner(options('owner'));
  return await owner.checkStore(never);
}
async function tableProblems(): Promise<readonly Problem[]> {
  await using owner = postgresBackend.openOwner(options('owner'));
  return await owner.checkTables(['item'], 'source', never);
}
const text = (problems: readonly Problem[]): readonly string[] => problems.map(({ message, fix }) => `${message} -> ${fix}`);

beforeAll(async () => {
  server = await startPostgres({ name: 'checks' });
  await createShop(server, { tables: false, database });
  await server.psql(database, 'CREATE TABLE item (id bigint PRIMARY KEY, name text)', { login: SHOP_LOGINS.owner });
  await runGrants();
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

describe('a login that is refused', () => {
  const checks: Readonly<Record<Identity, (password: string) => Promise<void>>> = {
    gateway: async (password) => {
      await using store = postgresBackend.openData(options('gateway', { password }));
      await store.checkLogin(never);
    },
    player: async (password) => {
      await using store = postgresBackend.openReplication(options('player', { password }));
      await store.checkLogin(never);
    },
    owner: async (password) => {
      await using store = postgresBackend.openOwner(options('owner', { password }));
      await store.checkStore(never);
    },
  };
  const failure = async (act: Promise<unknown>): Promise<SwitchyardError> => {
    const error = await act.then(
      () => null,
      (reason: unknown) => reason,
    );
    if (error instanceof SwitchyardError) return error;
    throw new Error(`no failure of ours: ${String(error)}`);
  };

  test.each(['gateway', 'player', 'owner'] as const)('of the %s says which, where, and where its password comes from; the secret is nowhere', async (identity) => {
    await checks[identity](SHOP_LOGINS[identity].password);
    const error = await failure(checks[identity]('wrong-secret'));
    const { user } = SHOP_LOGINS[identity];
    expect(error).toMatchObject({ reason: 'STORE_LOGIN_REFUSED', metadata: { keyspace: 'new', identity, login: user } });
    expect(error.what).toBe(
      `127.0.0.1:${server.port}/shop, the store of keyspace "new", refuses the login of ${identity} "${user}": password authentication failed for user "${user}"`,
    );
    expect(error.fix).toBe(
      `control process "c1" has its password from env:${identity.toUpperCase()}_SECRET: correct it there and restart the process, or give the store that password: ALTER ROLE "${user}" PASSWORD …`,
    );
    expect(error.message).toBe(`${error.what} (${error.fix})`);
    expect(JSON.stringify([error.message, error.metadata])).not.toContain('wrong-secret');
  });

  test('is found although other connections are open', async () => {
    await using store = postgresBackend.openData(options('gateway'));
    expect(await store.listTables(never)).toEqual(['item']);
    await admin(`ALTER ROLE shop_gateway PASSWORD 'another'`);
    try {
      expect(await store.listTables(never)).toEqual(['item']);
      expect(await failure(store.checkLogin(never))).toMatchObject({ reason: 'STORE_LOGIN_REFUSED' });
    } finally {
      await admin(`ALTER ROLE shop_gateway PASSWORD '${SHOP_LOGINS.gateway.password}'`);
    }
    await store.checkLogin(never);
  });

  test('for another cause than its password has another fix', async () => {
    await admin('ALTER ROLE shop_player NOLOGIN');
    try {
      expect(await failure(checks.player(SHOP_LOGINS.player.password))).toMatchObject({ reason: 'STORE_LOGIN_REFUSED', fix: expect.stringMatching(/^let "shop_player" log in/) });
    } finally {
      await admin('ALTER ROLE shop_player LOGIN');
    }
    await admin('REVOKE SET ON PARAMETER session_replication_role FROM shop_player');
    try {
      expect(await failure(checks.player(SHOP_LOGINS.player.password))).toMatchObject({ fix: 'run the grant script: switchyard keyspace grants new' });
    } finally {
      await runGrants();
    }
  });

  test('is another thing than a store that is away, which is named as well', async () => {
    const away = options('owner', { shard: { ...shard(), port: 1 } });
    await using owner = postgresBackend.openOwner(away);
    expect(await failure(owner.checkStore(never))).toMatchObject({
      reason: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/^cannot connect to 127\.0\.0\.1:1\/shop, the store of keyspace "new", as owner "shop_owner": .*ECONNREFUSED/),
    });
  });
});

describe('what is wrong with the store itself', () => {
  test('nothing, after the grant script', async () => {
    expect(await storeProblems()).toEqual([]);
  });

  test('a grant script that nobody has run, with the command that prints it', async () => {
    await server.createDatabase('bare', SHOP_LOGINS.owner.user);
    await server.psql('bare', 'CREATE TABLE item (id bigint PRIMARY KEY)', { login: SHOP_LOGINS.owner });
    await using owner = postgresBackend.openOwner(options('owner', { shard: { ...shard(), database: 'bare' } }));
    expect(text(await owner.checkStore(never))).toEqual([
      'role "shop_gateway" may read none of the 1 tables of role "shop_owner" -> run the grant script: switchyard keyspace grants new',
      'role "shop_player" may read none of the 1 tables of role "shop_owner" -> run the grant script: switchyard keyspace grants new',
    ]);
    await admin('ALTER ROLE shop_player NOREPLICATION');
    try {
      expect(text(await owner.checkStore(never))).toContainEqual(
        'role "shop_player" may not use replication -> run the grant script: switchyard keyspace grants new, or: ALTER ROLE shop_player REPLICATION',
      );
    } finally {
      await runGrants();
    }
  });

  test('tables that the fence keeps from the gateway are no sign of a missing grant', async () => {
    await using owner = postgresBackend.openOwner(options('owner'));
    await owner.install(never);
    await owner.claim({ workflow: 'w', peer: 'old', tables: ['item'] }, 'target', never);
    try {
      expect(await owner.checkStore(never)).toEqual([]);
    } finally {
      await admin('DROP SCHEMA switchyard CASCADE');
      await runGrants();
    }
  });

  test('wal_level', async () => {
    await using replica = await startPostgres({ name: 'replica', settings: { wal_level: 'replica', max_wal_senders: '0' } });
    await createShop(replica, { tables: false, database });
    const its = { ...shard(), port: replica.port };
    await replica.psql(database, postgresBackend.grantScript(its, []));
    await using owner = postgresBackend.openOwner(options('owner', { shard: its }));
    expect(text(await owner.checkStore(never))).toContainEqual(
      'wal_level is replica, so there is no log to follow -> ALTER SYSTEM SET wal_level = logical, then restart the server',
    );
  });
});

describe('a right that no fence can take away is told once, and the printed fix is enough', () => {
  const traps: readonly (readonly [name: string, trap: string, fix: RegExp, leftovers?: string])[] = [
    ['membership in the owner', 'GRANT shop_owner TO shop_gateway', /^REVOKE shop_owner FROM shop_gateway$/],
    ['membership in the player', 'GRANT shop_player TO shop_gateway', /^REVOKE shop_player FROM shop_gateway$/],
    ['membership in a role that reads everything', 'GRANT pg_read_all_data TO shop_gateway', /^REVOKE pg_read_all_data FROM shop_gateway$/],
    [
      'membership in a role by way of another',
      'CREATE ROLE inner_role; GRANT UPDATE ON item TO inner_role; CREATE ROLE outer_role; GRANT inner_role TO outer_role; GRANT outer_role TO shop_gateway; REVOKE UPDATE ON item FROM inner_role; GRANT SELECT ON item TO inner_role',
      /^REVOKE outer_role FROM shop_gateway$/,
      'DROP OWNED BY inner_role; DROP ROLE outer_role, inner_role',
    ],
    [
      'membership in a role with rights on a column',
      'CREATE ROLE clerks; GRANT SELECT (name) ON item TO clerks; GRANT clerks TO shop_gateway',
      /^REVOKE clerks FROM shop_gateway$/,
      'DROP OWNED BY clerks; DROP ROLE clerks',
    ],
    ['the switch of foreign keys', 'GRANT SET ON PARAMETER session_replication_role TO shop_gateway', /FROM shop_gateway$/],
    ['the switch of foreign keys, for everybody', 'GRANT SET ON PARAMETER session_replication_role TO PUBLIC', /FROM PUBLIC$/],
    ['rows, for everybody', 'GRANT SELECT ON item TO PUBLIC', /FROM PUBLIC, then run the grant script$/],
  ];
  let leftovers = '';
  afterEach(async () => {
    if (leftovers !== '') await admin(leftovers);
    leftovers = '';
  });

  test.each(traps)('%s', async (_, trap, fix, undo = '') => {
    leftovers = undo;
    expect(await tableProblems()).toEqual([]);
    await admin(trap);
    const found = await tableProblems();
    expect(found).toMatchObject([{ fix: expect.stringMatching(fix) }]);
    const statement = found[0]?.fix.split(', then')[0] ?? '';
    await admin(statement);
    await runGrants();
    expect(await tableProblems()).toEqual([]);
  });

  test('a membership in a role without such rights is no fault', async () => {
    leftovers = 'DROP ROLE harmless';
    await admin('CREATE ROLE harmless; GRANT harmless TO shop_gateway');
    expect(await tableProblems()).toEqual([]);
    expect(await storeProblems()).toEqual([]);
  });

  test('the store itself is asked too, before anything is to be moved', async () => {
    await admin('GRANT shop_owner TO shop_gateway');
    expect(text(await storeProblems())).toEqual([
      'role "shop_gateway" is a member of role "shop_owner", and by that has rights which no fence can take away -> REVOKE shop_owner FROM shop_gateway',
    ]);
    await admin('REVOKE shop_owner FROM shop_gateway');
  });
});

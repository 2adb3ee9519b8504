import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import type { FenceSession } from '../../backends/backend.ts';
import { triggerNames } from '../../backends/mariadb/owner/trigger-sql.ts';
import type { ServerShard } from '../../core/keyspace.ts';
import { attempt } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { MariaDbServer } from '../support/servers/mariadb.ts';
import { useArmedStores } from './armed-stores.ts';
import { MariaDbPair } from './mariadb-move.ts';
import { arm, emptyBatch, FORWARD, type MoveStores, never, type RawSession, reasonOf, SOURCE, type StoreUnderTest, TARGET } from './move-stores.ts';

/*
 * Every statement of MariaDB that changes a row, whoever sends it, however its session is set, whenever its transaction began and its text was parsed, against a fence that came meanwhile. What keeps it out is the store alone: no gateway is
 * here.
 */

const FENCED = 'SY001';
/** The snapshot is older than the fence. */
const OLD_SNAPSHOT = '40001';

/** Ways to write that do not name the table, made by its owner; rows for them; and a login that was given rights beside the gateway. */
const surroundings = `
INSERT INTO item (name, amount) VALUES ('a', 1), ('b', 2);
INSERT INTO line (item_id, line) SELECT min(id), 1 FROM item;
CREATE TABLE twin (name varchar(100) PRIMARY KEY, amount int);
INSERT INTO twin VALUES ('t', 1), ('a', 2);
CREATE SQL SECURITY INVOKER VIEW seen_item AS SELECT id, name, amount FROM item;
CREATE TABLE copied (name varchar(100));
CREATE TRIGGER copy_on AFTER INSERT ON copied FOR EACH ROW INSERT INTO item (name) VALUES (NEW.name);
CREATE PROCEDURE add_item(added varchar(100)) INSERT INTO item (name) VALUES (added);
CREATE PROCEDURE catching() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; UPDATE item SET amount = 3; END;
CREATE FUNCTION added_item(added varchar(100)) RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO item (name) VALUES (added); RETURN 1; END;`;

/** Name and text; `n` makes what has to be new new. */
type Writes = readonly (readonly [what: string, sql: (n: string) => string])[];

const writes: Writes = [
  ['INSERT', (n) => `INSERT INTO item (name) VALUES ('${n}')`],
  ['INSERT of several rows', (n) => `INSERT INTO item (name) VALUES ('${n}'), ('${n} too')`],
  ['INSERT … SET', (n) => `INSERT INTO item SET name = '${n}'`],
  ['INSERT IGNORE', (n) => `INSERT IGNORE INTO item (name) VALUES ('${n}')`],
  ['INSERT IGNORE of a row that is there', () => `INSERT IGNORE INTO item (name) VALUES ('a')`],
  ['INSERT LOW_PRIORITY', (n) => `INSERT LOW_PRIORITY INTO item (name) VALUES ('${n}')`],
  ['INSERT … SELECT', (n) => `INSERT INTO item (name) SELECT concat('${n}', name) FROM twin`],
  ['INSERT … SELECT of the table itself', (n) => `INSERT INTO item (name) SELECT concat('${n}', name) FROM item`],
  ['INSERT … RETURNING', (n) => `INSERT INTO item (name) VALUES ('${n}') RETURNING id`],
  ['INSERT … ON DUPLICATE KEY UPDATE that updates', () => `INSERT INTO item (name) VALUES ('a') ON DUPLICATE KEY UPDATE amount = amount + 1`],
  ['INSERT … ON DUPLICATE KEY UPDATE that inserts', (n) => `INSERT INTO item (name) VALUES ('${n}') ON DUPLICATE KEY UPDATE amount = amount + 1`],
  ['REPLACE of a new row', (n) => `REPLACE INTO item (name) VALUES ('${n}')`],
  ['REPLACE of a row that is there', () => `REPLACE INTO item (name, amount) VALUES ('b', 7)`],
  ['REPLACE … SELECT', () => `REPLACE INTO item (name) SELECT name FROM twin WHERE name = 't'`],
  ['UPDATE', () => 'UPDATE item SET amount = amount + 1'],
  ['UPDATE to the same', () => 'UPDATE item SET amount = amount'],
  ['UPDATE IGNORE', () => `UPDATE IGNORE item SET name = 'a'`],
  ['UPDATE … ORDER BY … LIMIT', () => 'UPDATE item SET amount = 5 ORDER BY id LIMIT 1'],
  ['UPDATE of several tables', () => 'UPDATE item JOIN twin ON item.name = twin.name SET item.amount = 9, twin.amount = 9'],
  ['UPDATE of a key', () => `UPDATE item SET id = id + 100 WHERE name = 'b'`],
  ['DELETE', () => `DELETE FROM item WHERE name = 'b'`],
  ['DELETE of all rows', () => 'DELETE FROM line'],
  ['DELETE IGNORE', () => 'DELETE IGNORE FROM line'],
  ['DELETE QUICK … ORDER BY … LIMIT', () => 'DELETE QUICK FROM line ORDER BY line LIMIT 1'],
  ['DELETE … RETURNING', () => 'DELETE FROM line RETURNING item_id'],
  ['DELETE of several tables', () => 'DELETE line, twin FROM line JOIN item ON line.item_id = item.id JOIN twin ON twin.name = item.name'],
  ['a view', (n) => `INSERT INTO seen_item (name, amount) VALUES ('${n}', 1)`],
  ['UPDATE of a view', () => 'UPDATE seen_item SET amount = 4'],
  ["a procedure with its owner's rights", (n) => `CALL add_item('${n}')`],
  ["a function with its owner's rights", (n) => `SELECT added_item('${n}')`],
  ['a trigger of a table beside', (n) => `INSERT INTO copied VALUES ('${n}')`],
  ['a block that catches what it can', () => `BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLSTATE '23000' BEGIN END; UPDATE item SET amount = 3; END`],
  ['EXECUTE IMMEDIATE', () => `EXECUTE IMMEDIATE 'DELETE FROM line'`],
  ['SET STATEMENT', (n) => `SET STATEMENT max_statement_time = 30 FOR INSERT INTO item (name) VALUES ('${n}')`],
  ['WITH in front of a SELECT', (n) => `INSERT INTO item (name) WITH new AS (SELECT '${n}' AS name) SELECT name FROM new`],
];

/** They come to no row: no trigger fires, and nothing is written whatever the state is. */
const rowless: Writes = [
  ['INSERT of no row', () => `INSERT INTO item (name) SELECT 'x' FROM twin WHERE false`],
  ['UPDATE of no row', () => 'UPDATE item SET amount = 7 WHERE false'],
  ['DELETE of no row', () => 'DELETE FROM item WHERE false'],
];

/** With a file that the server has written itself. */
const loading = (name: string, n: string, how: string): string => {
  const file = join(innards(stores.source).server.directory, `${n}.txt`);
  return `SELECT '${name}' INTO OUTFILE '${file}'; LOAD DATA INFILE '${file}' ${how}INTO TABLE item (name)`;
};
const byAdministrators: Writes = [
  ['LOAD DATA', (n) => loading(n, n, '')],
  ['LOAD DATA … IGNORE', (n) => loading(n, n, 'IGNORE ')],
  ['LOAD DATA … REPLACE', (n) => loading('b', n, 'REPLACE ')],
];

const levels = ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;

/** Who may have a way to the tables. The last ones are none of Switchyard's. */
const writers = [
  { who: 'the gateway', login: 'gateway', first: '', more: [] },
  { who: 'the owner', login: 'owner', first: '', more: [] },
  { who: 'a login with rights of its own', login: 'beside', first: '', more: [] },
  {
    who: 'a session without checks',
    login: 'beside',
    first: `SET foreign_key_checks = 0, unique_checks = 0, check_constraint_checks = 0, sql_mode = 'PIPES_AS_CONCAT', timestamp = 1`,
    more: [],
  },
  { who: 'an administrator whose session is in no log', login: 'admin', first: 'SET sql_log_bin = 0, binlog_format = STATEMENT', more: byAdministrators },
] as const;
type Writer = (typeof writers)[number];

let stores: MoveStores;
let schemas: ReadonlyMap<string, TableSchema>;
let source: FenceSession;
let target: FenceSession;
let stack: AsyncDisposableStack;
let fresh: () => Promise<MoveStores>;
let round = 0;

useArmedStores(
  () => MariaDbPair.start(),
  async (armed, disposed) => {
    ({ stores, schemas, fresh } = armed);
    stack = disposed;
    source = stack.use(await stores.source.owner.openFence(SOURCE, never()));
    target = stack.use(await stores.target.owner.openFence(TARGET, never()));
    const { database } = innards(stores.source).shard;
    await stores.source.sql(surroundings, 'admin');
    await stores.source.sql(
      `CREATE OR REPLACE USER beside IDENTIFIED BY 'beside'; GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON ${database}.* TO beside; GRANT EXECUTE ON PROCEDURE add_item TO shop_gateway; GRANT EXECUTE ON FUNCTION added_item TO shop_gateway;
      GRANT SELECT, INSERT, UPDATE, DELETE ON twin TO shop_gateway; GRANT SELECT, INSERT, UPDATE, DELETE ON seen_item TO shop_gateway; GRANT INSERT ON copied TO shop_gateway`,
      'admin',
    );
  },
);

const innards = (store: StoreUnderTest) => store as unknown as { readonly server: MariaDbServer; readonly shard: ServerShard };

/** All rows, by the one who sees all. */
const rows = async (): Promise<string> =>
  JSON.stringify(await stores.source.sql('SELECT * FROM item ORDER BY id', 'admin')) +
  JSON.stringify(await stores.source.sql('SELECT * FROM line ORDER BY item_id, line', 'admin'));

async function openAs({ login, first }: Pick<Writer, 'login' | 'first'>): Promise<RawSession> {
  const session = login === 'beside' ? await openBeside() : await stores.source.session(login);
  stack.defer(() => session.close());
  if (first !== '') await session.query(first);
  return session;
}

async function openBeside(): Promise<RawSession> {
  const { host, port, database } = innards(stores.source).shard;
  const connection = await createConnection({ host, port, database, user: 'beside', password: 'beside', multipleStatements: true });
  return {
    query: async (sql) => {
      try {
        await connection.query(sql);
        return [];
      } catch (error) {
        throw Object.assign(error as Error, { code: (error as { sqlState?: string }).sqlState });
      }
    },
    close: () => connection.end(),
  };
}

const newName = (): string => {
  round += 1;
  return `n${round}`;
};

/** What each of the writes is answered with, one after the other on one session, each in a transaction that is rolled back. */
async function answers(session: RawSession, statements: Writes, begin = 'BEGIN'): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const [what, sql] of statements) {
    await session.query(begin);
    found[what] = await reasonOf(session.query(sql(newName())));
    await session.query('ROLLBACK');
  }
  return found;
}
const all = (statements: Writes, answer: string): Readonly<Record<string, string>> => Object.fromEntries(statements.map(([what]) => [what, answer]));

describe.each(writers)('$who', (writer) => {
  const statements: Writes = [...writes, ...writer.more];

  test('may write in every such way while the table is open, and in none once it is fenced, decided or closed', async () => {
    const session = await openAs(writer);
    expect(await answers(session, [...statements, ...rowless])).toEqual(all([...statements, ...rowless], 'none'));
    const before = await rows();
    await source.fence(attempt(1), 5_000, never());
    for (const level of levels) expect([level, await answers(session, statements, `SET TRANSACTION ISOLATION LEVEL ${level}; BEGIN`)]).toEqual([level, all(statements, FENCED)]);
    for (const [what, sql] of statements) expect([what, await reasonOf(session.query(sql(newName())))]).toEqual([what, FENCED]);
    expect(await answers(session, rowless)).toEqual(all(rowless, 'none'));
    await session.query('SET autocommit = 0');
    expect(await answers(session, statements, 'DO 0')).toEqual(all(statements, FENCED));
    await session.query('SET autocommit = 1');
    await source.commit(attempt(1), never());
    expect(await answers(session, statements)).toEqual(all(statements, FENCED));
    await source.close(attempt(1), never());
    expect(await answers(session, statements)).toEqual(all(statements, FENCED));
    expect(await rows()).toBe(before);
  });

  test('with statements that it has prepared before is kept out, and goes on with them after an abort', async () => {
    const session = await openAs(writer);
    const preparable = statements.filter(([what]) => !/EXECUTE IMMEDIATE|LOAD DATA|a block|SET STATEMENT/.test(what));
    for (const [i, [, sql]] of preparable.entries()) await session.query(`PREPARE p${i} FROM '${sql(newName()).replaceAll("'", "''")}'`);
    const prepared: Writes = preparable.map(([what], i) => [what, () => `EXECUTE p${i}`]);
    expect(await answers(session, prepared)).toEqual(all(prepared, 'none'));
    await source.fence(attempt(1), 5_000, never());
    expect(await answers(session, prepared)).toEqual(all(prepared, FENCED));
    await source.abort(attempt(1), never());
    expect(await answers(session, prepared)).toEqual(all(prepared, 'none'));
    await source.fence(attempt(2), 5_000, never());
    expect(await answers(session, prepared)).toEqual(all(prepared, FENCED));
  });

  test.each(levels)('in a transaction that has read before the fence, %s, is kept out in every such way', async (level) => {
    const session = await openAs(writer);
    const before = await rows();
    await session.query(`SET TRANSACTION ISOLATION LEVEL ${level}`);
    await session.query('BEGIN');
    await session.query('SELECT count(*) FROM item');
    await source.fence(attempt(1), 5_000, never());
    const kept = level === 'REPEATABLE READ' ? OLD_SNAPSHOT : FENCED;
    // A statement that is refused leaves the transaction, and its snapshot, as they were.
    for (const [what, sql] of statements) expect([what, await reasonOf(session.query(sql(newName())))]).toEqual([what, kept]);
    if (level !== 'SERIALIZABLE') {
      await source.abort(attempt(1), never());
      // What a snapshot from before it shows is not what others have written since; the store says that it has to begin anew.
      const again = await reasonOf(session.query(`INSERT INTO item (name) VALUES ('${newName()}')`));
      expect(again).toBe(level === 'REPEATABLE READ' ? OLD_SNAPSHOT : 'none');
    }
    await session.query('ROLLBACK');
    expect(await rows()).toBe(before);
  });
});

test('a statement that was prepared before there was any trigger, in either protocol, is kept out', async () => {
  const young = stack.use(await fresh());
  const { host, port, database } = innards(young.source).shard;
  const user = { user: 'shop_gateway', password: 'gateway-demo' };
  const connection = await createConnection({ host, port, database, ...user });
  stack.defer(() => connection.end());
  const text = 'INSERT INTO item (name) VALUES (?)';
  await connection.execute(text, ['before']);
  await connection.query(`PREPARE warm FROM 'DELETE FROM item WHERE name = ?'`);
  await connection.query(`EXECUTE warm USING 'none'`);
  await arm(young);
  await using session = await young.source.owner.openFence(SOURCE, never());
  await connection.execute(text, ['open']);
  await session.fence(attempt(1), 5_000, never());
  await expect(connection.execute(text, ['late'])).rejects.toMatchObject({ sqlState: FENCED });
  await expect(connection.query(`EXECUTE warm USING 'open'`)).rejects.toMatchObject({ sqlState: FENCED });
});

test('on the target nobody but the player writes before it is open', async () => {
  const sql = `INSERT INTO item (name) VALUES ('early')`;
  const expectKept = async (): Promise<void> => {
    for (const login of ['gateway', 'owner', 'admin'] as const)
      for (const begin of ['', ...levels.map((level) => `SET TRANSACTION ISOLATION LEVEL ${level}; BEGIN; `)])
        expect([login, begin, await reasonOf(stores.target.sql(`${begin}${sql}`, login))]).toEqual([login, begin, FENCED]);
  };
  await expectKept();
  await source.fence(attempt(1), 5_000, never());
  const state = await stores.target.player.takeStream(FORWARD, never());
  await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(1)), never());
  await source.commit(attempt(1), never());
  await target.ready(FORWARD, attempt(1), never());
  await expectKept();
  await source.close(attempt(1), never());
  await target.open(FORWARD, attempt(1), never());
  for (const login of ['gateway', 'owner', 'admin'] as const) expect(await reasonOf(stores.target.sql(sql.replace('early', login), login))).toBe('none');
});

test('a login whose name only looks like the player’s is kept out', async () => {
  const { database } = innards(stores.source).shard;
  await source.fence(attempt(1), 5_000, never());
  for (const user of ['SHOP_PLAYER', 'shopXplayer', 'shop_player@x', 'shop_player ']) {
    await stores.source.sql(`CREATE OR REPLACE USER '${user}' IDENTIFIED BY 'p'; GRANT SELECT, INSERT ON ${database}.item TO '${user}'`, 'admin').catch(() => {});
    const { host, port } = innards(stores.source).shard;
    const connection = await createConnection({ host, port, database, user, password: 'p' }).catch(() => null);
    if (connection === null) continue;
    await expect(connection.query(`INSERT INTO item (name) VALUES ('x')`)).rejects.toMatchObject({ sqlState: FENCED });
    await connection.end();
    await stores.source.sql(`DROP USER '${user}'`, 'admin');
  }
});

test('without its trigger the fence lets the write through: it is the trigger that keeps it out', async () => {
  await source.fence(attempt(1), 5_000, never());
  await stores.source.sql(
    triggerNames('item')
      .map((name) => `DROP TRIGGER ${name}`)
      .join('; '),
    'admin',
  );
  expect(await reasonOf(stores.source.sql(`INSERT INTO item (name) VALUES ('leak')`))).toBe('none');
  // Whoever opens the fence again puts it back.
  await using _ = await stores.source.owner.openFence(SOURCE, never());
  expect(await reasonOf(stores.source.sql(`INSERT INTO item (name) VALUES ('late')`))).toBe(FENCED);
});

test('a table that has lost its trigger is not fenced, and says why; with the table made anew it is', async () => {
  const [name = ''] = triggerNames('line');
  await stores.source.sql(`DROP TRIGGER ${name}`, 'admin');
  await expect(source.fence(attempt(1), 5_000, never())).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining(name), metadata: { table: 'line' } });
  expect((await source.fenceRows(never())).map(({ state }) => state)).toEqual(['OPEN', 'OPEN']);
  await stores.source.sql(`INSERT INTO item (name) VALUES ('goes on')`);
  await stores.source.sql('DROP TABLE line; CREATE TABLE line (item_id bigint NOT NULL, line int NOT NULL, quantity int, PRIMARY KEY (item_id, line))', 'admin');
  await using again = await stores.source.owner.openFence(SOURCE, never());
  await again.fence(attempt(2), 5_000, never());
  expect(await reasonOf(stores.source.sql(`INSERT INTO line VALUES (1, 1, 1)`, 'admin'))).toBe(FENCED);
});

test('what no trigger fires for comes past the fence, and the checks name it: a cascade, TRUNCATE', async () => {
  await stores.source.sql(
    `CREATE TABLE parent (id bigint PRIMARY KEY); INSERT INTO parent VALUES (1);
    ALTER TABLE line ADD COLUMN gone_with bigint DEFAULT 1, ADD CONSTRAINT gone FOREIGN KEY (gone_with) REFERENCES parent (id) ON DELETE CASCADE`,
    'admin',
  );
  await source.fence(attempt(1), 5_000, never());
  await stores.source.sql('DELETE FROM parent', 'admin');
  expect(await stores.source.sql('SELECT count(*) FROM line')).toEqual([['0']]);
  await stores.source.sql('TRUNCATE line', 'owner');
  const problems = (await stores.source.owner.checkTables(['item', 'line'], 'source', never())).map(({ message }) => message);
  expect(problems).toContainEqual(expect.stringMatching(/foreign key "gone" leads to table "parent"/));
  await stores.source.sql('DROP TABLE line', 'admin');
});

test('a table that is given another name takes its fence along', async () => {
  await source.fence(attempt(1), 5_000, never());
  await stores.source.sql('RENAME TABLE item TO thing', 'admin');
  for (const sql of [`INSERT INTO thing (name) VALUES ('x')`, 'UPDATE thing SET amount = 2', 'DELETE FROM thing'])
    expect([sql, await reasonOf(stores.source.sql(sql, 'admin'))]).toEqual([sql, FENCED]);
  await stores.source.sql('RENAME TABLE thing TO item', 'admin');
});

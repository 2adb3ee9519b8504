import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import type { OwnerStore, Problem, StoreOptions, TableDefinition } from '../../backends/backend.ts';
import { mariadbBackend } from '../../backends/mariadb/backend.ts';
import type { Identity, ServerShard } from '../../core/keyspace.ts';
import { attempt } from '../../core/ids.ts';
import { noExtras, type TableExtras } from '../../core/table-extras.ts';
import { shapeDifferenceBetweenKinds } from '../../core/table-schema.ts';
import { type MariaDbServer, quoteMariaDbName, startMariaDb } from '../support/servers/mariadb.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { storeOptions } from './data-store-harness.ts';
import { never, reasonOf } from './move-stores.ts';

/* What an owner of a MariaDB store makes, finds and leaves alone. Every fault is planted, must be found alone, and must be gone once the printed fix was run. */

const USERS = { gateway: 'shop_gateway', player: 'shop_player', owner: 'shop_owner' } as const;
const PASSWORD = 'secret';

let server: MariaDbServer;
let databases = 0;

const users = Object.values(USERS).map((user) => `CREATE USER ${user} IDENTIFIED BY '${PASSWORD}';`);

beforeAll(async () => {
  server = await startMariaDb({ name: 'owner' });
  await server.sql('', users.join('\n'));
});
afterAll(() => server[Symbol.asyncDispose]());

const shardOf = (on: MariaDbServer, database: string): ServerShard => {
  const by = (identity: Identity) => ({ user: USERS[identity], password: `env:${identity.toUpperCase()}_SECRET` });
  return { kind: 'mariadb', host: on.host, port: on.port, database, gateway: by('gateway'), player: by('player'), owner: by('owner') };
};

/** A database of its own for a test, with the grant script run, and its owner. */
interface Place extends AsyncDisposable {
  readonly database: string;
  readonly shard: ServerShard;
  readonly owner: OwnerStore;
  readonly admin: (sql: string) => Promise<string>;
  readonly grants: () => Promise<string>;
}

async function place(
  tables = '',
  { grant = true, on = server, name = '' }: { readonly grant?: boolean; readonly on?: MariaDbServer; readonly name?: string } = {},
): Promise<Place> {
  databases += 1;
  const database = name === '' ? `own_${databases}` : name;
  const shard = shardOf(on, database);
  await on.createDatabase(database);
  const admin = (sql: string): Promise<string> => on.sql(database, sql);
  if (tables !== '') await admin(tables);
  const grants = (): Promise<string> => admin(mariadbBackend.grantScript(shard, []));
  if (grant) await grants();
  const options: StoreOptions = storeOptions({ shard, password: PASSWORD, poolSize: 3, keyspace: 'new' });
  const owner = mariadbBackend.openOwner(options);
  return {
    database,
    shard,
    owner,
    admin,
    grants,
    [Symbol.asyncDispose]: async () => {
      await owner[Symbol.asyncDispose]();
      await on.sql('', `DROP DATABASE ${quoteMariaDbName(database)};`);
    },
  };
}

const text = (problems: readonly Problem[]): readonly string[] => problems.map(({ table, message, fix }) => `${table === null ? '' : `${table}: `}${message} -> ${fix}`);
const lines = (output: string): readonly string[] => output.split('\n').filter((line) => line !== '');
const scope = (tables: readonly string[], workflow = 'move1') => ({ workflow, peer: 'old', tables });
async function connected(user: string, database: string, password = PASSWORD) {
  return createConnection({ host: server.host, port: server.port, user, password, database });
}

const SHOP = `
CREATE TABLE item (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, amount int NOT NULL DEFAULT 0);
CREATE TABLE line (item_id bigint NOT NULL, line int NOT NULL, PRIMARY KEY (item_id, line), CONSTRAINT line_item FOREIGN KEY (item_id) REFERENCES item (id));`;

describe('the store itself', () => {
  test('has no fault after the grant script, and says without it to run it', async () => {
    await using bare = await place(SHOP, { grant: false });
    await bare.admin('GRANT SELECT ON item TO shop_owner');
    // Rights on the server that an earlier test has given stay: so whoever may see accounts says what is missing here, else that.
    const found = text(await bare.owner.checkStore(never()));
    expect(found.length).toBeGreaterThan(0);
    for (const each of found) expect(each).toContain('run the grant script: switchyard keyspace grants new');
    await bare.grants();
    expect(text(await bare.owner.checkStore(never()))).toEqual([]);
    expect(text(await bare.owner.checkTables(['item', 'line'], 'source', never()))).toEqual([]);
  });

  test('lets whoever was refused go on when the grant script has been run, without another process', async () => {
    await using here = await place(SHOP, { grant: false });
    expect(await reasonOf(here.owner.install(never()))).toMatch(/STORE_DENIED|STORE_LOGIN_REFUSED/);
    await here.admin('GRANT SELECT ON item TO shop_owner');
    expect(await reasonOf(here.owner.install(never()))).toBe('STORE_DENIED');
    await here.grants();
    await here.owner.install(never());
    await here.owner.claim({ workflow: 'move1', peer: 'new', tables: ['item', 'line'] }, 'source', never());
  });

  test.each([
    ['REVOKE PROCESS ON *.* FROM shop_owner', /^owner 'shop_owner'@'%' has no right PROCESS on the server/],
    ['REVOKE TRIGGER ON `own\\_%s`.* FROM shop_owner', /^owner 'shop_owner'@'%' has no right TRIGGER in database/],
    ['REVOKE GRANT OPTION ON `own\\_%s`.* FROM shop_owner', /^owner 'shop_owner'@'%' has no right GRANT OPTION in database/],
    ['REVOKE REPLICATION SLAVE, BINLOG MONITOR ON *.* FROM shop_player', /^player 'shop_player'@'%' has no right REPLICATION SLAVE, BINLOG MONITOR on the server/],
    ['REVOKE SELECT ON mysql.db FROM shop_owner', /^login "shop_owner" may not see which accounts the server has/],
    ['DROP USER shop_player', /^login "shop_player" does not exist/],
    ['REVOKE ALL ON item FROM shop_gateway; REVOKE ALL ON line FROM shop_gateway', /^login "shop_gateway" may read none of the 2 tables/],
  ])('%s: is found, and mended by what is printed', async (trap, message) => {
    await using here = await place(SHOP);
    await here.admin(trap.replaceAll('%s', String(databases)));
    await here.admin('FLUSH PRIVILEGES');
    const [found, ...more] = await here.owner.checkStore(never());
    expect([found?.message, more]).toEqual([expect.stringMatching(message), []]);
    const statement = found?.fix.split(', or: ')[1];
    if (statement !== undefined) await here.admin(statement);
    else if (trap.startsWith('DROP')) await here.admin(`CREATE USER shop_player IDENTIFIED BY '${PASSWORD}'`);
    if (statement === undefined) await here.grants();
    expect(text(await here.owner.checkStore(never()))).toEqual([]);
  });

  test('names every setting that is wrong, with the line of the option file', async () => {
    const settings = {
      'binlog-format': 'MIXED',
      'binlog-row-image': 'MINIMAL',
      'binlog-row-metadata': 'NO_LOG',
      'binlog-expire-logs-seconds': '3600',
    };
    await using wrong = await startMariaDb({ name: 'wrong', settings });
    await wrong.sql('', users.join('\n'));
    await using here = await place(SHOP, { on: wrong });
    await here.admin('SET GLOBAL log_bin_trust_function_creators = OFF');
    await expect(here.owner.install(never())).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', fix: expect.stringContaining('log_bin_trust_function_creators = ON') });
    const found = await here.owner.checkStore(never());
    expect(found.map(({ message }) => message)).toEqual([
      'binlog_format is MIXED, so the log does not hold the rows',
      'binlog_row_image is MINIMAL, so the log holds parts of the rows only',
      'binlog_row_metadata is NO_LOG, so the log does not name its columns',
      'log_bin_trust_function_creators is OFF, so only who has SUPER could make the triggers of the fence',
      'the log is thrown away after 3600 s, whoever still needs it',
    ]);
    for (const { fix } of found) {
      expect(fix).toMatch(/^put "[a-z_]+ = \w+"(, or more,)? under \[mariadbd\] into the server's option file, and SET GLOBAL/);
      await here.admin(/SET GLOBAL .*$/.exec(fix)?.[0] ?? '');
    }
    expect(text(await here.owner.checkStore(never()))).toEqual([]);
  });

  test('without a log says so', async () => {
    await using wrong = await startMariaDb({ name: 'nolog', settings: { 'skip-log-bin': '1' } });
    await wrong.sql('', users.join('\n'));
    await using here = await place(SHOP, { on: wrong });
    expect(text(await here.owner.checkStore(never()))).toEqual([
      'log_bin is OFF, so there is no log to follow -> put "log_bin = ON" under [mariadbd] into the server\'s option file, then restart the server',
    ]);
    await here.owner.install(never());
    expect(await reasonOf(here.owner.createLog({ id: 's', workflow: 'w', tables: ['item'] }, attempt(0), never()))).toBe('PRECHECK_FAILED');
  });
});

describe('a right with which somebody comes past the fence is told once, and the printed fix is enough', () => {
  const traps: readonly (readonly [trap: string, message: RegExp, leftovers?: string])[] = [
    [`CREATE USER app IDENTIFIED BY 'x'; GRANT INSERT, UPDATE ON item TO app`, /^item: account 'app'@'%' may write it without the gateway/, 'DROP USER app'],
    [`CREATE USER app@'10.%' IDENTIFIED BY 'x'; GRANT DROP ON item TO app@'10.%'`, /^item: account 'app'@'10.%' has DROP, with which/, `DROP USER app@'10.%'`],
    ['CREATE ROLE clerks; GRANT ALTER ON item TO clerks', /^item: role `clerks` has ALTER, with which/, 'DROP ROLE clerks'],
    ['CREATE ROLE clerks; GRANT DELETE ON item TO clerks', /^item: role `clerks` may write it without the gateway/, 'DROP ROLE clerks'],
    [`CREATE USER app IDENTIFIED BY 'x'; GRANT INSERT (name) ON item TO app`, /^item: account 'app'@'%' may write it without the gateway/, 'DROP USER app'],
    ['GRANT TRIGGER ON item TO shop_player', /^item: account 'shop_player'@'%' has TRIGGER, with which/],
    ['GRANT DROP ON item TO shop_gateway', /^item: account 'shop_gateway'@'%' has DROP, with which/],
    ['GRANT UPDATE ON *.* TO shop_gateway', /^the gateway's account 'shop_gateway'@'%' has UPDATE on the whole server, Switchyard's own tables included/],
    ['CREATE ROLE clerks; GRANT UPDATE ON *.* TO clerks; GRANT clerks TO shop_gateway', /^the gateway's role `clerks` has UPDATE on the whole server/, 'DROP ROLE clerks'],
    ['GRANT SUPER ON *.* TO shop_gateway', /^the gateway's account 'shop_gateway'@'%' is an administrator/],
    ['GRANT UPDATE ON item TO PUBLIC', /^item: everybody \(PUBLIC\) may write it without the gateway/],
  ];

  test.each(traps)('%s', async (trap, message, leftovers = '') => {
    await using here = await place(SHOP);
    try {
      await here.admin(trap);
      const found = await here.owner.checkTables(['item', 'line'], 'source', never());
      const told = text(found);
      expect(told).toEqual([expect.stringMatching(message)]);
      await here.admin(found[0]?.fix.split(', and let')[0]?.split(', then')[0] ?? '');
      await here.grants();
      expect(text(await here.owner.checkTables(['item', 'line'], 'source', never()))).toEqual([]);
    } finally {
      if (leftovers !== '') await here.admin(leftovers);
    }
  });
});

test('what a table has that cannot be moved is named, with what helps', async () => {
  await using here = await place(`
CREATE TABLE parent (id bigint PRIMARY KEY);
CREATE TABLE away (id bigint PRIMARY KEY, parent bigint, CONSTRAINT to_parent FOREIGN KEY (parent) REFERENCES parent (id));
CREATE TABLE child (id bigint PRIMARY KEY, away bigint, CONSTRAINT to_away FOREIGN KEY (away) REFERENCES away (id));
CREATE TABLE tree (id bigint PRIMARY KEY, above bigint, CONSTRAINT upwards FOREIGN KEY (above) REFERENCES tree (id) ON UPDATE RESTRICT ON DELETE SET NULL);
CREATE TABLE parted (id bigint PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
CREATE SEQUENCE numbers; CREATE TABLE drawn (id bigint PRIMARY KEY DEFAULT nextval(numbers));
CREATE TABLE watched (id bigint PRIMARY KEY); CREATE TRIGGER theirs BEFORE INSERT ON watched FOR EACH ROW SET @x = 1;
CREATE TABLE keyless (a int);
CREATE TABLE old (id int PRIMARY KEY) ENGINE = MyISAM;
CREATE TABLE shape (id int PRIMARY KEY, at point NOT NULL);
CREATE TABLE timed (id int PRIMARY KEY) WITH SYSTEM VERSIONING;
CREATE VIEW seen AS SELECT 1 AS id;
CREATE TABLE good (id bigint PRIMARY KEY);`);
  const problems = async (...tables: readonly string[]): Promise<readonly string[]> => text(await here.owner.checkTables(tables, 'source', never()));
  expect(await problems('good')).toEqual([]);
  expect(await problems('parent', 'away', 'child')).toEqual([]);
  expect(await problems('away')).toEqual([
    'away: foreign key "to_parent" leads to table "parent", which is not part of the move -> move "parent" too, or: ALTER TABLE `away` DROP FOREIGN KEY `to_parent`',
    'away: foreign key "to_away" of table "child" leads here, and that table is not part of the move -> move "child" too, or: ALTER TABLE `child` DROP FOREIGN KEY `to_away`',
  ]);
  const alone: Readonly<Record<string, RegExp>> = {
    tree: /^tree: foreign key "upwards" changes rows by itself \(ON DELETE SET NULL ON UPDATE RESTRICT\)/,
    parted: /^parted: it is partitioned/,
    drawn: /^drawn: column "id" takes its default from a sequence/,
    watched: /^watched: trigger "theirs" would fire again for replicated rows .* -> DROP TRIGGER `theirs`$/,
    keyless: /^keyless: .*no primary key/,
    old: /^old: .*its engine is MyISAM/,
    shape: /^shape: .*column "at" has the type point/,
    timed: /^timed: .*system versioned/,
    seen: /^seen: .*it is a view/,
    absent: /^absent: the store has no such table/,
    switchyard_fence: /^switchyard_fence: the store has no such table/,
  };
  for (const [table, message] of Object.entries(alone)) expect(await problems(table)).toEqual([expect.stringMatching(message)]);
  await using outside = await place('', { name: 'own-beside' });
  await outside.admin(`CREATE TABLE far (id bigint PRIMARY KEY, good bigint, CONSTRAINT to_good FOREIGN KEY (good) REFERENCES ${here.database}.good (id))`);
  expect(await problems('good')).toEqual([expect.stringMatching(/^good: foreign key ".*to_good" of table ".*far" in another database leads here/)]);
});

describe('a table is made anew', () => {
  const FULL = `
CREATE TABLE \`the "whole", (table)\` (
  id bigint unsigned NOT NULL AUTO_INCREMENT, \`a,) column\` varchar(50) CHARACTER SET latin1 COLLATE latin1_german1_ci DEFAULT 'it''s (a, "default")' COMMENT 'with ) and , and '' and \\\\ in it',
  small tinyint unsigned zerofill, price decimal(10,2) NOT NULL DEFAULT 1.50, made datetime(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3), stamp timestamp(6) NULL,
  doc json DEFAULT json_object('a', 1), twice int GENERATED ALWAYS AS (small * 2) VIRTUAL, thrice int GENERATED ALWAYS AS (small * 3) STORED, hidden int INVISIBLE DEFAULT 3, kind enum('a', 'b,)', 'it''s') NOT NULL, raw varbinary(16),
  squeezed text COMPRESSED, body text, code char(3), above bigint unsigned, CHECK (small < 200 AND \`a,) column\` <> ')'), CONSTRAINT named CHECK (price > 0),
  PRIMARY KEY (id), UNIQUE KEY by_code (code, kind), UNIQUE KEY by_begin (body(20)), KEY by_price (price DESC), FULLTEXT KEY words (body), CONSTRAINT up FOREIGN KEY (above) REFERENCES \`the "whole", (table)\` (id)
) AUTO_INCREMENT = 77 COMMENT = 'AUTO_INCREMENT=5 and (more), of it' ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE TABLE first (id int PRIMARY KEY, second int, CONSTRAINT to_second FOREIGN KEY (second) REFERENCES second (id), outside int, CONSTRAINT to_outside FOREIGN KEY (outside) REFERENCES outside (id));
CREATE TABLE second (id int PRIMARY KEY, first int, CONSTRAINT to_first FOREIGN KEY (first) REFERENCES first (id));
CREATE TABLE outside (id int PRIMARY KEY);`;
  const NAMES = ['the "whole", (table)', 'first', 'second'];
  const shown = async (where: Place, table: string): Promise<string> => where.admin(`SHOW CREATE TABLE ${quoteMariaDbName(table)}`);
  /** Keys that are added later stand behind the others. */
  const inAnyOrder = (text: string): readonly string[] => text.split('\\n').toSorted();

  test('exactly as it was, but for its next number, the order of its keys and the foreign keys that leave the move, in whatever order', async () => {
    await using from = await place(`SET foreign_key_checks = 0; ${FULL}`);
    await using to = await place();
    const definitions = await from.owner.define(NAMES, never());
    await to.owner.install(never());
    await to.owner.claim(scope(NAMES), 'target', never());
    await to.owner.createTables(scope(NAMES), definitions, never());
    expect(await shown(to, NAMES[0] ?? '')).not.toContain('by_price');
    await to.owner.createIndexes(scope(NAMES), definitions, never());
    for (const table of NAMES) {
      const [before, after] = [await shown(from, table), await shown(to, table)];
      const kept = before.split('\\n').filter((line) => !line.includes('CONSTRAINT `to_outside`'));
      const without = kept.join('\\n').replace(' AUTO_INCREMENT=77 ', ' ');
      expect(inAnyOrder(after)).toEqual(inAnyOrder(without));
    }
    expect((await to.owner.define(NAMES, never())).map(({ schema }) => schema)).toEqual(definitions.map(({ schema }) => schema));
    // Foreign keys work, and what they lead to is there whatever came first.
    await expect(to.admin('SET @@session.sql_log_bin = 0; INSERT INTO second (id, first) VALUES (1, 9)')).rejects.toThrow(/SY001|fenced/);
    // Repeating it does nothing, and the plan of an empty store is the same statements.
    await to.owner.createTables(scope(NAMES), definitions, never());
    await to.owner.createIndexes(scope(NAMES), definitions, never());
    await using third = await place();
    await third.admin(`SET foreign_key_checks = 0; ${(await third.owner.planTables(definitions, never())).join('\n')}`);
    for (const table of NAMES) expect(await shown(third, table)).toBe(await shown(to, table));
    expect(definitions[0]?.more).toEqual([
      expect.stringContaining('CHECK'),
      '"named" CHECK (`price` > 0)',
      'unique index "by_begin" on the beginnings of values',
      'column "made" that takes the time of every update',
    ]);
  });

  test('its plain keys come later, once, but for those that it needs at once', async () => {
    await using from = await place(`
CREATE TABLE parent (id bigint AUTO_INCREMENT, owner int, code varchar(9) NOT NULL, \`ad \`\`d\` int, word varchar(20), body text, PRIMARY KEY (owner, code), KEY numbers (id), KEY by_owner (owner, word), KEY also (code DESC, id), KEY referenced (\`ad \`\`d\`),
  KEY \`by ,\`\`(word\` (word(3), owner), UNIQUE KEY once (word), FULLTEXT KEY words (body), KEY hidden (word) IGNORED COMMENT 'KEY \`x\` (\`y\`)');
CREATE TABLE child (id int PRIMARY KEY, parent_owner int, up int, note int AS (up + 1) VIRTUAL, KEY leads (parent_owner, up), KEY notes (note), KEY ups (up),
  CONSTRAINT one FOREIGN KEY (parent_owner) REFERENCES parent (owner), CONSTRAINT two FOREIGN KEY (up) REFERENCES parent (\`ad \`\`d\`))`);
    await using to = await place();
    const tables = ['child', 'parent'];
    const definitions = await from.owner.define(tables, never());
    await to.owner.install(never());
    await to.owner.claim(scope(tables), 'target', never());
    await to.owner.createTables(scope(tables), definitions, never());
    const keys = async (on: Place): Promise<readonly string[]> =>
      lines(
        await on.admin(
          `SELECT DISTINCT CONCAT(TABLE_NAME, '.', INDEX_NAME) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('child', 'parent')`,
        ),
      ).toSorted();
    const early = ['child.PRIMARY', 'child.leads', 'child.ups', 'parent.PRIMARY', 'parent.by_owner', 'parent.numbers', 'parent.once', 'parent.referenced', 'parent.words'];
    expect(await keys(to)).toEqual(early);
    expect(await reasonOf(to.owner.createIndexes(scope(tables, 'move2'), definitions, never()))).toBe('FENCE_CONFLICT');
    // Two at once: one waits for the other, or finds that it has nothing to do.
    await Promise.all([1, 2].map(() => to.owner.createIndexes(scope(['parent']), definitions, never())));
    expect(inAnyOrder(await shown(to, 'parent'))).toEqual(inAnyOrder(await shown(from, 'parent')));
    expect((await keys(to)).filter((key) => key.startsWith('child.'))).toEqual(early.slice(0, 3));
    for (let time = 0; time < 2; time += 1) await to.owner.createIndexes(scope(tables), definitions, never());
    expect(await keys(to)).toEqual(await keys(from));
    const plan = await to.owner.planTables(definitions, never());
    expect(plan.slice(plan.indexOf('-- after the copy:')).slice(1)).toEqual([
      'ALTER TABLE `child` ADD KEY IF NOT EXISTS `notes` (`note`), ALGORITHM = INPLACE, LOCK = NONE;',
      expect.stringMatching(
        /^ALTER TABLE `parent` ADD KEY IF NOT EXISTS `also` \(`code` DESC,`id`\), ADD KEY IF NOT EXISTS `by ,``\(word` \(`word`\(3\),`owner`\), ADD KEY IF NOT EXISTS `hidden`/,
      ),
    ]);
  });

  test('or refused, with the server’s own words, where the server cannot', async () => {
    await using to = await place();
    await to.owner.install(never());
    await to.owner.claim(scope(['item']), 'target', never());
    await using from = await place(SHOP);
    const [made] = (await from.owner.define(['item'], never())) as [TableDefinition];
    const detail = { ...(made.native.detail as object), options: 'ENGINE=InnoDB DEFAULT CHARSET=nonesuch' };
    await expect(to.owner.createTables(scope(['item']), [{ ...made, native: { kind: 'mariadb', detail } }], never())).rejects.toMatchObject({
      reason: 'PRECHECK_FAILED',
      message: expect.stringContaining('nonesuch'),
      metadata: { table: 'item' },
    });
  });

  test('goes on where it was cut short', async () => {
    await using from = await place(SHOP);
    await using to = await place();
    const tables = ['item', 'line'];
    const definitions = await from.owner.define(tables, never());
    await to.owner.install(never());
    await to.owner.claim(scope(tables), 'target', never());
    // A table without its triggers, as a coordinator that died has left it.
    await to.admin(`SET foreign_key_checks = 0; ${(await to.owner.planTables(definitions, never()))[1]}`);
    await to.owner.createTables(scope(tables), definitions, never());
    await expect(to.admin('INSERT INTO line VALUES (1, 1)')).rejects.toThrow(/fenced/);
    expect(lines(await to.admin('SELECT table_name, guarded FROM switchyard_fence ORDER BY 1'))).toEqual(['item\t1', 'line\t1']);
  });

  test('is refused where the name holds rows, and everything is as it was', async () => {
    await using from = await place(SHOP);
    await using to = await place(`${SHOP} INSERT INTO item (name) VALUES ('theirs')`);
    const tables = ['item', 'line'];
    await to.owner.install(never());
    await expect(to.owner.claim(scope(tables), 'target', never())).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', metadata: { table: 'item' } });
    expect(await to.owner.fenceRows(null, never())).toEqual([]);
    await to.admin(`INSERT INTO item (name) VALUES ('goes on')`);
    expect(await to.admin(`SELECT count(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()`)).toBe('0\n');
    // An empty one is taken; rows that come between claim and now are not.
    await to.admin('DELETE FROM item');
    await to.owner.claim(scope(['line']), 'target', never());
    await to.admin('DROP TABLE line, item');
    await to.owner.claim(scope(['line', 'item']), 'target', never());
    await to.admin(
      `CREATE TABLE item (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, amount int NOT NULL DEFAULT 0); INSERT INTO item (name) VALUES ('between')`,
    );
    await expect(to.owner.createTables(scope(tables), await from.owner.define(tables, never()), never())).rejects.toMatchObject({
      reason: 'PRECHECK_FAILED',
      metadata: { table: 'item' },
    });
    expect(await to.admin('SELECT name FROM item')).toBe('between\n');
  });

  test('and dropped only by the workflow that has it CLOSED, and only while nobody goes on with it', async () => {
    await using from = await place(SHOP);
    await using to = await place();
    const tables = ['item', 'line'];
    const definitions = await from.owner.define(tables, never());
    await to.owner.install(never());
    await to.owner.claim(scope(tables), 'target', never());
    await to.owner.createTables(scope(tables), definitions, never());
    expect(await reasonOf(to.owner.dropTables(scope(tables, 'move2'), never()))).toBe('FENCE_CONFLICT');
    // A reader keeps the table from being dropped for a while; meanwhile somebody takes it up again.
    const reader = await connected('shop_player', to.database);
    await reader.query('BEGIN');
    await reader.query('SELECT * FROM item');
    await reader.query('SELECT * FROM line');
    await using _ = { [Symbol.asyncDispose]: async () => reader.destroy() };
    const dropping = reasonOf(to.owner.dropTables(scope(tables), never()));
    await waitUntil('the mark to be taken', { limitMs: 20_000, everyMs: 10 }, async () =>
      (await to.admin('SELECT SUM(guarded) FROM switchyard_fence')) === '0\n' ? true : undefined,
    );
    await to.admin('UPDATE switchyard_fence SET guarded = 1');
    await reader.end();
    expect(await dropping).toBe('FENCE_CONFLICT');
    expect(await to.admin('SELECT count(*) FROM item')).toBe('0\n');
    await to.owner.dropTables(scope(tables), never());
    expect(lines(await to.admin(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT LIKE 'switchyard%'`))).toEqual([]);
    await to.owner.dropTables(scope(tables), never());
    // A table without the mark does not become readable.
    await to.owner.createTables(scope(tables), definitions, never());
    expect(lines(await to.admin('SELECT guarded FROM switchyard_fence'))).toEqual(['1', '1']);
  });
});

describe('numbers that the store gives', () => {
  test('are read as they are now, raised, and never lowered', async () => {
    await using here = await place(
      `${SHOP} CREATE TABLE tiny (id tinyint NOT NULL AUTO_INCREMENT PRIMARY KEY); CREATE TABLE huge (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY); CREATE TABLE Item (id int NOT NULL AUTO_INCREMENT PRIMARY KEY)`,
    );
    const { owner, admin } = here;
    const tables = ['item', 'line', 'tiny', 'huge'];
    const values = async (): Promise<Readonly<Record<string, bigint>>> =>
      Object.fromEntries((await owner.sequences(tables, never())).map(({ table, column, value }) => [`${table}.${column}`, value]));
    expect(await values()).toEqual({ 'huge.id': 0n, 'item.id': 0n, 'tiny.id': 0n });
    await admin(
      `INSERT INTO item (name) VALUES ('a'), ('b'); INSERT INTO item (id, name) VALUES (10, 'ten'); DELETE FROM item WHERE id = 10; BEGIN; INSERT INTO item (name) VALUES ('gone'); ROLLBACK`,
    );
    expect((await values())['item.id']).toBe(11n);
    const raise = (table: string, value: bigint): Promise<string> => reasonOf(owner.raiseSequences([{ table, column: 'id', value }], never()));
    for (const value of [50n, 20n, 50n]) expect(await raise('item', value)).toBe('none');
    expect((await values())['item.id']).toBe(50n);
    await admin(`INSERT INTO item (name) VALUES ('next')`);
    expect(await admin(`SELECT id FROM item WHERE name = 'next'`)).toBe('51\n');
    expect(await raise('tiny', 127n)).toBe('none');
    expect(await raise('tiny', 128n)).toBe('VALUE_INVALID');
    expect(await raise('huge', 2n ** 63n + 5n)).toBe('none');
    expect((await values())['huge.id']).toBe(2n ** 63n + 5n);
    expect(await raise('line', 5n)).toBe('none');
    expect(await raise('absent', 5n)).toBe('none');
    await server.stop('immediate');
    await server.start();
    expect(await values()).toMatchObject({ 'item.id': 51n, 'huge.id': 2n ** 63n + 5n });
  });
});

describe('whoever would make a hold long', () => {
  test('is named when he has written tables of the workflow, and nobody else', async () => {
    await using here = await place(SHOP);
    const { owner, admin, database } = here;
    await owner.install(never());
    const tables = ['item', 'line'];
    await owner.claim({ workflow: 'move1', peer: 'new', tables }, 'source', never());
    await admin(`CREATE TABLE beside (id int PRIMARY KEY); INSERT INTO item (name) VALUES ('a')`);
    const quiet = (): Promise<readonly Problem[]> => owner.checkQuiet(tables, 30, never());
    const session = await connected('root', database, server.superuser.password);
    session.on('error', () => {});
    await using _ = { [Symbol.asyncDispose]: async () => session.destroy() };
    const held = async (sql: string, by = session): Promise<readonly Problem[]> => {
      await by.query('BEGIN');
      await by.query(sql);
      // Old enough, and so long that the server gathers anew what it shows.
      await new Promise((resolve) => setTimeout(resolve, 150));
      const found = await quiet();
      return found;
    };
    for (const sql of ['SELECT * FROM item', 'SELECT * FROM item FOR UPDATE', 'INSERT INTO beside VALUES (1)']) {
      expect([sql, await held(sql)]).toEqual([sql, []]);
      await session.query('ROLLBACK');
    }
    // A gateway ends its callers' transactions by itself when a hold begins.
    const gateway = await connected('shop_gateway', database);
    expect(await held(`INSERT INTO item (name) VALUES ('called')`, gateway)).toEqual([]);
    await gateway.end();
    const [found, ...more] = await held(`INSERT INTO item (name) VALUES ('b')`);
    expect(more).toEqual([]);
    expect(found?.message).toMatch(/^transaction of "root@127\.0\.0\.1:\d+" \(connection \d+\) has written tables of the workflow and been open for \d/);
    // Nobody is kept out by having been asked for.
    await admin(`INSERT INTO item (name) VALUES ('goes on')`);
    await admin(/KILL \d+$/.exec(found?.fix ?? '')?.[0] ?? '');
    await waitUntil('the end of the transaction', { limitMs: 10_000, everyMs: 150 }, async () => ((await quiet()).length === 0 ? true : undefined));
  });
});

describe('the gateway’s rights', () => {
  test('are those of its accounts, whichever way they have them, and are given to the table that is made', async () => {
    await using from = await place(`${SHOP} CREATE TABLE more (id int PRIMARY KEY); CREATE TABLE none (id int PRIMARY KEY)`);
    await using to = await place();
    await from.admin(
      `REVOKE INSERT, DELETE ON line FROM shop_gateway; REVOKE ALL ON more FROM shop_gateway; REVOKE ALL ON none FROM shop_gateway;
      CREATE ROLE inner_role; GRANT SELECT ON more TO inner_role; CREATE ROLE outer_role; GRANT inner_role TO outer_role; GRANT outer_role TO shop_gateway`,
    );
    try {
      const tables = ['item', 'line', 'more', 'none'];
      const rights = await from.owner.gatewayRights([...tables, 'absent'], never());
      expect(rights).toEqual(
        new Map([
          ['item', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
          ['line', ['SELECT', 'UPDATE']],
          ['more', ['SELECT']],
          ['none', []],
        ]),
      );
      await to.owner.install(never());
      expect(await reasonOf(to.owner.saveRights(scope(tables), rights, never()))).toBe('FENCE_CONFLICT');
      await to.owner.claim(scope(tables), 'target', never());
      await to.owner.createTables(scope(tables), await from.owner.define(tables, never()), never());
      expect([...(await to.owner.gatewayRights(tables, never())).values()].flat()).toEqual([]);
      await to.owner.saveRights(scope(tables), rights, never());
      await to.owner.saveRights(scope(tables), rights, never());
      expect(await to.owner.gatewayRights(tables, never())).toEqual(rights);
      expect(await reasonOf(to.owner.saveRights(scope(tables), new Map([['item', ['DROP']]]), never()))).toBe('ARGUMENT_INVALID');
    } finally {
      await from.admin('DROP ROLE outer_role, inner_role');
    }
  });

  test('do not reach Switchyard’s own tables, by the script’s doing', async () => {
    await using here = await place(SHOP);
    await here.owner.install(never());
    await here.grants();
    const gateway = await connected('shop_gateway', here.database);
    for (const sql of [
      'UPDATE switchyard_fence SET attempt = 1',
      'DELETE FROM switchyard_request',
      'SELECT * FROM switchyard_stream',
      'SELECT switchyard_abort("", "", "[]", 0)',
      'DROP TABLE item',
      'TRUNCATE item',
    ])
      await expect(gateway.query(sql)).rejects.toMatchObject({ errno: expect.any(Number) });
    await gateway.query('SELECT * FROM switchyard_fence');
    await gateway.query(`INSERT INTO item (name) VALUES ('x')`);
    await gateway.end();
  });

  test('begin with the fence’s, also of an account that is newer than the fence', async () => {
    await using here = await place(SHOP);
    await here.owner.install(never());
    await server.sql('', `CREATE USER shop_gateway@'127.0.0.1' IDENTIFIED BY '${PASSWORD}'`);
    try {
      await here.grants();
      const gateway = await connected('shop_gateway', here.database);
      await gateway.query('SELECT * FROM switchyard_fence');
      await gateway.end();
      await here.admin(`REVOKE SELECT ON switchyard_fence FROM shop_gateway@'127.0.0.1'`);
      await here.owner.claim(scope(['item']), 'source', never());
      await here.owner.saveRights(scope(['item']), new Map([['item', ['SELECT']]]), never());
      const again = await connected('shop_gateway', here.database);
      await again.query('SELECT * FROM switchyard_fence');
      await again.end();
    } finally {
      await server.sql('', `DROP USER shop_gateway@'127.0.0.1'`);
    }
  });

  test('leave out the accounts of machines’ names on a server that does without names', async () => {
    await server.sql(
      '',
      Object.values(USERS)
        .map((user) => `CREATE USER ${user}@'app.example' IDENTIFIED BY '${PASSWORD}';`)
        .join(' '),
    );
    // Which the server finds out when it reads its accounts.
    await server.stop();
    await server.start();
    try {
      await using here = await place(SHOP, { grant: false });
      await here.grants();
      await here.owner.install(never());
      expect(text(await here.owner.checkStore(never()))).toEqual([]);
      expect(text(await here.owner.checkTables(['item', 'line'], 'source', never()))).toEqual([]);
    } finally {
      await server.sql('', `DELETE FROM mysql.global_priv WHERE Host = 'app.example'`);
    }
  });

  test('are given to all accounts of its name, in a database with any name, and to named tables alone', async () => {
    await server.sql('', `CREATE USER shop_gateway@'127.0.0.1' IDENTIFIED BY '${PASSWORD}'`);
    const name = 'od`d "na\'me_%s %t\\';
    try {
      await using here = await place('CREATE TABLE `odd ``ta"ble` (id int PRIMARY KEY); CREATE TABLE plain (id int PRIMARY KEY)', { name, grant: false });
      await here.admin(mariadbBackend.grantScript(here.shard, ['odd `ta"ble']));
      await here.admin(mariadbBackend.grantScript(here.shard, ['odd `ta"ble']));
      const rights = await here.owner.gatewayRights(['odd `ta"ble', 'plain'], never());
      expect([...rights]).toEqual([
        ['odd `ta"ble', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
        ['plain', []],
      ]);
      const gateway = await connected('shop_gateway', name);
      await gateway.query('INSERT INTO `odd ``ta"ble` VALUES (1)');
      await expect(gateway.query('INSERT INTO plain VALUES (1)')).rejects.toMatchObject({ errno: 1142 });
      await gateway.end();
      await here.grants();
      await here.owner.install(never());
      expect(text(await here.owner.checkStore(never()))).toEqual([]);
      await here.owner.claim({ workflow: 'move1', peer: 'new', tables: ['odd `ta"ble'] }, 'source', never());
      await using fence = await here.owner.openFence({ workflow: 'move1', peer: 'new', tables: ['odd `ta"ble'] }, never());
      await fence.fence(attempt(1), 5_000, never());
      await expect(here.admin('INSERT INTO `odd ``ta"ble` VALUES (2)')).rejects.toThrow(/fenced/);
    } finally {
      await server.sql('', `DROP USER shop_gateway@'127.0.0.1'`);
    }
  });
});

test('a table whose name is as long as names may be is fenced by triggers with names of their own', async () => {
  const [a, b] = ['ü'.repeat(63), `${'ü'.repeat(62)}x`];
  await using here = await place(`CREATE TABLE ${a} (id int PRIMARY KEY); CREATE TABLE ${b} (id int PRIMARY KEY)`);
  await here.owner.install(never());
  const ours = { workflow: 'w'.repeat(60), peer: 'new', tables: [a, b] };
  await here.owner.claim(ours, 'source', never());
  await using fence = await here.owner.openFence(ours, never());
  await fence.fence(attempt(1), 5_000, never());
  for (const table of ours.tables) await expect(here.admin(`INSERT INTO ${table} VALUES (1)`)).rejects.toThrow(/fenced/);
});

test('a claim that was cut short between its rows and its triggers is no obstacle to the next, and no fence is set without them', async () => {
  await using here = await place(SHOP);
  const ours = { workflow: 'move1', peer: 'new', tables: ['item', 'line'] };
  await here.owner.install(never());
  await here.admin(`SET tx_isolation = 'READ-COMMITTED'; SELECT switchyard_claim('move1', 'new', '["item","line"]', 'OPEN')`);
  await here.admin(`INSERT INTO item (name) VALUES ('goes on')`);
  // Whoever opens the fence puts the triggers, where it can have the table.
  const reader = await connected('shop_player', here.database);
  await reader.query('BEGIN');
  await reader.query('SELECT * FROM item');
  {
    await using fence = await here.owner.openFence(ours, never());
    expect(await reasonOf(fence.fence(attempt(1), 5_000, never()))).toBe('PRECHECK_FAILED');
  }
  await reader.end();
  await here.owner.claim(ours, 'source', never());
  await using fence = await here.owner.openFence(ours, never());
  await fence.fence(attempt(2), 5_000, never());
  await expect(here.admin(`INSERT INTO item (name) VALUES ('late')`)).rejects.toThrow(/fenced/);
});

test('a table that is claimed again by another workflow is fenced by that one’s gate', async () => {
  await using here = await place(SHOP);
  const tables = ['item', 'line'];
  const first = { workflow: 'move1', peer: 'new', tables };
  const second = { workflow: 'move2', peer: 'other', tables };
  await here.owner.install(never());
  await here.owner.claim(first, 'source', never());
  await here.owner.disown(first, 'OPEN', never());
  await here.owner.claim(second, 'source', never());
  await using fence = await here.owner.openFence(second, never());
  const writer = await connected('root', here.database, server.superuser.password);
  await writer.query('BEGIN');
  await writer.query(`INSERT INTO item (name) VALUES ('open')`);
  expect(await reasonOf(fence.fence(attempt(1), 300, never()))).toBe('LOCK_TIMEOUT');
  await writer.query('COMMIT');
  await fence.fence(attempt(1), 5_000, never());
  await writer.end();
});

test('between kinds: a table of every kind is one of the same kinds here, keys of texts included', async () => {
  await using to = await place();
  const column = (name: string, kind: string, nativeType = kind, more: object = {}) => ({ name, kind, nullable: true, hasDefault: false, generated: false, nativeType, ...more });
  const kinds = 'bool int16 int32 int64 uint64 float32 float64 text bytes uuid date time timestamp timestamptz json'.split(' ');
  const columns = [
    column('id', 'int64', 'bigint', { nullable: false, hasDefault: true }),
    ...kinds.map((kind) => column(`of ${kind}`, kind)),
    column('price', 'decimal', 'numeric(12,4)'),
    column('code', 'text', 'character(5)', { limits: { characters: { most: 5, exactly: true } } }),
    column('short', 'text', 'character varying(84)', { nullable: false, limits: { characters: { most: 84, exactly: false } } }),
    column('free', 'text', 'text', { nullable: false }),
    column('token', 'bytes', 'bytea', { nullable: false }),
  ];
  const schema = {
    name: 'every',
    columns,
    primaryKey: ['id'],
    uniqueKeys: [
      { name: 'by_short', columns: ['short', 'of int32'] },
      { name: 'by_free', columns: ['free', 'token'] },
    ],
    fingerprint: '',
  };
  const extras: TableExtras = { ...noExtras, defaults: new Map([['id', { kind: 'numbered' }]]) };
  const definition = { schema, extras, more: [], native: { kind: 'postgres', detail: null } } as unknown as TableDefinition;
  await to.owner.install(never());
  await to.owner.claim(scope(['every']), 'target', never());
  await to.owner.createTables(scope(['every']), [definition], never());
  const [present] = (await to.owner.define(['every'], never())) as [TableDefinition];
  expect(shapeDifferenceBetweenKinds(definition.schema, present.schema)).toBeNull();
  expect(present.more).toEqual([]);
  expect(present.schema.columns.map(({ nullable, hasDefault }) => ({ nullable, hasDefault }))).toEqual(columns.map(({ nullable, hasDefault }) => ({ nullable, hasDefault })));
  expect(present.schema.uniqueKeys.map(({ columns: names }) => names)).toEqual([
    ['free', 'token'],
    ['short', 'of int32'],
  ]);
  // The player is let through: texts that differ by case, blanks or accents are different, and one of another length than PostgreSQL's is refused.
  await to.admin(`GRANT SELECT, INSERT ON every TO shop_player`);
  const player = await connected('shop_player', to.database);
  const insert = (short: string, code = 'abcde'): Promise<unknown> =>
    player.query('INSERT INTO every (short, `of int32`, free, token, code) VALUES (?, 1, ?, ?, ?)', [short, short, Buffer.from(short), code]);
  for (const short of ['a', 'A', 'a ', 'ä', '']) await insert(short);
  await expect(insert('a')).rejects.toMatchObject({ errno: 1062 });
  await expect(insert('b', 'abcd')).rejects.toMatchObject({ errno: 4025 });
  await player.end();
});

import { describe, expect, test } from '@jest/globals';
import type { ChangeTransaction } from '../../core/change.ts';
import { attempt } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { useArmedStores } from './armed-stores.ts';
import { allRows, arm, begin, catchUp, FORWARD, type MoveStores, never, reasonOf, SOURCE, TABLES } from './move-stores.ts';
import { PostgresPair, setStandby } from './postgres-move.ts';

/* What becomes of a partitioned table, `line`, whose partitions are written, emptied, made, attached and taken away while it is moved. */

const items = `INSERT INTO item (name) SELECT 'n' || i FROM generate_series(1, 6) AS i`;
const lines = 'INSERT INTO line (item_id, quantity) SELECT i, i FROM generate_series(1, 6) AS i';
const far = (id: number): string => `INSERT INTO item (id, name) OVERRIDING SYSTEM VALUE VALUES (${id}, 'far ${id}')`;

let stores: MoveStores;
let schemas: ReadonlyMap<string, TableSchema>;
let fresh: () => Promise<MoveStores>;
let watermark = 0;

useArmedStores(
  () => PostgresPair.start(),
  async (armed) => {
    ({ stores, schemas, fresh } = armed);
    await stores.source.sql(`${items}; ${lines}`, 'owner');
  },
);

const onSource = (sql: string) => stores.source.sql(sql, 'owner');
const next = (): Promise<readonly ChangeTransaction[]> => catchUp(stores, schemas, ++watermark);
/** Ends with the stream caught up. */
async function expectEqual(): Promise<readonly ChangeTransaction[]> {
  const seen = await next();
  const table = schemas.get('line') as TableSchema;
  expect(await allRows(stores.target, table)).toEqual(await allRows(stores.source, table));
  return seen;
}
const kinds = (seen: readonly ChangeTransaction[]): readonly string[] => seen.flatMap(({ events }) => events.map(({ kind }) => kind)).filter((kind) => kind !== 'watermark');
/** The stream ends for good, for this reason. */
const expectEnd = (message: RegExp): Promise<void> =>
  expect(next()).rejects.toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringMatching(message), metadata: { problem: 'SCHEMA_CHANGED', table: 'line' } });

describe('rows', () => {
  test('written into the table and into partitions, moved between them, with columns in another order', async () => {
    await expectEqual();
    await onSource('INSERT INTO line_few (item_id, line, quantity) VALUES (2, 100, 50); UPDATE "Line, odd" SET quantity = -quantity; DELETE FROM line_even WHERE item_id = 4');
    await onSource('UPDATE line SET item_id = 1 WHERE item_id = 6; UPDATE line SET item_id = 5, line = line + 1 WHERE item_id = 2');
    await expectEqual();
  });

  test('that leave for another partition are gone from the one and new in the other', async () => {
    await next();
    await onSource('UPDATE line SET item_id = 3 WHERE item_id = 1');
    expect(kinds(await expectEqual())).toEqual(['delete', 'insert']);
  });
});

describe('TRUNCATE', () => {
  test('of the whole table is brought over as one, also by way of another table, and in one transaction with what comes behind it', async () => {
    await next();
    await onSource('TRUNCATE line');
    expect(kinds(await expectEqual())).toEqual(['truncate']);
    await onSource(`${lines}; TRUNCATE item CASCADE; ${items}; INSERT INTO line (item_id, quantity) SELECT id, 7 FROM item`);
    await expectEqual();
  });

  test.each(['line_few', 'line_many', 'line_even'])('of %s alone is refused, with what to do instead', async (partition) => {
    await expect(onSource(`TRUNCATE ${partition}`)).rejects.toMatchObject({
      code: '55000',
      message: expect.stringContaining(partition),
      hint: expect.stringContaining('DELETE FROM'),
    });
    await expectEqual();
  });

  test('of a partition that has just been made ends the stream', async () => {
    await onSource(`${far(1_000_001)}; CREATE TABLE late PARTITION OF line FOR VALUES FROM (1000000) TO (2000000); INSERT INTO line VALUES (1000001, 1, 1); TRUNCATE late`);
    await expectEnd(/partition public\.late of table "line" was truncated alone/);
  });

  test('of a partition is allowed when no workflow has the table', async () => {
    await stores.source.owner.disown(SOURCE, 'OPEN', never());
    await onSource('TRUNCATE line_few');
    expect(await onSource('SELECT count(*) FROM line')).toEqual([['4']]);
  });
});

describe('a partition that comes', () => {
  test('by CREATE TABLE … PARTITION OF goes on by itself, with rows of its own first transaction', async () => {
    await next();
    await onSource(
      `BEGIN; ${far(1_000_001)}; CREATE TABLE "Next" PARTITION OF line FOR VALUES FROM (1000000) TO (2000000) PARTITION BY LIST (line); CREATE TABLE next_one PARTITION OF "Next" FOR VALUES IN (1); INSERT INTO line VALUES (1000001, 1, 1); COMMIT`,
    );
    await expectEqual();
    await onSource('CREATE TABLE next_two PARTITION OF "Next" DEFAULT; INSERT INTO next_two (item_id, line) VALUES (1000001, 2)');
    await expectEqual();
    for (const partition of ['"Next"', 'next_one', 'next_two']) expect(await reasonOf(onSource(`TRUNCATE ${partition}`))).toBe('55000');
    await (await stores.source.owner.openFence(SOURCE, never())).fence(attempt(1), 5_000, never());
    expect(await reasonOf(onSource('INSERT INTO next_two (item_id, line) VALUES (1000001, 3)'))).toBe('SY001');
  });

  test('while the log is being read goes on by itself, in one go with what follows', async () => {
    const state = await stores.target.player.takeStream(FORWARD, never());
    await using feed = stores.source.player.follow(FORWARD, schemas, state.position, never());
    const make = async (n: number): Promise<void> => {
      const id = n * 1_000_000 + 1;
      await onSource(`${far(id)}; CREATE TABLE late_${n} PARTITION OF line FOR VALUES FROM (${id - 1}) TO (${id + 1}); INSERT INTO line VALUES (${id}, 1, 1)`);
      await onSource(`UPDATE late_${n} SET quantity = 2; INSERT INTO line_few (item_id, line, quantity) VALUES (2, ${id}, 0)`);
    };
    let made = 0;
    const seen: string[] = [];
    for await (const transactions of feed) {
      for (const { events } of transactions) for (const event of events) if ('table' in event && event.table === 'line') seen.push(event.kind);
      if (made < 3 && transactions.length === 0) await make(++made);
      // Six lines from before, then three of each partition.
      if (seen.length >= 6 + 9) break;
    }
    expect(seen.slice(6)).toEqual(Array.from({ length: 3 }, () => ['insert', 'update', 'insert']).flat());
  });

  test('with rows, in one transaction that the log shows before readers see it, goes on by itself', async () => {
    const state = await stores.target.player.takeStream(FORWARD, never());
    await using feed = stores.source.player.follow(FORWARD, schemas, state.position, never());
    const seen: string[] = [];
    let made: Promise<unknown> | null = null;
    let beats = 0;
    try {
      for await (const transactions of feed) {
        for (const { events } of transactions) for (const event of events) if ('table' in event && event.table === 'line') seen.push(event.kind);
        if (seen.length === 7) break;
        if (transactions.length > 0) continue;
        beats += 1;
        if (beats === 1) {
          await setStandby(stores.source, 'nobody');
          made = onSource(`${far(9_000_001)}; CREATE TABLE late_9 PARTITION OF line FOR VALUES FROM (9000000) TO (9000002); INSERT INTO line VALUES (9000001, 1, 1)`);
          made.catch(() => {}); // awaited below
        }
        // It is in the log by now, and its own session still waits.
        if (beats === 3) await setStandby(stores.source, '');
      }
    } finally {
      await setStandby(stores.source, '');
    }
    await made;
    expect(seen.slice(6)).toEqual(['insert']);
  });

  test('and goes before anybody could look at it ends the stream', async () => {
    await onSource(`${far(1_000_001)}; CREATE TABLE late PARTITION OF line FOR VALUES FROM (1000000) TO (2000000); INSERT INTO line VALUES (1000001, 1, 1); DROP TABLE late`);
    await expect(next()).rejects.toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringContaining('public.late'), metadata: { problem: 'SCHEMA_CHANGED' } });
  });

  test('by ATTACH is let in while it is empty', async () => {
    await onSource(`${far(3_000_001)}; CREATE TABLE attached (LIKE line); ALTER TABLE line ATTACH PARTITION attached FOR VALUES FROM (3000000) TO (4000000)`);
    await next();
    await onSource('INSERT INTO line VALUES (3000001, 1, 1)');
    await expectEqual();
  });

  test.each(['at once', 'one after the other'])('by ATTACH with rows, made and filled %s, ends the stream and bars the fence', async (how) => {
    await next();
    const statements = [
      far(3_000_001),
      'CREATE TABLE attached (LIKE line)',
      'INSERT INTO attached VALUES (3000001, 1, 1)',
      'ALTER TABLE line ATTACH PARTITION attached FOR VALUES FROM (3000000) TO (4000000)',
    ];
    if (how === 'at once') await onSource(statements.join('; '));
    else for (const statement of statements) await onSource(statement);
    await using fence = await stores.source.owner.openFence(SOURCE, never());
    expect(await reasonOf(fence.fence(attempt(1), 5_000, never()))).toBe('SCHEMA_CHANGED');
    expect(await stores.source.owner.fenceRows(TABLES, never())).toMatchObject([{ state: 'OPEN' }, { state: 'OPEN' }]);
    await expectEnd(/partition public\.attached was attached to table "line" .* CREATE TABLE … PARTITION OF/);
  });

  test('on the source alone stops the stream until the target has it, too', async () => {
    await stores.target.sql('DROP TABLE line_rest', 'owner');
    await onSource(`${far(1_000_001)}; CREATE TABLE late PARTITION OF line FOR VALUES FROM (1000000) TO (2000000); INSERT INTO line VALUES (1000001, 1, 1)`);
    await expect(next()).rejects.toMatchObject({ reason: 'CHECK_VIOLATION', message: expect.stringMatching(/no partition in table "line"/) });
    await stores.target.sql('CREATE TABLE late PARTITION OF line FOR VALUES FROM (1000000) TO (2000000)', 'owner');
    await expectEqual();
  });
});

describe('a partition that goes', () => {
  test.each([
    ['DETACH', 'ALTER TABLE line DETACH PARTITION line_few'],
    ['DETACH of one with partitions', 'ALTER TABLE line DETACH PARTITION line_many'],
    ['DROP', 'DROP TABLE line_few'],
    ['DETACH and ATTACH', 'ALTER TABLE line DETACH PARTITION line_few; DELETE FROM line_few; ALTER TABLE line ATTACH PARTITION line_few FOR VALUES FROM (MINVALUE) TO (3)'],
  ])('by %s ends the stream and bars the fence', async (_, sql) => {
    await next();
    await onSource(sql);
    await using fence = await stores.source.owner.openFence(SOURCE, never());
    expect(await reasonOf(fence.fence(attempt(1), 5_000, never()))).toBe('SCHEMA_CHANGED');
    await expectEnd(/of table "line" was detached or dropped/);
    // A new beginning takes what there is then.
    await begin(stores.target.owner, FORWARD, await stores.source.owner.createLog(FORWARD, attempt(1), never()));
    await next();
  });

  test('is noticed while the log is being read', async () => {
    const state = await stores.target.player.takeStream(FORWARD, never());
    await using feed = stores.source.player.follow(FORWARD, schemas, state.position, never());
    const reading = (async () => {
      for await (const transactions of feed) if (transactions.length === 0) await onSource('DROP TABLE IF EXISTS line_even');
    })();
    await expect(reading).rejects.toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringMatching(/line_even/) });
  });
});

describe('a like of it', () => {
  test('has the same partitions, bounds, indexes and defaults', async () => {
    const again = await stores.target.owner.define(['line'], never());
    const original = await stores.source.owner.define(['line'], never());
    expect(await stores.target.owner.planTables(again, never())).toEqual(await stores.source.owner.planTables(original, never()));
    const shown = (await stores.source.owner.planTables(original, never())).join('\n');
    for (const part of [
      'PARTITION BY RANGE (item_id)',
      'PARTITION BY HASH (line)',
      '"Line, odd" PARTITION OF public."line_many"',
      'PARTITION OF public."line" DEFAULT',
      'line_quantity',
    ])
      expect(shown).toContain(part);
  });

  test('has the foreign keys that lead to it once, and what single partitions have beside', async () => {
    await onSource(`CREATE TABLE note (id bigint PRIMARY KEY, item_id bigint, line integer, CONSTRAINT of_line FOREIGN KEY (item_id, line) REFERENCES line);
      ALTER TABLE line_few ALTER quantity SET DEFAULT 3, ALTER quantity SET NOT NULL, ADD CONSTRAINT few CHECK (quantity > 0); CREATE UNIQUE INDEX few_once ON line_few (quantity)`);
    const tables = ['item', 'line', 'note'];
    expect(await stores.source.owner.checkTables([...tables], 'source', never())).toMatchObject([]);
    expect(await stores.source.owner.checkTables(TABLES, 'source', never())).toMatchObject([
      { table: 'line', message: expect.stringContaining('foreign key "of_line" of table "note" leads here') },
    ]);
    const definitions = await stores.source.owner.define(tables, never());
    const plan = await stores.source.owner.planTables(definitions, never());
    expect(plan.filter((statement) => statement.includes('FOREIGN KEY'))).toEqual([expect.stringContaining('line_item_id_fkey'), expect.stringContaining('of_line')]);
    expect(definitions[1]?.more).toEqual(expect.arrayContaining([expect.stringContaining('of partition "line_few"'), expect.stringContaining('few_once')]));
    await stores.target.sql('DROP TABLE line, item; DROP TYPE mood', 'owner');
    for (const statement of plan) await stores.target.sql(statement, 'owner');
    expect(await stores.target.owner.planTables(await stores.target.owner.define(tables, never()), never())).toEqual(plan);
  });

  test('goes as a whole', async () => {
    await stores.target.owner.dropTables({ workflow: 'move1', peer: 'old', tables: TABLES }, never());
    expect(await stores.target.sql(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`, 'owner')).toEqual([]);
  });
});

describe('a table made by hand in the target', () => {
  const columns = '(item_id bigint NOT NULL REFERENCES item, line serial, quantity integer, PRIMARY KEY (item_id, line))';
  const ordinary = `CREATE TABLE line ${columns};`;
  const byNumber = `CREATE TABLE line ${columns} PARTITION BY HASH (line); CREATE TABLE one PARTITION OF line FOR VALUES WITH (MODULUS 1, REMAINDER 0);`;

  test.each([
    ['an ordinary one of a partitioned one', '', ordinary],
    ['one that is partitioned in another way', '', byNumber],
    ['a partitioned one of an ordinary one', `DROP TABLE line; ${ordinary}`, byNumber],
  ])('%s takes its rows', async (_, sourceText, targetText) => {
    await using other = await fresh();
    if (sourceText !== '') await other.source.sql(sourceText, 'owner');
    const [item] = await other.source.owner.define(['item'], never());
    if (item === undefined) throw new Error('no definition');
    for (const statement of await other.target.owner.planTables([item], never())) await other.target.sql(statement, 'owner');
    await other.target.sql(targetText, 'owner');
    const shapes = await arm(other);
    try {
      await other.source.sql(`${items}; ${lines}; UPDATE line SET item_id = 7 - item_id; DELETE FROM line WHERE item_id = 3`, 'owner');
      await catchUp(other, shapes, 1);
      await other.source.sql(`TRUNCATE line; ${lines}`, 'owner');
      await catchUp(other, shapes, 2);
      const table = shapes.get('line') as TableSchema;
      const rows = await allRows(other.target, table);
      expect(rows).toHaveLength(6);
      expect(rows).toEqual(await allRows(other.source, table));
    } finally {
      await other.source.owner.dropLog(FORWARD, null, never());
    }
  });
});

test('a store that an older release has prepared becomes one of this', async () => {
  const { owner } = stores.target;
  await stores.target.sql(`DROP TABLE switchyard.partition; UPDATE switchyard.installation SET version = 5, digest = ''`, 'owner');
  await owner.install(never());
  expect(await stores.target.sql('SELECT count(*) FROM switchyard.partition', 'owner')).toEqual([['0']]);
});

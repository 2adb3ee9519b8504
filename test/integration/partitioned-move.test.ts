import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import { runCutover } from '../../control/cutover/cutover.ts';
import type { SideName } from '../../control/move.ts';
import type { CutoverRecord } from '../../core/workflow-document.ts';
import { systemClock } from '../../runtime/clock.ts';
import { CutoverStage, type StagedMove } from '../support/cutover/move-harness.ts';
import type { PostgresLogin } from '../support/servers/postgres.ts';
import { SHOP_LOGINS } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* A partitioned table goes there and back while a gateway's login writes the table and another program its partitions, and rows leave one partition for another. Every acknowledged write is counted. */

const never = new AbortController().signal;
/** The fence, the right taken away, a snapshot older than the fence. */
const refusals = ['SY001', '42501', '40001'];
const other: Readonly<Record<SideName, SideName>> = { source: 'target', target: 'source' };

let stage: CutoverStage;

beforeAll(async () => {
  stage = await CutoverStage.open(postgresBackend);
}, 120_000);
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});

/** Writes one statement after the other to whichever side takes it. */
class Writer implements AsyncDisposable {
  /** What was acknowledged: order and amount of each line. */
  readonly done = new Map<string, readonly [order: string, amount: string]>();
  switches = 0;
  readonly #login: PostgresLogin;
  readonly #statement: (n: number) => string;
  #side: SideName = 'source';
  #going = true;
  readonly #running: Promise<void>;

  constructor(login: PostgresLogin, statement: (n: number) => string) {
    this.#login = login;
    this.#statement = statement;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const clients = {
      source: new pg.Client(stage.servers.source.url('shop', this.#login)),
      target: new pg.Client(stage.servers.target.url('shop', this.#login)),
    };
    await Promise.all([clients.source.connect(), clients.target.connect()]);
    try {
      for (let n = 0; this.#going; ) {
        const rows = await this.#once(clients[this.#side], this.#statement(n));
        if (rows !== null) {
          for (const { id, order_id, amount } of rows) this.done.set(id, [order_id, amount]);
          n += 1;
        } else {
          this.#side = other[this.#side];
          this.switches += 1;
        }
        await systemClock.sleep(5, never);
      }
    } finally {
      await Promise.all([clients.source.end(), clients.target.end()]);
    }
  }

  /** Null: refused. */
  async #once(client: pg.Client, text: string): Promise<readonly { id: string; order_id: string; amount: string }[] | null> {
    try {
      return (await client.query<{ id: string; order_id: string; amount: string }>(text)).rows;
    } catch (error) {
      if (error instanceof pg.DatabaseError && refusals.includes(error.code ?? '')) return null;
      throw error;
    }
  }
}

async function cutover(staged: StagedMove, to: SideName): Promise<CutoverRecord> {
  await using session = await stage.topology.openSession('test', never);
  return await runCutover({ armed: await staged.armed(), to, streams: staged.streams, session, deps: stage.deps, signal: never });
}

test('there and back under load into the table and into its partitions', async () => {
  await using staged = await stage.arm({}, true);
  const lines = staged.move.tables[1] ?? '';
  const { gateway, owner } = SHOP_LOGINS;
  const insert = (into: string) => (n: number) =>
    `INSERT INTO ${into} (id, order_id, amount) VALUES (nextval('${lines}_id_seq'), ${(n % 25) + 1}, ${n}) RETURNING id, order_id, amount`;
  await using root = new Writer(gateway, (n) => insert(lines)(n));
  await using direct = new Writer(owner, (n) => insert(`${lines}_low`)(n));
  // Between the partitions, with rows of nobody else's.
  await using mover = new Writer(gateway, (n) => `UPDATE ${lines} SET order_id = 51 - order_id, amount = ${n} WHERE id = ${(n % 50) + 1} RETURNING id, order_id, amount`);
  const writers = [root, direct, mover];

  for (const to of ['target', 'source', 'target'] as const) {
    const before = [root, direct].map(({ done }) => done.size);
    expect(await cutover(staged, to)).toMatchObject({ outcome: 'switched', to });
    await systemClock.sleep(500, never);
    for (const [i, { done }] of [root, direct].entries()) expect(done.size).toBeGreaterThan(before[i] ?? 0);
  }
  await Promise.all(writers.map((writer) => writer.stop()));
  const rowsOf = (side: SideName): Promise<string> => stage.servers[side].psql('shop', `SELECT id || ' ' || order_id || ' ' || amount FROM ${lines} ORDER BY id, order_id`);
  const rows = await rowsOf('target');
  await waitUntil('both stores holding the same rows', { limitMs: 20_000, everyMs: 50 }, async () => ((await rowsOf('source')) === rows ? true : undefined));
  const present = new Set(rows.trim().split('\n'));
  for (const { done, switches } of writers) {
    expect(switches).toBeGreaterThan(0);
    expect([...done].map(([id, [order, amount]]) => `${id} ${order} ${amount}`).filter((row) => !present.has(row))).toEqual([]);
  }
  expect(Number(await stage.servers.target.psql('shop', `SELECT count(*) FROM ${lines}`))).toBe(50 + root.done.size + direct.done.size);
  expect(await stage.servers.target.psql('shop', `SELECT count(*) FROM pg_partition_tree('${lines}')`)).toMatch(/5/);
}, 120_000);

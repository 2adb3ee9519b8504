import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/*
 * Compares the tables of two stores row by row: every column of every row as text, and the partition that it is in. Nobody may write meanwhile; the store that is kept current gets up to a minute to have the last changes.
 * Exit code 1: a table differs.
 * Usage: node examples/sample-schema/compare.ts postgres://… postgres://…
 */
const limitMs = 60_000;
const pauseMs = 200;
const shown = 5;

const tablesText = `
  SELECT c.relname AS name, (SELECT count(*) FROM pg_partition_tree(c.oid) p WHERE p.isleaf AND p.level > 0) AS partitions FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname`;

async function connect(connectionString = ''): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(`SET TIME ZONE 'UTC'`);
  return client;
}

interface Table {
  readonly name: string;
  readonly partitions: string;
}

async function rowsOf(client: pg.Client, { name }: Table): Promise<readonly string[]> {
  const table = pg.escapeIdentifier(name);
  const { rows } = await client.query<[string]>({ text: `SELECT tableoid::regclass || ' ' || t::text FROM ${table} t`, rowMode: 'array' });
  return rows.map(([row]) => row).sort();
}

const stores = await Promise.all(process.argv.slice(2, 4).map(connect));
const [one, other] = stores;
if (one === undefined || other === undefined) throw new Error('two stores are needed');
const tables = (await one.query<Table>(tablesText)).rows;
const others = (await other.query<Table>(tablesText)).rows;
if (JSON.stringify(tables) !== JSON.stringify(others)) throw new Error(`the stores have different tables: ${JSON.stringify(tables)}, ${JSON.stringify(others)}`);

const deadline = performance.now() + limitMs;
let total = 0;
for (const table of tables) {
  for (;;) {
    const [left, right] = await Promise.all([rowsOf(one, table), rowsOf(other, table)]);
    const different = Array.from({ length: Math.max(left.length, right.length) }, (_, i) => i).filter((i) => left[i] !== right[i]);
    if (different.length > 0 && performance.now() < deadline) {
      await sleep(pauseMs);
      continue;
    }
    const partitions = table.partitions === '0' ? '' : ` in ${table.partitions} partitions`;
    console.log(`${table.name.padEnd(16)}${String(left.length).padStart(6)} rows${partitions}: ${different.length === 0 ? 'equal' : `${different.length} DIFFER`}`);
    for (const i of different.slice(0, shown)) console.log(`  - ${left[i]}\n  + ${right[i]}`);
    if (different.length > 0) process.exitCode = 1;
    total += left.length;
    break;
  }
}
console.log(`${tables.length} tables, ${total} rows`);
await Promise.all(stores.map((store) => store.end()));

import type { PostgresServer } from '../../support/servers/postgres.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';

const limitMs = 900_000;

export interface NativeCopy {
  readonly source: PostgresServer;
  readonly target: PostgresServer;
  readonly database: string;
  readonly tables: readonly string[];
}

/** A database of its own on the target with the tables' definitions, no rows. */
async function withShapes<T>({ source, target, database, tables }: NativeCopy, name: string, work: () => Promise<T>): Promise<T> {
  await target.createDatabase(name);
  try {
    // It comes with the tables.
    await target.psql(name, 'DROP SCHEMA public;');
    await source.pourInto(target, { from: database, to: name }, ['--schema-only', '--no-owner', '--no-privileges', ...shapesOf(tables)], limitMs);
    return await work();
  } finally {
    await target.psql('postgres', `DROP DATABASE ${name} WITH (FORCE);`);
  }
}

/** Types come only with a whole schema, and so do Switchyard's own things where they are. */
const shapesOf = (tables: readonly string[]): readonly string[] => ['--schema=public', ...excludedOf(tables)];
const excludedOf = (tables: readonly string[]): readonly string[] =>
  ['pgbench_accounts', 'pgbench_branches', 'pgbench_tellers', 'pgbench_history', 'verified'].filter((table) => !tables.includes(table)).map((table) => `--exclude-table=${table}`);

/** PostgreSQL's own logical replication: how long its initial copy takes, in ms, until every table follows. */
export function bySubscription(copy: NativeCopy): Promise<number> {
  const { source, target, database, tables } = copy;
  const name = 'by_subscription';
  return withShapes(copy, name, async () => {
    await source.psql(database, `CREATE PUBLICATION ${name} FOR TABLE ${tables.join(', ')};`);
    try {
      const begunMs = performance.now();
      await target.psql(name, `CREATE SUBSCRIPTION ${name} CONNECTION '${source.url(database)}' PUBLICATION ${name};`);
      try {
        await waitUntil('the initial copy of the subscription', { limitMs, everyMs: 20 }, async () => {
          const open = await target.psql(name, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate NOT IN ('s', 'r');");
          return open.trim() === '0' ? true : undefined;
        });
        return performance.now() - begunMs;
      } finally {
        await target.psql(name, `DROP SUBSCRIPTION ${name};`);
      }
    } finally {
      await source.psql(database, `DROP PUBLICATION ${name};`);
    }
  });
}

/** pg_dump into psql, rows alone into tables with their keys, in ms. */
export function byDump(copy: NativeCopy): Promise<number> {
  const { source, target, database, tables } = copy;
  const name = 'by_dump';
  return withShapes(copy, name, async () => {
    const begunMs = performance.now();
    await source.pourInto(target, { from: database, to: name }, ['--data-only', ...tables.map((table) => `--table=public.${table}`)], limitMs);
    return performance.now() - begunMs;
  });
}

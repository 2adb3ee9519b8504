import pg from 'pg';
import type { ServerShard } from '../../../core/keyspace.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import { APPLICATION_PREFIX, type Problem } from '../../backend.ts';
import { textFromElements } from '../array-text.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import type { TextRow } from '../batch.ts';
import { strangeRows } from '../../strange-rows.ts';
import { describe, type StoreClient } from '../store-client.ts';
import { holdsRows } from './claims.ts';
import { rightsChecks } from './rights-checks.ts';
import { grantsCheck, roleChecks, serverChecks } from './server-checks.ts';
import { tableChecks } from './table-checks.ts';

/** What the checks are made from; `keyspace` is named where the grant script helps. */
export interface CheckedStore {
  readonly client: StoreClient;
  readonly shard: ServerShard;
  readonly keyspace: string;
}

/** See `OwnerStore.checkTables`. */
export async function checkTables(store: CheckedStore, tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
  const { client } = store;
  const { gateway, player } = rolesOf(store);
  const names = arrayOf(tables);
  const missingRoles = await checkRoles(store, signal);
  if (missingRoles.length > 0) return missingRoles;
  const shapes = await shapeProblems(client, tables, side, signal);
  const ofServer = await run(client, serverChecks(gateway, player, store.keyspace), signal);
  return [...ofServer, ...shapes, ...(await run(client, [...tableChecks(names), ...rightsChecks(names, gateway, player)], signal))];
}

/** See `OwnerStore.checkStore`. `closed`: tables that the fence keeps from the gateway. */
export async function checkStore(store: CheckedStore, closed: readonly string[], signal: AbortSignal): Promise<readonly Problem[]> {
  const { gateway, player } = rolesOf(store);
  const missingRoles = await checkRoles(store, signal);
  if (missingRoles.length > 0) return missingRoles;
  const checks = [...serverChecks(gateway, player, store.keyspace), grantsCheck(gateway, player, arrayOf(closed), store.keyspace), ...rightsChecks(arrayOf([]), gateway, player)];
  return run(store.client, checks, signal);
}

/** Without the roles the other questions cannot be asked. */
function checkRoles(store: CheckedStore, signal: AbortSignal): Promise<readonly Problem[]> {
  const { gateway, player } = rolesOf(store);
  return run(store.client, [roleChecks(`ARRAY[${gateway}, ${player}]`)], signal);
}

const rolesOf = ({ shard }: CheckedStore) => ({ gateway: pg.escapeLiteral(shard.gateway.user), player: pg.escapeLiteral(shard.player.user) });
const arrayOf = (tables: readonly string[]): string => `ARRAY[${tables.map((table) => pg.escapeLiteral(table)).join(', ')}]::text[]`;

async function run(client: StoreClient, checks: readonly string[], signal: AbortSignal): Promise<readonly Problem[]> {
  const found: Problem[] = [];
  for (const check of checks) found.push(...problemsFromRows(await client.query(check, [], signal)));
  return found;
}

/** Of these tables, which a move would take as its target, those that hold rows. One that the owner may not read is another check's. */
export async function rowProblems(client: StoreClient, tables: readonly string[], signal: AbortSignal): Promise<readonly Problem[]> {
  const readable = `SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[]) AND has_table_privilege(c.oid, 'SELECT') ORDER BY c.relname`;
  const problems: Problem[] = [];
  for (const [table = ''] of (await client.query(readable, [textFromElements(tables)], signal)) as readonly string[][]) {
    if (await holdsRows(client, table, signal)) problems.push(strangeRows(table, quoteTable(table)));
  }
  return problems;
}

/** Transactions that a fence, or a new replication slot, would wait for; see `OwnerStore.checkQuiet`. Those of `gateway`, the gateways' login, do not count; null: all do. */
export async function checkQuiet(
  client: StoreClient,
  gateway: string | null,
  tables: readonly string[],
  transactionAgeMs: number,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  // Old readers are in nobody's way. What counts is a lock that the fence's own conflicts with, and a transaction that has written anything. Transactions of callers' are none of these: a gateway ends them itself when the hold begins.
  const lockedTables = 'pg_locks l JOIN pg_class c ON c.oid = coalesce(pg_partition_root(l.relation), l.relation)';
  const old = `
    SELECT (SELECT min(c.relname) FROM ${lockedTables} WHERE l.pid = a.pid AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[])),
      format('transaction of role "%s" (process %s, %s) has been open for %s s', a.usename, a.pid, a.state, round(extract(epoch FROM clock_timestamp() - a.xact_start), 1)),
      format('wait for it, or: SELECT pg_terminate_backend(%s)', a.pid)
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
      AND ($3::text IS NULL OR a.usename <> $3 OR a.application_name NOT LIKE '${APPLICATION_PREFIX}%') AND clock_timestamp() - a.xact_start > $2::float8 * interval '1 ms'
      AND (a.backend_xid IS NOT NULL OR EXISTS (
        SELECT FROM ${lockedTables} WHERE l.pid = a.pid AND l.granted AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[])
          AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')))`;
  const prepared = `
    SELECT NULL, format('prepared transaction "%s" of role "%s" is open since %s', p.gid, p.owner, p.prepared::timestamp(0)), format('COMMIT PREPARED %L, or ROLLBACK PREPARED %1$L', p.gid)
    FROM pg_prepared_xacts p WHERE p.database = current_database()`;
  const values = [textFromElements(tables), String(transactionAgeMs)];
  return [...problemsFromRows(await client.query(old, [...values, gateway], signal)), ...problemsFromRows(await client.query(prepared, [], signal))];
}

async function shapeProblems(client: StoreClient, tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  for (const table of tables) {
    try {
      const schema = await describe(client, table, signal);
      if (schema === null && side === 'source') problems.push({ table, message: 'the store has no such table in its schema public', fix: 'name an existing table' });
      const generated = schema?.columns.find((column) => column.generated && schema.primaryKey.includes(column.name));
      if (generated !== undefined) {
        problems.push({
          table,
          message: `column "${generated.name}" of the primary key is generated, so the log does not hold it`,
          fix: `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdentifier(generated.name)} DROP EXPRESSION`,
        });
      }
    } catch (error) {
      if (!hasReason(error, 'TABLE_UNSUPPORTED')) throw error;
      const column = error.metadata.column;
      const fix =
        column === undefined
          ? `ALTER TABLE ${quoteTable(table)} accordingly, or leave the table out`
          : `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdentifier(column)} to a served type, or leave the table out`;
      problems.push({ table, message: error.message, fix });
    }
  }
  return problems;
}

const problemsFromRows = (rows: readonly TextRow[]): readonly Problem[] => rows.map(([table, message, fix]) => ({ table: table ?? null, message: message ?? '', fix: fix ?? '' }));

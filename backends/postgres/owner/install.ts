import { createHash } from 'node:crypto';
import pg from 'pg';
import type { ServerShard } from '../../../core/keyspace.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { quoteIdentifier } from '../connection.ts';
import type { Statements, StoreClient } from '../store-client.ts';
import { functionScript } from './fence-sql.ts';
import { partitionFunctions, partitionTable } from './partition-sql.ts';
import { eventTables, recordChange } from './watch-sql.ts';

/** Raised whenever the tables' shape changes; a step of `migrations` leads to it. */
const VERSION = 6;

/** Step n leads from version n − 1 to n. Never edited once released. */
const migrations: readonly string[] = [
  `
CREATE TABLE switchyard.fence (
  table_name text PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('OPEN', 'FROZEN', 'SEALED', 'CLOSED', 'READABLE')),
  attempt bigint NOT NULL CHECK (attempt >= 0),
  peer text NOT NULL,
  workflow text
);
CREATE TABLE switchyard.stream (
  id text PRIMARY KEY,
  workflow text NOT NULL,
  token bigint NOT NULL,
  position text NOT NULL,
  marker bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE switchyard.copy (
  stream text NOT NULL,
  table_name text NOT NULL,
  last_key text,
  rows bigint NOT NULL,
  done boolean NOT NULL,
  PRIMARY KEY (stream, table_name)
) WITH (fillfactor = 50);
CREATE TABLE switchyard.marker (workflow text PRIMARY KEY, attempt bigint NOT NULL);
CREATE TABLE switchyard.watermark (stream text PRIMARY KEY, id bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE switchyard.rights (table_name text PRIMARY KEY, privileges text[] NOT NULL);`,
  // The streams that are under way take the records along from here on.
  `
CREATE TABLE switchyard.request (
  caller text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  digest text NOT NULL,
  result bytea NOT NULL,
  recorded_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  PRIMARY KEY (caller, request_id, table_name)
);
CREATE INDEX request_recorded_at ON switchyard.request (recorded_at);
DO $migration$
DECLARE
  each_publication name;
BEGIN
  FOR each_publication IN
    SELECT p.pubname FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE r.prrelid = 'switchyard.marker'::regclass AND p.pubname LIKE 'switchyard\\_%'
  LOOP
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE switchyard.request', each_publication);
  END LOOP;
END $migration$;`,
  // The attempt for which each log was begun last.
  'CREATE TABLE switchyard.log (stream text PRIMARY KEY, attempt bigint NOT NULL);',
  // The highest attempt of each workflow that has begun to prepare to leave this store.
  'CREATE TABLE switchyard.preparation (workflow text PRIMARY KEY, attempt bigint NOT NULL);',
  eventTables,
  partitionTable,
];

/** One key for everybody who installs into a database: "switchya" as eight bytes. */
export const INSTALL_LOCK = '8319396836420483425';

const grants = (gateway: string, player: string): string => `
GRANT USAGE ON SCHEMA switchyard TO ${gateway}, ${player};
GRANT SELECT ON switchyard.fence TO ${gateway}, ${player};
GRANT SELECT ON switchyard.watched, switchyard.event, switchyard.event_number_seq TO ${gateway};
GRANT SELECT, INSERT ON switchyard.request TO ${gateway};
GRANT SELECT, UPDATE ON switchyard.stream TO ${player};
REVOKE ALL ON FUNCTION switchyard.know_partitions(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION switchyard.know_partitions(text[]) TO ${player};
GRANT SELECT, INSERT, UPDATE ON switchyard.copy, switchyard.watermark, switchyard.request TO ${player};`;

/**
 * Creates or updates the schema `switchyard` in one transaction; installations at the same time wait for each other. Nothing happens when this version with these roles is there. PRECHECK_FAILED: a
 * newer version is installed.
 */
export async function install(client: StoreClient, shard: ServerShard, signal: AbortSignal): Promise<void> {
  const player = pg.escapeLiteral(shard.player.user);
  const functions = [functionScript(player), partitionFunctions(player), recordChange].join('\n');
  const digest = createHash('sha256')
    .update(JSON.stringify([VERSION, functions, shard.gateway.user, shard.player.user]))
    .digest('hex');
  if ((await installed(client, signal))?.digest === digest) return;
  await client.transaction(signal, async (transaction) => {
    await transaction.query(`SELECT pg_advisory_xact_lock(${INSTALL_LOCK})`, [], signal);
    const present = await installed(transaction, signal);
    if (present !== null && present.version > VERSION) {
      throw new SwitchyardError('PRECHECK_FAILED', `the store's schema "switchyard" has version ${present.version}, newer than this program's ${VERSION}: run the newer release`);
    }
    if (present?.digest === digest) return;
    if (present === null) await transaction.query(begin, [], signal);
    for (const step of migrations.slice(present?.version ?? 0)) await transaction.query(step, [], signal);
    await transaction.query(functions, [], signal);
    await transaction.query(grants(quoteIdentifier(shard.gateway.user), quoteIdentifier(shard.player.user)), [], signal);
    await transaction.query('UPDATE switchyard.installation SET version = $1::integer, digest = $2, gateway = $3', [String(VERSION), digest, shard.gateway.user], signal);
  });
}

// The administrator's script makes the schema; an owner that may create schemas does without it.
const begin = `
DO $$ BEGIN IF to_regnamespace('switchyard') IS NULL THEN CREATE SCHEMA switchyard; END IF; END $$;
CREATE TABLE switchyard.installation (version integer NOT NULL, digest text NOT NULL, gateway text NOT NULL);
INSERT INTO switchyard.installation VALUES (0, '', '');`;

async function installed(statements: Statements, signal: AbortSignal): Promise<{ readonly version: number; readonly digest: string } | null> {
  // Not to_regclass, which would answer from what this session remembers from before it waited for the lock.
  const [found] = await statements.query(
    `SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'switchyard' AND c.relname = 'installation'`,
    [],
    signal,
  );
  if (found === undefined) return null;
  const [row] = await statements.query('SELECT version, digest FROM switchyard.installation', [], signal);
  return row === undefined ? null : { version: Number(row[0]), digest: row[1] ?? '' };
}

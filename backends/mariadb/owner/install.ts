import { createHash } from 'node:crypto';
import type { ServerShard } from '../../../core/keyspace.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { UNUSED_LIMIT_S } from '../connection.ts';
import { errorNumber } from '../errors.ts';
import { COPY_TABLE, FENCE_TABLE, MARKER_TABLE, REQUEST_TABLE, STREAM_TABLE, WATERMARK_TABLE } from '../names.ts';
import type { Statements, StoreClient } from '../store-client.ts';
import { accountsOf } from './accounts.ts';
import { storeFunctions } from './fence-sql.ts';
import { explained } from './locking.ts';
import { INSTALLATION_TABLE, installationTable, LOG_TABLE, migrations, STORE_VERSION } from './store-sql.ts';
import { HOLD_OPEN, holdOpen } from './trigger-sql.ts';

const NO_SUCH_TABLE = 1146;
/** So long one who installs waits for another before it looks at its signal again, in seconds. */
const LOCK_WAIT_S = 5;
/** An installation that says nothing for so long is taken for dead, in seconds. */
const SILENCE_LIMIT_S = 10;

/** The name of the lock, of the whole server, under which a database is installed into. */
export const installLock = (database: string): string => `switchyard.${createHash('sha256').update(database).digest('hex').slice(0, 32)}`;

/**
 * Creates or updates Switchyard's own tables and functions; installations at the same time wait for each other. Every statement commits by itself and may be repeated, and the version is written down last: one that was cut short is done
 * again. Nothing happens when this version with these logins is there. PRECHECK_FAILED: a newer version is installed.
 */
export async function install(client: StoreClient, shard: ServerShard, signal: AbortSignal): Promise<void> {
  const functions = [...storeFunctions, holdOpen.trim()];
  const grants = grantStatements(await accountsOf(client, shard.gateway.user, signal), await accountsOf(client, shard.player.user, signal));
  const digest = createHash('sha256')
    .update(JSON.stringify([STORE_VERSION, functions, grants]))
    .digest('hex');
  if ((await installed(client, signal))?.digest === digest) return;
  const lock = installLock(shard.database);
  await client.alone(signal, async (statements) => {
    // One that is gone without a word must not keep the lock.
    await statements.command(`SET wait_timeout = ${SILENCE_LIMIT_S}`, signal);
    while ((await statements.query(`SELECT GET_LOCK(?, ${LOCK_WAIT_S})`, [lock], signal)).rows[0]?.[0] !== 1);
    try {
      await installUnder(statements, { functions, grants, digest }, signal);
    } catch (error) {
      throw explained(error);
    } finally {
      // Also when the signal has aborted: the connection, and with it the lock, would be the next caller's.
      const regardless = new AbortController().signal;
      await statements.query('DO RELEASE_LOCK(?)', [lock], regardless).catch(() => {});
      await statements.command(`SET wait_timeout = ${UNUSED_LIMIT_S}`, regardless).catch(() => {});
    }
  });
}

async function installUnder(
  statements: Statements,
  { functions, grants, digest }: { readonly functions: readonly string[]; readonly grants: readonly string[]; readonly digest: string },
  signal: AbortSignal,
): Promise<void> {
  const present = await installed(statements, signal);
  if (present !== null && present.version > STORE_VERSION) {
    throw new SwitchyardError(
      'PRECHECK_FAILED',
      `the store's Switchyard tables have version ${present.version}, newer than this program's ${STORE_VERSION}: run the newer release`,
    );
  }
  if (present?.digest === digest) return;
  for (const statement of [installationTable, ...migrations.slice(present?.version ?? 0).flat(), ...functions, ...grants]) await statements.command(statement, signal);
  const put = `INSERT INTO ${INSTALLATION_TABLE} (id, version, digest) VALUES (1, ${STORE_VERSION}, ?) ON DUPLICATE KEY UPDATE version = VALUES(version), digest = VALUES(digest)`;
  await statements.query(put, [digest], signal);
}

/** What gateway and player do with Switchyard's own tables. */
function grantStatements(gateway: readonly string[], player: readonly string[]): readonly string[] {
  const grant = (rights: string, on: string, accounts: readonly string[]): readonly string[] =>
    accounts.length === 0 ? [] : [`GRANT ${rights} ON ${on} TO ${accounts.join(', ')}`];
  return [
    ...grant('SELECT', FENCE_TABLE, gateway),
    ...grant('SELECT, INSERT', REQUEST_TABLE, gateway),
    ...grant('EXECUTE', `FUNCTION ${HOLD_OPEN}`, gateway),
    ...grant('SELECT', FENCE_TABLE, player),
    ...grant('SELECT', MARKER_TABLE, player),
    ...[STREAM_TABLE, LOG_TABLE].flatMap((table) => grant('SELECT, UPDATE', table, player)),
    ...[COPY_TABLE, WATERMARK_TABLE, REQUEST_TABLE].flatMap((table) => grant('SELECT, INSERT, UPDATE', table, player)),
  ];
}

async function installed(statements: Statements, signal: AbortSignal): Promise<{ readonly version: number; readonly digest: string } | null> {
  try {
    const [row] = (await statements.query(`SELECT version, digest FROM ${INSTALLATION_TABLE}`, [], signal)).rows;
    return row === undefined ? null : { version: Number(row[0]), digest: String(row[1]) };
  } catch (error) {
    if (error instanceof SwitchyardError && errorNumber(error.cause) === NO_SUCH_TABLE) return null;
    throw error;
  }
}

import type { Clock } from '../../../core/clock.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import type { Problem } from '../../backend.ts';
import { quoteText } from '../connection.ts';
import { FENCE_TABLE } from '../names.ts';
import type { ValueRow } from '../session.ts';
import type { StoreClient } from '../store-client.ts';
import { places } from './claims.ts';
import { GATE_TABLE } from './store-sql.ts';

/** So long writers wait, at the very most, while it is found out who holds the gate. */
const PROBE_S = 0.06;
const LOOK_AFTER_MS = 10;
/** What the server shows of transactions it gathers anew only when nobody has looked for a tenth of a second. */
const STALE_MS = 120;
/** Short writers hold the gate as well: so often it is asked whether it is free, and that is enough where it is once. */
const TRIES = 5;
const PAUSE_MS = 5;

interface QuietStore {
  readonly client: StoreClient;
  readonly clock: Clock;
  readonly shard: ServerShard;
}

/**
 * See `OwnerStore.checkQuiet`. Old readers are in nobody's way, and what the server shows of a transaction does not say which tables it has written. So where an old one holds locks at all, it is tried whether the gate is free; and where it never is,
 * the gate is asked for, as a fence would, for a moment: whoever keeps it is shown then. Transactions of the gateways' login are not: a gateway ends its callers' itself when the hold begins.
 */
export async function checkQuiet({ client, clock, shard }: QuietStore, tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
  const ageS = (transactionAgeMs / 1_000).toFixed(6);
  const old = await client.query(`SELECT trx_id FROM information_schema.INNODB_TRX WHERE trx_lock_structs > 0 AND trx_started < NOW(6) - INTERVAL ${ageS} SECOND`, [], signal);
  const kept = old.rows.length === 0 ? [] : await keptGates({ client, clock, shard }, tables, ageS, signal);
  return [...kept.map(openProblem), ...(await preparedProblems(client, signal))];
}

/** Old transactions that keep a gate of the tables: connection, login, seconds. */
async function keptGates(store: QuietStore, tables: readonly string[], ageS: string, signal: AbortSignal): Promise<readonly ValueRow[]> {
  if (tables.length === 0) return [];
  const gates = `SELECT g.workflow FROM ${FENCE_TABLE} f JOIN ${GATE_TABLE} g FORCE INDEX (PRIMARY) ON g.workflow = f.workflow WHERE f.table_name IN (${places(tables)})`;
  const workflows = [...new Set((await store.client.query(gates, tables, signal)).rows.map(([workflow]) => String(workflow)))];
  const found: ValueRow[] = [];
  for (const workflow of workflows) if (!(await isFree(store, workflow, signal))) found.push(...(await keepers(store, workflow, ageS, signal)));
  return found;
}

async function isFree({ client, clock }: QuietStore, workflow: string, signal: AbortSignal): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    const { rows } = await client.query(`SELECT 1 FROM ${GATE_TABLE} WHERE workflow = ? FOR UPDATE SKIP LOCKED`, [workflow], signal);
    if (rows.length > 0 || tries === TRIES) return rows.length > 0;
    await clock.sleep(PAUSE_MS, signal);
  }
}

async function keepers({ client, clock, shard }: QuietStore, workflow: string, ageS: string, signal: AbortSignal): Promise<readonly ValueRow[]> {
  // Two at once, so that there are two connections: the one that looks must not come before the one that asks.
  await Promise.all([client.command('DO 0', signal), client.command('DO 0', signal), clock.sleep(STALE_MS, signal)]);
  // That it does not get the gate is what it is asked for.
  const probe = `SET STATEMENT max_statement_time = ${PROBE_S} FOR SELECT 1 FROM ${GATE_TABLE} WHERE workflow = ${quoteText(workflow)} FOR UPDATE`;
  const probing = client.command(probe, signal).catch(() => {});
  await clock.sleep(LOOK_AFTER_MS, signal);
  const blockers = `
      SELECT DISTINCT b.trx_mysql_thread_id, COALESCE(CONCAT(p.USER, '@', p.HOST), 'nobody'), ROUND(TIMESTAMPDIFF(MICROSECOND, b.trx_started, NOW(6)) / 1e6, 1)
      FROM information_schema.INNODB_LOCK_WAITS w JOIN information_schema.INNODB_LOCKS l ON l.lock_id = w.blocking_lock_id JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id
      LEFT JOIN information_schema.PROCESSLIST p ON p.ID = b.trx_mysql_thread_id
      WHERE l.lock_table = CONCAT('\`', DATABASE(), '\`.\`${GATE_TABLE}\`') AND b.trx_started < NOW(6) - INTERVAL ${ageS} SECOND AND NOT (p.USER <=> ?)`;
  const { rows } = await client.query(blockers, [shard.gateway.user], signal);
  await probing;
  return rows;
}

function openProblem([connection, login, seconds]: ValueRow): Problem {
  const message = `transaction of "${String(login)}" (connection ${String(connection)}) has written tables of the workflow and been open for ${String(seconds)} s`;
  return { table: null, message, fix: `wait for it, or: KILL ${String(connection)}` };
}

/** They keep their locks without a connection, and come into the log whenever somebody commits them. */
export async function preparedProblems(client: StoreClient, signal: AbortSignal): Promise<readonly Problem[]> {
  const { rows } = await client.command(`XA RECOVER FORMAT = 'SQL'`, signal);
  return rows.map(([, , , xid]) => ({
    table: null,
    message: `transaction ${String(xid)} is prepared and waits for somebody to commit it`,
    fix: `XA COMMIT ${String(xid)}, or XA ROLLBACK ${String(xid)}`,
  }));
}

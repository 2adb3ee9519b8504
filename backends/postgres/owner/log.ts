import pg from 'pg';
import type { Clock } from '../../../core/clock.ts';
import { type Attempt, type Position, position } from '../../../core/ids.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { StreamSpec } from '../../backend.ts';
import { textFromElements } from '../array-text.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import { sqlState } from '../errors.ts';
import { logBegunLater } from '../../stream-beginning.ts';
import { logName } from '../log-names.ts';
import { checkQuiet } from './checks.ts';
import { lockingTransaction } from './locking.ts';
import { relationName } from '../members.ts';
import type { StoreClient } from '../store-client.ts';

/** A new slot begins when the transactions that run now have ended. */
const SLOT_LIMIT_MS = 30_000;
/** How long a slot's reader may take to end after it was told to. */
const READER_LIMIT_MS = 5_000;
const READER_RETRY_MS = 50;
/** Of the transactions that a slot has waited for. */
const NAMED_TRANSACTIONS = 3;
const OBJECT_IN_USE = '55006';
const QUERY_CANCELED = '57014';
const DUPLICATE_OBJECT = '42710';

export interface LogParts {
  readonly client: StoreClient;
  readonly clock: Clock;
  readonly shard: ServerShard;
}

/** A log as one attempt changes it. `ours`: an SQL condition that keeps the log as it is until the transaction ends, and is false where a later attempt has claimed it. */
interface OwnLog {
  readonly name: string;
  readonly stream: StreamSpec;
  readonly ours: string;
}

/** The stream's publication and slot; both are there when it resolves. Returns the position from which the slot delivers. */
export async function createLog(parts: LogParts, stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
  const { client } = parts;
  await claimLog(client, stream, by, signal);
  const log = await ownLog(parts, stream, by, signal);
  await notePartitions(client, log, signal);
  // Before the slot: the log is read with the catalogue as it was then, and has to find the publication in it.
  await createPublication(parts, log, signal);
  await dropSlot(parts, log, signal);
  const left = await client.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [log.name], signal);
  // Begun by somebody else since we claimed it.
  if (left.length > 0) throw logBegunLater(stream);
  return createSlot(client, log, signal);
}

export async function dropLog(parts: LogParts, stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
  const log = await ownLog(parts, stream, by, signal);
  await dropSlot(parts, log, signal);
  await dropPublication(parts, log, signal);
  if (by === null && (await hasAttempts(parts.client, signal))) await parts.client.query('DELETE FROM switchyard.log WHERE stream = $1', [stream.id], signal);
}

/** Writes the partitions down as they are before the log begins: what comes or goes later may have rows that are neither copied nor logged. */
async function notePartitions(client: StoreClient, { stream, ours }: OwnLog, signal: AbortSignal): Promise<void> {
  const tables = textFromElements(stream.tables);
  await client.transaction(signal, async (transaction) => {
    if ((await transaction.query(`SELECT WHERE ${ours}`, [], signal)).length === 0) return;
    await transaction.query('DELETE FROM switchyard.partition WHERE table_name = ANY ($1::text[])', [tables], signal);
    const note = 'INSERT INTO switchyard.partition SELECT t, p.partition, p.name, p.joined FROM unnest($1::text[]) t, switchyard.partitions_of(t) p';
    await transaction.query(note, [tables], signal);
  });
}

/** From here on an earlier attempt changes nothing of the log. */
async function claimLog(client: StoreClient, stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<void> {
  const claim = `
    INSERT INTO switchyard.log (stream, attempt) VALUES ($1, $2::bigint)
    ON CONFLICT (stream) DO UPDATE SET attempt = EXCLUDED.attempt WHERE log.attempt <= EXCLUDED.attempt RETURNING 1`;
  if ((await client.query(claim, [stream.id, String(by)], signal)).length === 0) throw logBegunLater(stream);
}

/** Without a row of the log's, or without the table, an older release has begun it: nobody sleeps there. */
async function ownLog({ client, shard }: LogParts, stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<OwnLog> {
  const name = logName(stream, shard);
  if (by === null || !(await hasAttempts(client, signal))) return { name, stream, ours: 'true' };
  await client.query('INSERT INTO switchyard.log (stream, attempt) VALUES ($1, 0) ON CONFLICT DO NOTHING', [stream.id], signal);
  return { name, stream, ours: `EXISTS (SELECT FROM switchyard.log WHERE stream = ${pg.escapeLiteral(stream.id)} AND attempt <= ${by} FOR SHARE)` };
}

/** Whether the store remembers who has begun its logs. */
export async function hasAttempts(client: StoreClient, signal: AbortSignal): Promise<boolean> {
  const [row] = await client.query(`SELECT to_regclass('switchyard.log')`, [], signal);
  return typeof row?.[0] === 'string';
}

/** A write that looks up its table's publications while one of them goes fails with "cache lookup failed for publication": so nobody writes in that moment. */
async function dropPublication({ client, clock }: LogParts, { name, ours }: OwnLog, signal: AbortSignal): Promise<void> {
  // Our own tables first, as an apply does. Not the records of requests: the writes of every table add to them, which looks nothing up, and a player comes to them behind its stream's row.
  const members = `
    SELECT ${relationName('c')} FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
    WHERE p.pubname = $1 AND NOT (c.relname = 'request' AND c.relnamespace = to_regnamespace('switchyard')) ORDER BY c.relnamespace::regnamespace::text DESC, c.relname`;
  await lockingTransaction(client, clock, signal, async (transaction) => {
    if ((await transaction.query(`SELECT WHERE ${ours}`, [], signal)).length === 0) return;
    for (const [table] of await transaction.query(members, [name], signal)) await transaction.query(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`, [], signal);
    await transaction.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`, [], signal);
  });
}

async function createPublication({ client, clock }: LogParts, { name, stream }: OwnLog, signal: AbortSignal): Promise<void> {
  const present = await client.query('SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1', [name], signal);
  // A control of an older release makes one without the records of requests.
  if (present.some(([schema, table]) => schema === 'switchyard' && table === 'request')) return;
  // The changes of a partitioned table are published as those of its partitions: as the table's own (publish_via_partition_root) they would lack each TRUNCATE of a partition.
  const tables = [...stream.tables.map(quoteTable), 'switchyard.marker', 'switchyard.watermark', 'switchyard.stream', 'switchyard.request'];
  const publication = quoteIdentifier(name);
  const statement = present.length === 0 ? `CREATE PUBLICATION ${publication} FOR TABLE ${tables.join(', ')}` : `ALTER PUBLICATION ${publication} ADD TABLE switchyard.request`;
  try {
    await lockingTransaction(client, clock, signal, (transaction) => transaction.query(statement, [], signal));
  } catch (error) {
    // Somebody else has just done it.
    if (!(error instanceof SwitchyardError) || sqlState(error.cause) !== DUPLICATE_OBJECT) throw error;
  }
}

async function createSlot(client: StoreClient, { name, stream }: OwnLog, signal: AbortSignal): Promise<Position> {
  try {
    return await client.transaction(signal, async (transaction) => {
      await transaction.query(`SET LOCAL statement_timeout = ${SLOT_LIMIT_MS}`, [], signal);
      const [row] = await transaction.query(`SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')`, [name], signal);
      return position(row?.[0] ?? '');
    });
  } catch (error) {
    if (!hasReason(error, 'STORE_UNAVAILABLE') || sqlState(error.cause) !== QUERY_CANCELED) throw error;
    const open = await checkQuiet(client, null, stream.tables, SLOT_LIMIT_MS / 2, signal);
    const named = open.slice(0, NAMED_TRANSACTIONS).map(({ message, fix }) => `${message}: ${fix}`);
    const which = named.length === 0 ? 'pg_stat_activity of all databases, ordered by xact_start' : named.join('; ');
    throw new SwitchyardError('PRECHECK_FAILED', `the log could not begin within ${SLOT_LIMIT_MS / 1_000} s because transactions stayed open: end them and try again (${which})`, {
      cause: error,
    });
  }
}

async function dropSlot(parts: LogParts, { name, ours }: OwnLog, signal: AbortSignal): Promise<void> {
  await dropSlotIf(parts, `slot_name = $1 AND ${ours}`, [name], signal);
}

/** Drops the replication slot that the SQL condition chooses, ending its reader first. False: it chooses none. */
export async function dropSlotIf({ client, clock }: LogParts, condition: string, values: readonly string[], signal: AbortSignal): Promise<boolean> {
  const deadline = clock.monotonic() + READER_LIMIT_MS;
  for (;;) {
    try {
      await client.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL AND ${condition}`, values, signal);
      return (await client.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE ${condition}`, values, signal)).length > 0;
    } catch (error) {
      const inUse = error instanceof SwitchyardError && sqlState(error.cause) === OBJECT_IN_USE;
      if (!inUse || clock.monotonic() > deadline) throw error;
      await clock.sleep(READER_RETRY_MS, signal);
    }
  }
}

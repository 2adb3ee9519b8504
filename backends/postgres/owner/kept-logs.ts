import pg from 'pg';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { KeptLog } from '../../backend.ts';
import { sqlState } from '../errors.ts';
import { LOG_NAME_PATTERN, logName } from '../log-names.ts';
import { dropSlotIf, hasAttempts, type LogParts } from './log.ts';

const UNDEFINED_OBJECT = '42704';
/** Slots of the whole server are seen in each of its databases. */
const isOurs = `slot_type = 'logical' AND database = current_database() AND slot_name ~ '${LOG_NAME_PATTERN}'`;
/** A slot that the server has given up keeps nothing, and has no place any more. */
const keptBytes = 'greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0), 0)';

/** See `OwnerStore.keptLogs`: the slots of this database, with the part of the server's WAL that cannot go because of each. */
export async function keptLogs({ client, shard }: LogParts, signal: AbortSignal): Promise<readonly KeptLog[]> {
  const slots = await client.query(`SELECT slot_name, ${keptBytes}, active FROM pg_replication_slots WHERE ${isOurs} ORDER BY slot_name`, [], signal);
  if (slots.length === 0) return [];
  const begun = (await hasAttempts(client, signal)) ? await client.query('SELECT stream FROM switchyard.log', [], signal) : [];
  const streams = new Map(begun.map(([id]) => [logName({ id: id ?? '' }, shard), id ?? '']));
  return slots.map(([slot, bytes, active]) => {
    const name = slot ?? '';
    return { name, stream: streams.get(name) ?? null, bytes: Number(bytes), followed: active === 't', dropText: `SELECT pg_drop_replication_slot(${pg.escapeLiteral(name)})` };
  });
}

/** See `OwnerStore.dropKeptLog`. The publication stays: it keeps nothing, and to drop it the writers of its tables would have to wait. */
export async function dropKeptLog(parts: LogParts, name: string, atLeastBytes: number, signal: AbortSignal): Promise<boolean> {
  try {
    return await dropSlotIf(parts, `slot_name = $1 AND ${isOurs} AND ${keptBytes} >= $2::numeric`, [name, String(atLeastBytes)], signal);
  } catch (error) {
    // Dropped by somebody else in the moment between.
    if (error instanceof SwitchyardError && sqlState(error.cause) === UNDEFINED_OBJECT) return false;
    throw error;
  }
}

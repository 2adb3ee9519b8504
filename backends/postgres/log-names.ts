import { createHash } from 'node:crypto';
import type { ServerShard } from '../../core/keyspace.ts';
import type { StreamSpec } from '../backend.ts';

/**
 * Name of the stream's replication slot and of its publication: at most 63 characters of a–z, 0–9 and _. A slot's name is unique in the whole server, so the database has a part in it.
 */
export function logName(stream: Pick<StreamSpec, 'id'>, shard: ServerShard): string {
  const readable = stream.id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 40);
  const digest = createHash('sha256')
    .update(JSON.stringify([shard.database, stream.id]))
    .digest('hex')
    .slice(0, 10);
  return `switchyard_${readable}_${digest}`;
}

/** What every name of `logName` matches, as a regular expression of PostgreSQL. */
export const LOG_NAME_PATTERN = '^switchyard_[a-z0-9_]*_[0-9a-f]{10}$';

/** Prefix of the message by which a store's log says that a partitioned table is truncated as a whole; the message is the table's name. The log itself has the partitions only. */
export const TRUNCATE_MESSAGE = 'switchyard truncate';

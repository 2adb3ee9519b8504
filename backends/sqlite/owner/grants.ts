import type { Shard } from '../../../core/keyspace.ts';

/** SQLite has no logins and no rights on tables, so there is nothing to run: who may read and write the file may do everything. The text says so to the administrator who asked. */
export function grantScript(_shard: Shard, _tables: readonly string[]): string {
  return `-- SQLite knows no logins and no rights: there is nothing to grant.
-- Gateway, player and owner open the same file; give the processes of Switchyard, and nobody who should not write the tables, the right to read and write the file and its directory (SQLite makes
-- "-wal" and "-shm" files beside it). While a table is fenced, triggers refuse the writes of every program, the sqlite3 shell included; reads of other programs are not refused.
`;
}

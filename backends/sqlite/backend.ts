import type { Backend } from '../backend.ts';
import { openDataStore } from './data/data-store.ts';
import { grantScript } from './owner/grants.ts';
import { openOwnerStore } from './owner/owner-store.ts';
import { openReplicationStore } from './player/replication-store.ts';

/** SQLite by `node:sqlite`: a file on the machine of every process that opens it, in WAL mode. No network file systems: their locks cannot be relied on. */
export const sqliteBackend: Backend = {
  kind: 'sqlite',
  shardForm: 'file',
  capabilities: { readFence: true, transactions: false, watching: false },
  openData: openDataStore,
  openReplication: openReplicationStore,
  openOwner: openOwnerStore,
  grantScript,
};

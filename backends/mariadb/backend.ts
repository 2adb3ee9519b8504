import type { Backend } from '../backend.ts';
import { openDataStore } from './data/data-store.ts';
import { grantScript } from './owner/grants.ts';
import { openOwnerStore } from './owner/owner-store.ts';
import { openReplicationStore } from './player/replication-store.ts';

/** MariaDB 10.6 or newer, reached directly (no proxy that shares sessions in between). A keyspace is a database of the server. */
export const mariadbBackend: Backend = {
  kind: 'mariadb',
  shardForm: 'server',
  capabilities: { readFence: true, transactions: true, watching: false },
  openData: openDataStore,
  openReplication: openReplicationStore,
  openOwner: openOwnerStore,
  grantScript,
};

import type { Backend } from '../backend.ts';
import { openDataStore } from './data/data-store.ts';
import { grantScript } from './owner/grants.ts';
import { openOwnerStore } from './owner/owner-store.ts';
import { openReplicationStore } from './player/replication-store.ts';

/** PostgreSQL 14 or newer, reached directly (no pooler that shares sessions in between). Tables live in the schema `public`. */
export const postgresBackend: Backend = {
  kind: 'postgres',
  shardForm: 'server',
  capabilities: { readFence: true, transactions: true, watching: true },
  openData: openDataStore,
  openReplication: openReplicationStore,
  openOwner: openOwnerStore,
  grantScript,
};

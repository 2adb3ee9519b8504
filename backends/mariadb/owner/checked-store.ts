import type { ServerShard } from '../../../core/keyspace.ts';
import type { StoreClient } from '../store-client.ts';

/** What the checks are made from; `keyspace` is named where the grant script helps. */
export interface CheckedStore {
  readonly client: StoreClient;
  readonly shard: ServerShard;
  readonly keyspace: string;
}

export const grantScriptFix = ({ keyspace }: Pick<CheckedStore, 'keyspace'>): string => `run the grant script: switchyard keyspace grants ${keyspace}`;

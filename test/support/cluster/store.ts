import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ShardSchema } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';

/** What can be behind a keyspace of a test's cluster. */
export const storeKinds = ['postgres', 'mariadb', 'sqlite'] as const;
/** Behind a service as well: another cluster's PostgreSQL. */
export const allStoreKinds = [...storeKinds, 'grpc', 'http'] as const;
export type StoreKind = (typeof allStoreKinds)[number];

/** A real store with a cluster's tables, seen past Switchyard. */
export interface ClusterStore {
  readonly kind: StoreKind;
  /** The store's name for people. */
  readonly title: string;
  /** How a keyspace names it. */
  readonly shard: MessageInitShape<typeof ShardSchema>;
  /** Name of the table that holds its fence rows. */
  readonly fenceTable: string;
  /** Rows of one query, as an administrator: every value as text. The query has no semicolon. */
  rows(query: string): Promise<readonly (readonly (string | null)[])[]>;
  /** Runs the script that gives the identities their rights. */
  grant(script: string): Promise<void>;
}

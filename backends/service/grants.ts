import { serviceShard, type Shard } from '../../core/keyspace.ts';

/** A store behind a service has its identities there: the script is that cluster's to print. */
export function remoteGrants(shard: Shard): string {
  const { keyspace, control } = serviceShard(shard);
  if (control === undefined) return '-- the store is behind a foreign service, which gives and takes no rights\n';
  return `-- the store is behind another Switchyard, whose own identities use it: run there: switchyard keyspace grants ${keyspace ?? ''}\n`;
}

import { type Credential, type Keyspace, keyspaceSchema } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Credential as CredentialMessage, Keyspace as KeyspaceMessage, Shard as ShardMessage } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';

/** KEYSPACE_INVALID names the field that is wrong. Whether the kind exists and takes this form of a shard, the registry of kinds knows. */
export function decodeKeyspace(message: KeyspaceMessage | undefined): Keyspace {
  if (message === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'keyspace: must be given');
  const parsed = keyspaceSchema.safeParse({ name: message.name, shards: message.shards.map(decodeShard) });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new SwitchyardError('KEYSPACE_INVALID', issue === undefined ? 'keyspace: invalid' : `keyspace.${issue.path.join('.')}: ${issue.message}`);
}

/** The fields of the form that the shard takes; with a path, whatever else was given is refused by its name. */
function decodeShard({ kind, host, port, database, path, ...credentials }: ShardMessage): Record<string, unknown> {
  const credential = (given: CredentialMessage | undefined): Partial<Credential> | undefined => (given === undefined ? undefined : { user: given.user, password: given.password });
  const logins = { gateway: credential(credentials.gateway), player: credential(credentials.player), owner: credential(credentials.owner) };
  if (path === '') return { kind, host, port, database, ...logins };
  const given = Object.entries({ host, port, database, ...logins }).filter(([, value]) => value !== undefined && value !== '' && value !== 0);
  return { kind, path, ...Object.fromEntries(given) };
}

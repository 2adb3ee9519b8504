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

/** The fields of the form that the shard takes; with a path or gateways, whatever else was given is refused by its name. */
function decodeShard({ kind, host, port, database, path, gateways, control, keyspace, mapping, ...credentials }: ShardMessage): Record<string, unknown> {
  const credential = (given: CredentialMessage | undefined): Partial<Credential> | undefined => (given === undefined ? undefined : { user: given.user, password: given.password });
  const logins = { gateway: credential(credentials.gateway), player: credential(credentials.player), owner: credential(credentials.owner) };
  const service = { gateways, control, keyspace, mapping };
  const isServer = path === '' && Object.values(service).every(isEmpty);
  if (isServer) return { kind, host, port, database, ...logins };
  return { kind, ...Object.fromEntries(Object.entries({ host, port, database, path, ...service, ...logins }).filter(([, value]) => !isEmpty(value))) };
}

const isEmpty = (value: unknown): boolean => value === undefined || value === '' || value === 0 || (Array.isArray(value) && value.length === 0);

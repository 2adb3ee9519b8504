import { z } from 'zod';
import { keyspaceNameSchema } from './rules-document.ts';
import { SwitchyardError } from './switchyard-error.ts';

/** A login by reference: the secret itself is never stored. */
export const credentialSchema = z.strictObject({
  user: z.string().min(1).describe('Name of the login.'),
  password: z
    .string()
    .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/, 'must be "env:NAME" or "file:/path": secrets are given by reference only')
    .describe('Its password by reference, `env:NAME` or `file:/absolute/path`, as the processes that use the login find it.'),
});

/** Kind of the store; the backends' registry knows the kinds, and which of the two forms of a shard each takes. */
const kindSchema = z.string().min(1).describe('`postgres` for a database behind a server, `sqlite` for a file.');

/** A store behind a server, reached under three logins. */
export const serverShardSchema = z.strictObject({
  kind: kindSchema,
  host: z.string().min(1).describe('Where the server is, as gateways and control reach it. Without TLS.'),
  port: z.number().int().min(1).max(65_535).describe('Its port.'),
  database: z.string().min(1).describe('The database; of its schemas only `public` is served.'),
  gateway: credentialSchema.describe('The login by which gateways serve callers: rights on rows, and nothing of its own.'),
  player: credentialSchema.describe('The login that copies and follows: with REPLICATION.'),
  owner: credentialSchema.describe('The login that owns the tables that move.'),
});

/** A store that is a file on the machine of every process that opens it. It knows no logins: the file's permissions are the boundary. */
export const fileShardSchema = z.strictObject({
  kind: kindSchema,
  path: z
    .string()
    .regex(/^\/[^\0]*[^/\0]$/, 'must be the absolute path of a file')
    .describe('Absolute path of the file, on the one machine of all processes.'),
});

const addressSchema = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s/]+):\d{1,5}$/, 'must be "host:port", such as "10.0.0.7:7101"');

/**
 * A store behind another service. With `control` that is another Switchyard, whose gateways pass its store on to us as its peers, and whose control processes pass on the fence's transitions and the log; without, it is a foreign service that
 * is only read and written.
 */
export const serviceShardSchema = z.strictObject({
  kind: kindSchema,
  /** One or more, which take turns. */
  gateways: z.array(addressSchema).min(1).max(64),
  control: z.array(addressSchema).min(1).max(16).exactOptional(),
  /** What the service itself calls the keyspace. Left out of a foreign service: its tables are named without one. */
  keyspace: keyspaceNameSchema.exactOptional(),
  /** How a foreign service over HTTP is to be called, where it does not speak Switchyard's own API: absolute path of a mapping file on the machine of every gateway. */
  mapping: z
    .string()
    .regex(/^\/[^\0]*[^/\0]$/, 'must be the absolute path of a file')
    .exactOptional(),
  /** As whom we are known to the service, and the secret by which. Needed of a Switchyard, each by the process that is called under it. */
  gateway: credentialSchema.exactOptional(),
  player: credentialSchema.exactOptional(),
  owner: credentialSchema.exactOptional(),
});

const shardForms = { server: serverShardSchema, file: fileShardSchema, service: serviceShardSchema } as const;
export type ShardForm = keyof typeof shardForms;

/** A shard in one of its forms. One that names a `path` is judged as a file's, and one that names `gateways` as a service's, so that a refusal names the field that is wrong. */
export const shardSchema = z.looseObject({ kind: kindSchema }).transform((value, context): ServerShard | FileShard | ServiceShard => {
  const parsed = shardForms[formOf(value)].safeParse(value);
  if (parsed.success && 'control' in parsed.data && parsed.data.control !== undefined) requirePeer(parsed.data, context);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});

const formOf = (shard: object): ShardForm => ('path' in shard ? 'file' : 'gateways' in shard ? 'service' : 'server');

function requirePeer(shard: ServiceShard, context: z.RefinementCtx): void {
  for (const name of ['keyspace', 'gateway', 'player', 'owner'] as const)
    if (shard[name] === undefined)
      context.addIssue({ code: 'custom', path: [name], message: 'must be given: a service with control is another Switchyard, which tells its peers apart' });
  if (shard.mapping !== undefined) context.addIssue({ code: 'custom', path: ['mapping'], message: 'a service with control is another Switchyard, which needs none' });
}

/** The document under `switchyard/<cluster>/keyspaces/<name>`. */
export const keyspaceSchema = z.strictObject({
  name: keyspaceNameSchema,
  shards: z.array(shardSchema).min(1).max(1, 'more than one shard is not served yet'),
});

export type Credential = z.infer<typeof credentialSchema>;
export type ServerShard = z.infer<typeof serverShardSchema>;
export type FileShard = z.infer<typeof fileShardSchema>;
export type ServiceShard = z.infer<typeof serviceShardSchema>;
export type Shard = ServerShard | FileShard | ServiceShard;
export type Keyspace = z.infer<typeof keyspaceSchema>;
/** Which of a shard's three credentials a process may use. */
export type Identity = 'gateway' | 'player' | 'owner';

const asked: Readonly<Record<ShardForm, string>> = {
  server: 'is behind a server: give host, port, database and three credentials',
  file: 'is a file: give its absolute path alone',
  service: 'is behind another service: give its gateways, its control where it is a Switchyard, keyspace and credentials',
};

function wrongForm(shard: Shard, form: ShardForm): SwitchyardError {
  return new SwitchyardError('KEYSPACE_INVALID', `a store of kind "${shard.kind}" ${asked[form]}, and nothing else`);
}

/** KEYSPACE_INVALID: the shard does not have the form that stores of its kind take. */
export function requireForm(shard: Shard, form: ShardForm): void {
  if (formOf(shard) !== form) throw wrongForm(shard, form);
}

/** The shard as a server's. KEYSPACE_INVALID: it names something else. */
export function serverShard(shard: Shard): ServerShard {
  if ('path' in shard || 'gateways' in shard) throw wrongForm(shard, 'server');
  return shard;
}

/** The shard as a file's. KEYSPACE_INVALID: it names something else. */
export function fileShard(shard: Shard): FileShard {
  if (!('path' in shard)) throw wrongForm(shard, 'file');
  return shard;
}

/** The shard as a service's. KEYSPACE_INVALID: it names something else. */
export function serviceShard(shard: Shard): ServiceShard {
  if (!('gateways' in shard)) throw wrongForm(shard, 'service');
  return shard;
}

/** A service that is another Switchyard, with all that one asks of its peers. */
export type PeerShard = { readonly [K in 'kind' | 'gateways' | 'control' | 'keyspace' | Identity]: NonNullable<ServiceShard[K]> };

/** The shard as a peer's. NOT_SUPPORTED: it is a foreign service, which gives and takes no rights, keeps no fence and has no log. */
export function requirePeerOf({ kind, gateways, control, keyspace, gateway, player, owner }: ServiceShard, name: string): PeerShard {
  if (control !== undefined && keyspace !== undefined && gateway !== undefined && player !== undefined && owner !== undefined)
    return { kind, gateways, control, keyspace, gateway, player, owner };
  throw new SwitchyardError(
    'NOT_SUPPORTED',
    `the store of keyspace "${name}" is behind a foreign service, which can be read and written through gateways, and neither moved nor fenced`,
  );
}

/** Whether the store is another Switchyard's, whose own processes keep it prepared and free of old records. */
export const isPeer = (shard: Shard): boolean => 'gateways' in shard && shard.control !== undefined;

/** Whether the store is a foreign service's, which cannot fence. */
export const isForeign = (shard: Shard): boolean => 'gateways' in shard && shard.control === undefined;

/** The credential of an identity; null for a store that knows no logins. */
export const credentialOf = (shard: Shard, identity: Identity): Credential | null => ('path' in shard ? null : (shard[identity] ?? null));

/** Where the store is, for people and for telling two stores apart: "10.0.0.7:5432/shop", a path, or the addresses of a service's gateways and its name of the keyspace. */
export function placeOf(shard: Shard): string {
  if ('path' in shard) return shard.path;
  if ('gateways' in shard) return `${shard.gateways.join(',')}/${shard.keyspace ?? ''}`;
  return `${shard.host}:${shard.port}/${shard.database}`;
}

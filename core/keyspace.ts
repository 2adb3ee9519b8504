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

/** A shard in one of its two forms; one that names a `path` is judged as a file's, so that a refusal names the field that is wrong. */
export const shardSchema = z.looseObject({ kind: kindSchema }).transform((value, context): ServerShard | FileShard => {
  const parsed = 'path' in value ? fileShardSchema.safeParse(value) : serverShardSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});

/** The document under `switchyard/<cluster>/keyspaces/<name>`. */
export const keyspaceSchema = z.strictObject({
  name: keyspaceNameSchema,
  shards: z.array(shardSchema).min(1).max(1, 'more than one shard is not served yet'),
});

export type Credential = z.infer<typeof credentialSchema>;
export type ServerShard = z.infer<typeof serverShardSchema>;
export type FileShard = z.infer<typeof fileShardSchema>;
export type Shard = ServerShard | FileShard;
export type Keyspace = z.infer<typeof keyspaceSchema>;
/** Which of a shard's three credentials a process may use. */
export type Identity = 'gateway' | 'player' | 'owner';

/** The shard as a server's. KEYSPACE_INVALID: it names a file. */
export function serverShard(shard: Shard): ServerShard {
  if (!('path' in shard)) return shard;
  throw new SwitchyardError('KEYSPACE_INVALID', `a store of kind "${shard.kind}" is behind a server: give host, port, database and three credentials instead of path`);
}

/** The shard as a file's. KEYSPACE_INVALID: it names a server. */
export function fileShard(shard: Shard): FileShard {
  if ('path' in shard) return shard;
  throw new SwitchyardError('KEYSPACE_INVALID', `a store of kind "${shard.kind}" is a file: give its absolute path, and no host, port, database or credentials`);
}

/** The credential of an identity; null for a store that knows no logins. */
export const credentialOf = (shard: Shard, identity: Identity): Credential | null => ('path' in shard ? null : shard[identity]);

/** Where the store is, for people and for telling two stores apart: "10.0.0.7:5432/shop" or a path. */
export const placeOf = (shard: Shard): string => ('path' in shard ? shard.path : `${shard.host}:${shard.port}/${shard.database}`);

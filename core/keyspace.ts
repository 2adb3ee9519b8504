import { z } from 'zod';
import { keyspaceNameSchema } from './rules-document.ts';

/** A login by reference: the secret itself is never stored. */
export const credentialSchema = z.strictObject({
  user: z.string().min(1),
  /** `env:NAME` or `file:/absolute/path`. */
  password: z.string().regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/, 'must be "env:NAME" or "file:/path": secrets are given by reference only'),
});

export const shardSchema = z.strictObject({
  /** Kind of the store; the backends' registry knows the kinds. */
  kind: z.string().min(1),
  host: z.string().min(1),
  port: z.number().int().min(1).max(65_535),
  database: z.string().min(1),
  gateway: credentialSchema,
  player: credentialSchema,
  owner: credentialSchema,
});

/** The document under `switchyard/<cluster>/keyspaces/<name>`. */
export const keyspaceSchema = z.strictObject({
  name: keyspaceNameSchema,
  shards: z.array(shardSchema).min(1).max(1, 'more than one shard is not served yet'),
});

export type Credential = z.infer<typeof credentialSchema>;
export type Shard = z.infer<typeof shardSchema>;
export type Keyspace = z.infer<typeof keyspaceSchema>;
/** Which of a shard's three credentials a process may use. */
export type Identity = 'gateway' | 'player' | 'owner';

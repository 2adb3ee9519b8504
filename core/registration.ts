import { z } from 'zod';

export const ruleProblemSchema = z.strictObject({
  version: z.number().int().nonnegative(),
  /** Null: the whole document is refused. */
  table: z.string().nullable(),
  reason: z.enum(['RULE_FENCED', 'RULES_INVALID', 'RULES_STALE', 'RULES_MISSING', 'KEYSPACE_UNKNOWN']),
  message: z.string(),
});

export const storeProblemSchema = z.strictObject({
  keyspace: z.string(),
  /** A reason of the catalogue, of whatever version the gateway is. */
  reason: z.string(),
  message: z.string(),
});

/** The document under `switchyard/<cluster>/gateways/<id>`. Outlives the gateway's session: without one it reads as silent. */
export const registrationSchema = z.strictObject({
  nonce: z.string(),
  id: z.string(),
  address: z.string(),
  session: z.string(),
  /** Version of the rules that every request is routed by from now on; 0 before the first. */
  appliedVersion: z.number().int().nonnegative(),
  /** No write that an older version routed is under way in a store that cannot fence. 0: not known yet, or a gateway of before. */
  settledVersion: z.number().int().nonnegative().default(0),
  updatedAt: z.string(),
  /** What the gateway refuses of the newest document that it has seen; at most 50. */
  problems: z.array(ruleProblemSchema).max(50),
  /** Keyspaces whose store does not let the gateway in. A gateway of before says nothing of them. */
  storeProblems: z.array(storeProblemSchema).default([]),
});

export type RuleProblem = z.infer<typeof ruleProblemSchema>;
export type StoreProblem = z.infer<typeof storeProblemSchema>;
export type Registration = z.infer<typeof registrationSchema>;

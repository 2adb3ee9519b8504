import { z } from 'zod';

const name = z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_-]{0,62}$/, 'must be a letter or _ followed by at most 62 letters, digits, _ or -');
const tableName = z.string().min(1).max(127);
const count = z.number().int().nonnegative();

const hasPrototype = (given: unknown): boolean => typeof given === 'object' && given !== null && Object.hasOwn(given, '__proto__');

/** Values by name. What is not in it is undefined under any name: a table may be called "constructor". "__proto__" is refused, for zod would leave it out silently. */
const byName = <V extends z.ZodType>(key: z.ZodString, value: V) =>
  z
    .custom<unknown>((given) => !hasPrototype(given), '"__proto__" is no name')
    .pipe(z.record(key, value))
    .transform((found): typeof found => Object.assign(Object.create(null), found));

export const movementSchema = z.strictObject({
  workflow: name,
  source: name,
  target: name,
  /** Which of the two should be primary. Setting it by CAS makes control run the cutover. */
  want: z.enum(['source', 'target']),
  /** The source's store cannot fence: every gateway keeps its writes and reads in order itself, under a lease. */
  barrier: z.literal(true).exactOptional(),
});

export const holdSchema = z.strictObject({
  /** At most 1,000; counted on each gateway's monotonic clock from its first sight of the version. Left out only behind a barrier: until the rules say otherwise, for no store would refuse what is let go too early. */
  holdMs: z.number().int().min(1).max(1_000).exactOptional(),
  /** The attempt that the hold is for: an OPEN row of this attempt in the source means that it was aborted. */
  attempt: count,
  /** W3C trace context of the cutover; held requests link to it. */
  traceparent: z.string().max(64).optional(),
});

export const tableRuleSchema = z
  .strictObject({
    primary: name,
    /** Attempt of the last switch; a hint for people. */
    attempt: count.default(0),
    writes: z.enum(['open', 'held']).default('open'),
    /** Present exactly while writes are held. */
    hold: holdSchema.optional(),
    movement: movementSchema.optional(),
    /** Other names that lead to this rule, for ever: the keyspace-qualified ones. */
    names: z.array(tableName).max(16).default([]),
  })
  .refine((rule) => (rule.writes === 'held') === (rule.hold !== undefined), 'hold must be given exactly when writes is "held"')
  .refine((rule) => rule.hold === undefined || rule.hold.holdMs !== undefined || rule.movement?.barrier === true, 'hold.holdMs must be given, unless movement.barrier is true');

/** The document under `switchyard/<cluster>/rules`. Unknown fields are refused: a typing error must not pass for a rule. */
export const rulesDocumentSchema = z.strictObject({
  version: z.number().int().positive(),
  nonce: z.string().min(1).max(64),
  changedBy: z.string().max(256),
  /** ISO 8601. */
  changedAt: z.string().max(64),
  reason: z.string().max(1024).default(''),
  defaultKeyspace: name,
  /** Whole keyspaces redirected: name → keyspace that serves it. A table's rule beats it. */
  keyspaces: byName(name, name).prefault({}),
  tables: byName(tableName, tableRuleSchema).prefault({}),
});

export type Movement = z.infer<typeof movementSchema>;
export type Hold = z.infer<typeof holdSchema>;
export type TableRule = z.infer<typeof tableRuleSchema>;
export type RulesDocument = z.infer<typeof rulesDocumentSchema>;
export const keyspaceNameSchema = name;
export const workflowNameSchema = name;

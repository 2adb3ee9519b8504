import { z } from 'zod';
import { workflowNameSchema } from './rules-document.ts';

const count = z.number().int().nonnegative();
/** The largest number of 32 bits, as the control API has them. */
const INT32_MOST = 2 ** 31 - 1;

export const workflowStates = ['created', 'copying', 'running', 'switched', 'completed', 'cancelled', 'failed'] as const;
export type WorkflowState = (typeof workflowStates)[number];

export const cutoverLimitsSchema = z.strictObject({
  /** Longest hold before the decision; then the attempt is aborted. */
  holdBudgetMs: z.number().int().min(20).max(1_000).default(250),
  /** Attempts of one cutover before it gives up. */
  attempts: z.number().int().min(1).max(20).default(5),
  /** Largest lag at which a hold may begin. */
  lagMs: z.number().int().min(1).max(10_000).default(20),
  /** Oldest verification that counts. */
  verificationAgeS: z.number().int().min(1).max(INT32_MOST).default(86_400),
  /** Longest running transaction at which a hold may begin. */
  transactionAgeMs: z.number().int().min(10).max(INT32_MOST).default(1_000),
  /** Percent of the time that copying takes, at least and at most: in between it makes room for whoever else needs the stores. 100 at least: it never rests. */
  leastCopyShare: z.number().int().min(1).max(100).default(5),
  mostCopyShare: z.number().int().min(1).max(100).default(100),
});

const sampleSchema = z
  .array(z.strictObject({ table: z.string(), key: z.string(), what: z.string(), sourceValue: z.string(), targetValue: z.string(), repaired: z.boolean().default(false) }))
  .max(20);

export const verificationSchema = z.strictObject({
  finishedAt: z.string(),
  durationMs: z.number().min(0).max(Number.MAX_SAFE_INTEGER),
  rowsCompared: count,
  /** Rows that differ and were left so. */
  differences: count,
  /** Rows that differed and were made like those of the side that serves. */
  repaired: count.default(0),
  /** Of some of the rows that differ each column, and rows that are missing: at least one of each sort. */
  sample: sampleSchema,
  error: z.string().optional(),
});

/** A verification under way: whoever runs the workflow next goes on with it. */
export const verifyingSchema = z.strictObject({
  /** Id of the request that it is for. */
  request: z.string(),
  startedAt: z.string(),
  /** A table that is not in here has not been begun. Keys as `core/cell-json.ts` writes them: of the rows on either side up to which everything is compared. */
  tables: z.array(
    z.strictObject({ table: z.string(), rows: count, differences: count, repaired: count, done: z.boolean(), fromKey: z.string().optional(), toKey: z.string().optional() }),
  ),
  sample: sampleSchema,
});

export const cutoverStepSchema = z.strictObject({
  name: z.string(),
  /** From the beginning of the cutover, on the coordinator's monotonic clock. */
  startMs: z.number(),
  durationMs: z.number(),
  detail: z.string().optional(),
});

export const cutoverSchema = z.strictObject({
  attempt: count,
  to: z.enum(['source', 'target']),
  outcome: z.enum(['running', 'switched', 'aborted', 'repaired']),
  reason: z.string().optional(),
  message: z.string().optional(),
  startedAt: z.string(),
  attempts: count.max(INT32_MOST),
  /** Why the attempts before the last one came to nothing, in order. */
  aborted: z
    .array(z.strictObject({ attempt: count, reason: z.string(), message: z.string() }))
    .max(20)
    .optional(),
  holdMs: z.number(),
  traceId: z.string().optional(),
  traceparent: z.string().optional(),
  steps: z.array(cutoverStepSchema),
});

/** What an operator asked for beside the direction (that is `movement.want` in the rules). Control clears it when done. */
export const requestSchema = z.strictObject({
  kind: z.enum(['verify', 'complete', 'cancel']),
  id: z.string(),
  at: z.string(),
  keepData: z.boolean().default(false),
  /** Of a verification: rows that differ are made like those of the side that serves. */
  repair: z.boolean().default(false),
});

/** The document under `switchyard/<cluster>/workflows/<name>`. */
export const workflowDocumentSchema = z.strictObject({
  nonce: z.string(),
  name: workflowNameSchema,
  source: z.string(),
  target: z.string(),
  tables: z.array(z.string()).min(1),
  limits: cutoverLimitsSchema,
  state: z.enum(workflowStates),
  /** Why it failed, or what it waits for. */
  message: z.string().default(''),
  createdAt: z.string(),
  /** Finished steps of creation and ending, in order; a step in here is not done again. */
  journal: z.array(z.strictObject({ step: z.string(), at: z.string() })),
  /** Tables that this workflow created in the target. */
  createdTables: z.array(z.string()).default([]),
  progress: z.array(z.strictObject({ table: z.string(), rowsCopied: count, rowsTotal: count, bytesCopied: count.default(0), done: z.boolean() })).default([]),
  /** Of the last minute of a copy under way. */
  pace: z.strictObject({ rowsPerSecond: count, bytesPerSecond: count, secondsLeft: count.optional() }).optional(),
  lagMs: z.number().optional(),
  verification: verificationSchema.optional(),
  verifying: verifyingSchema.optional(),
  /** The latest 20, newest last. One with outcome "running" is under way or was left by a dead coordinator. */
  cutovers: z.array(cutoverSchema).default([]),
  request: requestSchema.optional(),
  /** The last finished request, so that whoever waits for it sees how it ended. */
  finished: z.strictObject({ id: z.string(), error: z.strictObject({ reason: z.string(), message: z.string() }).optional() }).optional(),
  /** Id and session of the control process that runs it. */
  runner: z.strictObject({ id: z.string(), session: z.string() }).optional(),
});

/** How the message of a workflow begins that is at work on what may take hours, and lacks nothing. */
export const BUILDING_INDEXES = 'building indexes';

export type CutoverLimits = z.infer<typeof cutoverLimitsSchema>;
export type Verification = z.infer<typeof verificationSchema>;
export type Verifying = z.infer<typeof verifyingSchema>;
export type CutoverStep = z.infer<typeof cutoverStepSchema>;
export type CutoverRecord = z.infer<typeof cutoverSchema>;
export type WorkflowRequest = z.infer<typeof requestSchema>;
export type WorkflowDocument = z.infer<typeof workflowDocumentSchema>;
/** States in which the workflow owns its tables and streams run or should. */
export const isActive = (state: WorkflowState): boolean => state !== 'completed' && state !== 'cancelled';

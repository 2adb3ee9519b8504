import { z } from 'zod';

/** What kinds of long runs there are; one file each. */
export const runKinds = ['model', 'simulation', 'fault'] as const;
export type RunKind = (typeof runKinds)[number];

const count = z.int().nonnegative();
const figures = z.record(z.string(), z.union([z.number(), z.string()]));

const entrySchema = z
  .strictObject({
    kind: z.enum(runKinds),
    at: z.iso.datetime(),
    commit: z.string().min(1),
    dirty: z.boolean(),
    code: z.strictObject({ paths: z.array(z.string()).readonly(), fingerprint: z.string().min(1) }).readonly(),
    machine: figures.readonly(),
    subject: z.string().min(1),
    seeds: z.strictObject({ first: count, count: z.int().positive() }).readonly().optional(),
    minutes: z.number().nonnegative().optional(),
    outcome: z.enum(['passed', 'failed']),
    figures: figures.readonly(),
  })
  .readonly();

/** One finished piece of a long run: one line of a ledger. */
export type Entry = z.infer<typeof entrySchema>;

/** What the run itself has to say; the ledger knows the rest. */
export interface Finding {
  /** What was run, in the run's own words: a model with its variant, a scenario. Pieces of one subject add up. */
  readonly subject: string;
  /** Seeds that were run, all of the range. A failed piece ends with the seed that failed. */
  readonly seeds?: { readonly first: number; readonly count: number };
  /** Time under test. */
  readonly minutes?: number;
  readonly outcome: Entry['outcome'];
  /** Whatever else is worth to be known later. What those that are numbers come to over several pieces, figures.ts says. */
  readonly figures?: Entry['figures'];
}

/** Null for a line that is no entry: a run that was killed while it wrote leaves a part of one. */
export function parseEntry(line: string): Entry | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = entrySchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

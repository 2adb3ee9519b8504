import type { Operation } from './history.ts';

/** The worst first. */
export const violationKinds = ['lost', 'unapplied', 'doubled', 'phantom', 'stale', 'torn', 'cycle', 'impossible'] as const;

/**
 * lost: acknowledged and seen, and then gone for good · unapplied: acknowledged, and later reads that should show it never did · doubled: one increment or append took effect twice · phantom: what was refused took effect, or what
 * nobody wrote was read · stale: a read, or the condition of a write, missed what was acknowledged or seen before it began and is seen again later · torn: a transaction was seen in part · cycle: transactions that are in
 * no order · impossible: no order explains the answers, and no single fault of the kinds above does.
 */
export type ViolationKind = (typeof violationKinds)[number];

/** As Kingsbury and Alvaro name them: "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 14(3), 2020; "realtime" where it takes the order of answers and calls to close the cycle. */
export type Anomaly = 'G0' | 'G1a' | 'G1b' | 'G1c' | 'G-single' | 'G2' | 'G0-realtime' | 'G1c-realtime' | 'G-single-realtime' | 'G2-realtime' | 'internal' | 'incompatible-order';

export interface Violation {
  readonly kind: ViolationKind;
  readonly anomaly?: Anomaly;
  /** The row, or the keyspace and its list. */
  readonly key: string;
  /** When what shows it was answered. */
  readonly at: number;
  readonly said: string;
  /** The few that show it, the last of which is the one that cannot be explained. */
  readonly operations: readonly Operation[];
}

/** What became of an acknowledged write that a read missed: seen again since, or before only, or never. */
export function fateOf(missedAt: number, lastSeenAt: number | null): 'stale' | 'lost' | 'unapplied' {
  if (lastSeenAt === null) return 'unapplied';
  return lastSeenAt > missedAt ? 'stale' : 'lost';
}

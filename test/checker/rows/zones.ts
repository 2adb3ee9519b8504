import type { RowOperation, State } from '../history.ts';
import { stateSeen, stateSet } from './row-model.ts';

/*
 * Linearizability of one register to which no value is written twice, in n log n: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26(4), 1997. A write and the reads of its value are a cluster. From the
 * end of the operation of it that ended first to the beginning of the one that began last is its zone. Where that is a stretch of time (a forward zone) the register held the value all through it; where it runs
 * backwards, all of the cluster can be at one instant anywhere in it. Some order explains all exactly if no two forward zones overlap and no backward zone lies inside a forward one.
 *
 * What the paper does not have:
 * - A write of unknown outcome has no end. If nobody saw its value it may as well never have been.
 * - No row is not a unique value. Where one operation alone can have left none, it is the write of every read that found none. Else those reads are left out, and each delete is a write that nobody saw: what is found then is
 *   true, but there may be more.
 * - A conditional write that was done is a read of what it expected and a write, without what says that nothing came between: what is found is true here too, and there may be more.
 */

/** A value's write and what is known of the reads of it. */
export class Cluster {
  /** null: the state at the beginning. */
  readonly write: RowOperation | null;
  /** When the first of its operations had ended; that one. */
  ended: number;
  first: RowOperation | null;
  /** When the last of its operations began; that one. */
  began: number;
  last: RowOperation | null;
  /** The read of its value that began last. */
  lastSeen: RowOperation | null = null;

  constructor(write: RowOperation | null) {
    this.write = write;
    this.first = write;
    this.last = write;
    this.began = write?.invoked ?? Number.NEGATIVE_INFINITY;
    this.ended = write === null ? Number.NEGATIVE_INFINITY : write.outcome === 'ok' ? write.responded : Number.POSITIVE_INFINITY;
  }

  see(read: RowOperation): void {
    if (read.responded < this.ended) [this.ended, this.first] = [read.responded, read];
    if (read.invoked > this.began) [this.began, this.last] = [read.invoked, read];
    if (read.invoked > (this.lastSeen?.invoked ?? Number.NEGATIVE_INFINITY)) this.lastSeen = read;
  }
}

export type Conflict =
  /** `read` saw what was written by nobody, or by `write` alone, which had failed or had not begun. */
  | { readonly kind: 'unwritten'; readonly read: RowOperation; readonly write: RowOperation | null }
  /** `older` was still seen by its last operation, which began when `newer` had replaced it. */
  | { readonly kind: 'overlap'; readonly older: Cluster; readonly newer: Cluster };

export interface ZoneVerdict {
  readonly conflicts: readonly Conflict[];
  /** Whether no conflict means that some order explains all; otherwise there may be none all the same. */
  readonly exact: boolean;
}

interface Clusters {
  readonly all: readonly Cluster[];
  readonly of: (state: State) => Cluster | undefined;
  /** Reads of no row cannot be told apart. */
  readonly absenceIsAmbiguous: boolean;
}

/** null where a value was written twice, or where there are increments: then what was read does not tell whose it was. */
function clustersOf(operations: readonly RowOperation[], initial: State): Clusters | null {
  const first = new Cluster(null);
  const byValue = new Map<State, Cluster>(initial === null ? [] : [[initial, first]]);
  const absences = initial === null ? [first] : [];
  for (const operation of operations) {
    if (operation.kind === 'increment') return null;
    const set = stateSet(operation);
    if (set === undefined) continue;
    const cluster = new Cluster(operation);
    if (set === null) absences.push(cluster);
    else if (byValue.has(set)) return null;
    else byValue.set(set, cluster);
  }
  const possible = absences.filter(({ write }) => write === null || write.outcome !== 'failed');
  const absence = possible.length > 0 ? possible[0] : absences[0];
  return { all: [...byValue.values(), ...absences], of: (state) => (state === null ? absence : byValue.get(state)), absenceIsAmbiguous: possible.length > 1 };
}

function overlaps(clusters: readonly Cluster[]): Conflict[] {
  const found: Conflict[] = [];
  const certain = clusters.filter(({ write, lastSeen }) => write === null || write.outcome === 'ok' || lastSeen !== null);
  const forward = certain.filter((cluster) => cluster.ended < cluster.began).sort((a, b) => a.ended - b.ended);
  /** At each forward zone the one that reaches furthest, of it and those before it. */
  const furthest: Cluster[] = [];
  for (const zone of forward) {
    const reaching = furthest.at(-1);
    if (reaching !== undefined && zone.ended < reaching.began) found.push({ kind: 'overlap', older: reaching, newer: zone });
    furthest.push(reaching !== undefined && reaching.began > zone.began ? reaching : zone);
  }
  for (const backward of certain) {
    if (backward.ended < backward.began) continue;
    let [low, high] = [0, forward.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((forward[middle] as Cluster).ended < backward.began) low = middle + 1;
      else high = middle;
    }
    const around = furthest[low - 1];
    if (around !== undefined && backward.ended < around.began) found.push({ kind: 'overlap', older: around, newer: backward });
  }
  return found;
}

/** Judges the operations on one row. null where values are not unique. */
export function judgeZones(operations: readonly RowOperation[], initial: State): ZoneVerdict | null {
  const clusters = clustersOf(operations, initial);
  if (clusters === null) return null;
  /** By the value read: one that should not be there is told of once. */
  const unwritten = new Map<State, Conflict>();
  let exact = true;
  for (const operation of operations) {
    if (operation.kind === 'swap' && operation.outcome !== 'failed') exact = false;
    const seen = stateSeen(operation);
    if (seen === undefined) continue;
    if (seen === null && clusters.absenceIsAmbiguous) {
      exact = false;
      continue;
    }
    const cluster = clusters.of(seen);
    if (cluster === undefined || operation.responded < (cluster.write?.invoked ?? Number.NEGATIVE_INFINITY)) {
      if (!unwritten.has(seen)) unwritten.set(seen, { kind: 'unwritten', read: operation, write: cluster?.write ?? null });
      continue;
    }
    if (cluster.write?.outcome === 'failed' && !unwritten.has(seen)) unwritten.set(seen, { kind: 'unwritten', read: operation, write: cluster.write });
    cluster.see(operation);
  }
  return { conflicts: [...unwritten.values(), ...overlaps(clusters.all)], exact };
}

import type { OwnerStore, ReplicationStore, StreamSpec } from '../backends/backend.ts';
import type { Attempt } from '../core/ids.ts';
import type { Clock } from '../core/clock.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Topology } from '../topo/topology.ts';

/** Which end of a workflow. */
export type SideName = 'source' | 'target';
export const otherSide = (side: SideName): SideName => (side === 'source' ? 'target' : 'source');

/** One end of a workflow with its stores opened. */
export interface Side {
  readonly name: SideName;
  readonly keyspace: string;
  /** Kind of the store: what only stores of one kind have in common, such as a shape's fingerprint, can be compared only where both are the same. */
  readonly kind: string;
  readonly owner: OwnerStore;
  readonly player: ReplicationStore;
}

/** A workflow with both ends opened: what cutover, repair, streams and verification work on. Tables and keyspaces never change during its life. */
export interface Move {
  readonly name: string;
  readonly tables: readonly string[];
  readonly source: Side;
  readonly target: Side;
}

/** The stream that flows out of `from`: "forward" from the source, "reverse" from the target. Its log lies in `from`, its row in the other side. */
export function streamFrom(move: Move, from: SideName): StreamSpec {
  return { id: `${move.name}.${from === 'source' ? 'forward' : 'reverse'}`, workflow: move.name, tables: move.tables };
}

/** The workflow whose stream has this id; null: no workflow's has. */
export const workflowOfStream = (id: string): string | null => /^(.+)\.(?:forward|reverse)$/.exec(id)?.[1] ?? null;

/** The runner's streams, as the cutover sees them. Only the runner (holder of the workflow's lock) has them. */
export interface MoveStreams {
  /** How far the stream out of `from` is behind, in ms: at most this old is the newest change not yet committed on the other side. Null while it does not run or has not caught up for the first time. */
  lagMs(from: SideName): number | null;
  /** Keeps the lag of the stream out of `from` as small as can be, at the price of more commits on the other side, until disposed of: for a cutover and what it waits for. */
  hurry(from: SideName): Disposable;
  /** Why the stream does not run, null when it does. */
  problem(from: SideName): string | null;
  /** Starts the stream out of `from` and resolves when it has taken its stream row over and follows the log. Running already: success. */
  start(from: SideName, signal: AbortSignal): Promise<void>;
  /** Stops the stream out of `from` for good: its player ends, its log and its publication are dropped unless a later attempt than `by` has begun them. The row with its token and marker stays. */
  freeze(from: SideName, by: Attempt, signal: AbortSignal): Promise<void>;
  /** Compares the rows that the stream out of `from` changed last (bounded), after both stores are equal by protocol. Returns how many differ. */
  compareLastChanged(from: SideName, signal: AbortSignal): Promise<{ readonly compared: number; readonly different: number }>;
}

/** What every part of control is given. */
export interface ControlDeps {
  readonly topology: Topology;
  readonly clock: Clock;
  readonly log: Logger;
  /** Random id, unique enough for nonces and names. */
  readonly newId: () => string;
  /** Id of this control process. */
  readonly controlId: string;
  /** Told of every finished step of a cutover before the next one begins; for measuring and for fault tests. */
  readonly onStep?: (workflow: string, to: SideName, step: string) => Promise<void>;
}

/** How the workflow stands in Consul together with its opened ends. */
export interface ArmedMove {
  readonly move: Move;
  readonly document: WorkflowDocument;
}

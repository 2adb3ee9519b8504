import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import { scopeOf, sideView } from '../cutover/direction.ts';
import { changeNote } from '../cutover/rules-write.ts';
import { type ControlDeps, type Move, otherSide, type SideName, streamFrom } from '../move.ts';
import { releaseTables } from './claims.ts';
import { endingBegun, hasStep, openSide, type Serving } from './machine.ts';

export interface EndingContext {
  readonly move: Move;
  readonly document: WorkflowDocument;
  readonly deps: ControlDeps;
  /** What the stores say now. */
  readonly serving: Serving;
  readonly stopStreams: () => Promise<void>;
  /** Writes into the journal that the ending has begun. */
  readonly journal: (step: string) => Promise<void>;
}

/**
 * Ends a switched workflow: streams, logs and ownership go, rules keep all the names. The old store keeps its fence rows CLOSED with triggers on and rights taken, as a tombstone: a gateway that missed everything must
 * still be refused there.
 */
export async function completeMove(context: EndingContext, signal: AbortSignal): Promise<void> {
  await begin(context, 'complete', 'target');
  await context.stopStreams();
  await giveUpServing(context.move, 'target', signal);
  await dropStreams(context.move, signal);
  await context.move.source.owner.disown(scopeOf(context.move, 'source'), 'CLOSED', signal);
  await release(context, 'target', signal);
}

/** Ends a workflow whose source serves: everything that it made goes, with `keepData` all but the target's tables. The source serves as it did (its fence rows and switched-off triggers stay), the target's rows are CLOSED. */
export async function cancelMove(context: EndingContext, keepData: boolean, signal: AbortSignal): Promise<void> {
  const { move, document } = context;
  await begin(context, 'cancel', 'source');
  await context.stopStreams();
  if (hasStep(document, 'install')) {
    await move.source.owner
      .relaxFence(scopeOf(move, 'source'), signal)
      .catch((error: unknown) => context.deps.log.warn({ err: error, workflow: move.name }, 'the fence triggers of the source stay switched on'));
    await giveUpServing(move, 'source', signal);
    await dropStreams(move, signal);
    const created = document.createdTables;
    // Only an owner drops. Once the tables are given back, by this ending or by one that a restored document does not know of, whoever repeats this may not even try.
    if (!keepData && created.length > 0 && (await owns(move, 'target', signal))) {
      await move.target.owner.dropTables({ ...scopeOf(move, 'target'), tables: created }, signal);
    }
    await move.target.owner.disown(scopeOf(move, 'target'), 'CLOSED', signal);
  }
  await release(context, 'source', signal);
}

async function begin({ document, move, serving, journal }: EndingContext, kind: 'complete' | 'cancel', side: SideName): Promise<void> {
  const open = openSide(serving);
  // Begun, and the other side is open: nothing is taken apart yet, and the cutover that the ending came upon has switched since.
  if (hasStep(document, endingBegun(kind)) && open !== otherSide(side)) return;
  const early = document.state === 'created' || document.state === 'copying' || document.state === 'failed';
  // The rules will say for good that this side serves: it has to be the open one, also where an ending is repeated whose end a restored document does not know of.
  if (open !== side && !(kind === 'cancel' && early && serving === 'unclaimed')) {
    const found = open !== null ? `the ${open} serves` : serving === 'unknown' ? 'a store does not answer' : 'a cutover is under way or was left';
    throw new SwitchyardError(serving === 'unknown' ? 'STORE_UNAVAILABLE' : 'WORKFLOW_STATE', `workflow ${move.name} cannot be ended so just now: ${found}`);
  }
  await journal(endingBegun(kind));
}

async function owns(move: Move, side: SideName, signal: AbortSignal): Promise<boolean> {
  return sideView(move, side, await move[side].owner.fenceRows(move.tables, signal)).kind !== 'missing';
}

async function dropStreams(move: Move, signal: AbortSignal): Promise<void> {
  for (const side of ['source', 'target'] as const) {
    const other = side === 'source' ? move.target : move.source;
    const stream = streamFrom(move, side);
    await move[side].owner.dropLog(stream, null, signal);
    await other.owner.dropStream(stream, signal);
  }
}

/**
 * Before anything is dropped: from here on no coordinator, however late, can fence the side that serves and go on towards one that is being taken apart. FENCE_CONFLICT when one has done so since the ending began: then it, or the
 * repair, ends its cutover first.
 */
const giveUpServing = (move: Move, side: SideName, signal: AbortSignal): Promise<void> => move[side].owner.disown(scopeOf(move, side), 'OPEN', signal);

async function release({ move, deps }: EndingContext, side: SideName, signal: AbortSignal): Promise<void> {
  const note = changeNote(deps, `workflow ${move.name} ${side === 'target' ? 'completed' : 'cancelled'}`);
  await deps.topology.updateRules(note, (rules) => releaseTables(rules, move.name, move[side].keyspace), signal);
}

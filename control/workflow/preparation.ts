import type { Logger } from '../../runtime/logger.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import { attempt } from '../../core/ids.ts';
import { scopeOf } from '../cutover/direction.ts';
import { type Move, type SideName, streamFrom } from '../move.ts';

/** Steps from "created" to "copying", in order. Each is idempotent and may be repeated after a death in its middle. */
export const preparationSteps = ['install', 'claim-target', 'claim-source', 'tables', 'rights', 'stream'] as const;
export type PreparationStep = (typeof preparationSteps)[number];

export interface PreparationContext {
  readonly move: Move;
  readonly log: Logger;
  /** Records, before they are created, which of the target's tables this workflow creates: only those may a cancel drop. */
  readonly recordCreated: (tables: readonly string[]) => Promise<void>;
  /** Whether Consul knows of this workflow that it has been completed or cancelled. */
  readonly hasEnded: (workflow: string) => Promise<boolean>;
}

/** The first step that the journal does not have; null when all are done. */
export function nextPreparationStep(document: Pick<WorkflowDocument, 'journal'>): PreparationStep | null {
  return preparationSteps.find((step) => !document.journal.some((entry) => entry.step === step)) ?? null;
}

export async function prepareStep(context: PreparationContext, step: PreparationStep, signal: AbortSignal): Promise<void> {
  const { source, target, tables } = context.move;
  context.log.info({ workflow: context.move.name, step }, 'preparing');
  switch (step) {
    case 'install':
      await Promise.all([source.owner.install(signal), target.owner.install(signal)]);
      return;
    // The target first: from then on nobody else can make it serve these tables, while the source goes on as it is.
    case 'claim-target':
      return claim(context, 'target', 'CLOSED', signal);
    case 'claim-source':
      return claim(context, 'source', 'OPEN', signal);
    case 'tables':
      return createTables(context, signal);
    case 'rights': {
      const rights = await source.owner.gatewayRights(tables, signal);
      await target.owner.saveRights(scopeOf(context.move, 'target'), rights, signal);
      await source.owner.saveRights(scopeOf(context.move, 'source'), rights, signal);
      return;
    }
    case 'stream': {
      const stream = streamFrom(context.move, 'source');
      // A log of a try that died before its stream was written down began at another position: it is renewed.
      const seen = { token: await target.owner.streamToken(stream, signal), scope: scopeOf(context.move, 'target'), state: 'CLOSED' } as const;
      const position = await source.owner.createLog(stream, attempt(0), signal);
      await target.owner.beginStream(stream, position, seen, signal);
      return;
    }
  }
}

/** Takes the tables, also from a workflow that has ended: a leader of it that slept until then may have claimed them since, and nobody else would give them back. */
async function claim({ move, hasEnded, log }: PreparationContext, side: SideName, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
  const { owner } = move[side];
  const rows = (await owner.fenceRows(move.tables, signal)).filter((row) => row.workflow !== move.name && row.state === state);
  for (const [workflow, owned] of Map.groupBy(rows, (row) => row.workflow)) {
    if (workflow === null || !(await hasEnded(workflow))) continue;
    const tables = owned.map(({ table }) => table);
    log.warn({ workflow: move.name, side, tables, ended: workflow }, 'a workflow that has ended owns tables: they are taken from it');
    await owner.disown({ ...scopeOf(move, side), workflow, tables }, state, signal);
  }
  await owner.claim(scopeOf(move, side), side, signal);
}

async function createTables({ move, recordCreated }: PreparationContext, signal: AbortSignal): Promise<void> {
  const { source, target, tables } = move;
  const missing: string[] = [];
  for (const table of tables) if ((await target.player.describe(table, signal)) === null) missing.push(table);
  const definitions = await source.owner.define(tables, signal);
  await recordCreated(missing);
  await target.owner.createTables(scopeOf(move, 'target'), definitions, signal);
  // Whoever watches a table goes on watching it where it is served.
  const watched = (await source.owner.watched(signal)).filter((table) => tables.includes(table));
  if (watched.length > 0) await target.owner.watch(watched, true, signal);
}

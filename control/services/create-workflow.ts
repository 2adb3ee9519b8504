import type { Problem } from '../../backends/backend.ts';
import { workflowNameSchema } from '../../core/rules-document.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { Workflow } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { changeNote } from '../cutover/rules-write.ts';
import { numberingFix } from '../cutover/precheck.ts';
import { checkDeparture, planDeparture } from '../departure/checks.ts';
import type { Departure } from '../departure/departure.ts';
import type { Move, Side } from '../move.ts';
import type { OpenedMove } from '../stores.ts';
import { ownerAndPlayer } from '../store-checks.ts';
import { unlikeness } from '../table-shapes.ts';
import { type Claim, claimTables } from '../workflow/claims.ts';
import { limitsWith } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

/** Checks everything, then claims the tables in the rules and writes the workflow's document in one transaction. With `validateOnly` nothing is written, and the document's message says what would be done. */
export async function createWorkflow(context: ServiceContext, message: Workflow | undefined, validateOnly: boolean, signal: AbortSignal): Promise<WorkflowDocument> {
  const { topology } = context.deps;
  const document = newDocument(context, message);
  if ((await topology.workflow(document.name, signal)) !== null) {
    throw new SwitchyardError('WORKFLOW_EXISTS', `a workflow "${document.name}" exists, or existed: names of workflows are not used twice`, {
      fix: `look at it: switchyard movetables status ${document.name}; for another move give another name`,
      metadata: { workflow: document.name },
    });
  }
  await using departing = await context.stores.openDeparture(document, signal);
  await using opened = departing === null ? await context.stores.openMove(document, signal) : null;
  const claim: Claim = {
    workflow: document.name,
    source: document.source,
    target: document.target,
    tables: document.tables,
    bareElsewhere: await bareNamesElsewhere(context, document, signal),
    ...(departing === null ? {} : { barrier: true }),
  };
  const rules = await topology.readRules(signal);
  if (rules.kind === 'valid') claimTables(rules.document, claim);
  const planned = departing === null ? await checkedMove(context, (opened as OpenedMove).move, signal) : await checkedDeparture(context, departing.departure, signal);
  if (validateOnly) return { ...document, message: planned };
  const note = changeNote(context.deps, `workflow ${document.name}: ${document.tables.join(', ')} from ${document.source} to ${document.target}`);
  await topology.updateRules(note, (current) => claimTables(current, claim), signal, [{ document, index: 0 }]);
  const stored = await topology.workflow(document.name, signal);
  return stored?.value ?? document;
}

/** What would be done, once everything is well. */
async function checkedMove({ stores }: ServiceContext, move: Move, signal: AbortSignal): Promise<string> {
  await checkTables(move, signal);
  if (!stores.capabilitiesOf(move.target.kind).watching) await checkUnwatched(move, signal);
  return await plan(move, signal);
}

async function checkedDeparture({ deps }: ServiceContext, departure: Departure, signal: AbortSignal): Promise<string> {
  await checkDeparture(departure, deps.topology, signal);
  return await planDeparture(departure, signal);
}

function newDocument({ deps }: ServiceContext, message: Workflow | undefined): WorkflowDocument {
  if (message === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'workflow: must be given');
  const { name, source, target } = message;
  const parsedName = workflowNameSchema.safeParse(name);
  if (!parsedName.success) throw new SwitchyardError('ARGUMENT_INVALID', `workflow.name (the command's first argument): ${parsedName.error.issues[0]?.message ?? 'invalid'}`);
  if (source === '' || target === '') throw new SwitchyardError('ARGUMENT_INVALID', 'workflow.source and workflow.target (--source, --target): must name keyspaces');
  if (source === target) throw new SwitchyardError('ARGUMENT_INVALID', 'workflow.target (--target): must be another keyspace than the source');
  const tables = [...new Set(message.tables.map((table) => (table.startsWith(`${source}.`) ? table.slice(source.length + 1) : table)))];
  if (tables.length === 0) throw new SwitchyardError('ARGUMENT_INVALID', 'workflow.tables (--tables): name at least one table');
  const wrong = tables.find((table) => table === '' || table.includes('.'));
  if (wrong !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', `workflow.tables (--tables): "${wrong}" must be a table's bare name, or its name in ${source}`);
  return {
    nonce: deps.newId(),
    name,
    source,
    target,
    tables,
    limits: limitsWith('workflow.limits', message.limits),
    state: 'created',
    message: '',
    createdAt: new Date(deps.clock.now()).toISOString(),
    journal: [],
    createdTables: [],
    progress: [],
    cutovers: [],
  };
}

/**
 * A bare name without a rule means the default keyspace's table. Where that is neither end of the move and has such a table, the moved one is another table: it is known by its qualified names only.
 */
async function bareNamesElsewhere({ deps, stores }: ServiceContext, document: WorkflowDocument, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const rules = await deps.topology.readRules(signal);
  if (rules.kind !== 'valid') return new Set();
  const { defaultKeyspace } = rules.document;
  if (defaultKeyspace === document.source || defaultKeyspace === document.target) return new Set();
  await using other = await stores.openKeyspace(defaultKeyspace, signal);
  const elsewhere = new Set<string>();
  for (const table of document.tables) if ((await other.player.describe(table, signal)) !== null) elsewhere.add(table);
  return elsewhere;
}

async function checkTables({ source, target, tables }: Move, signal: AbortSignal): Promise<void> {
  const check = (side: Side): Promise<readonly Problem[]> => ownerAndPlayer(side, () => side.owner.checkTables(tables, side.name, signal), signal);
  const [ofSource, ofTarget] = await Promise.all([check(source), check(target)]);
  const said = (keyspace: string, { table, message, fix }: Problem): string => `${keyspace}${table === null ? '' : `.${table}`}: ${message} (${fix})`;
  const problems = [...ofSource.map((problem) => said(source.keyspace, problem)), ...ofTarget.map((problem) => said(target.keyspace, problem))];
  if (problems.length > 0) throw new SwitchyardError('PRECHECK_FAILED', problems.join('\n'), { metadata: { problems: String(problems.length) } });
}

/** Tables that somebody has made in the target: with another shape the move would end there, and without what numbers its rows no switch would begin. */
async function checkMade(source: Side, target: Side, tables: readonly string[], signal: AbortSignal): Promise<void> {
  const [shapes, numbering] = await Promise.all([shapeProblems(source, target, tables, signal), numberingProblems(source, target, tables, signal)]);
  const problems = [...shapes, ...numbering];
  if (problems.length > 0) throw new SwitchyardError('PRECHECK_FAILED', problems.join('\n'), { metadata: { problems: String(problems.length) } });
}

async function shapeProblems(source: Side, target: Side, tables: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const compared = tables.map(async (table): Promise<readonly string[]> => {
    const [there, here] = await Promise.all([source.player.describe(table, signal), target.player.describe(table, signal)]);
    const difference = there === null || here === null ? null : unlikeness(source, there, target, here);
    if (difference === null) return [];
    return [
      `${target.keyspace}.${table}: it is there already, and differs from that of ${source.keyspace}: ${difference} (drop it there, or give it the source's columns, types, defaults and unique keys)`,
    ];
  });
  return (await Promise.all(compared)).flat();
}

async function numberingProblems(source: Side, target: Side, tables: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const [numbered, there] = await Promise.all([source.owner.sequences(tables, signal), target.owner.sequences(tables, signal)]);
  const without = numbered.filter(({ table, column }) => !there.some((other) => other.table === table && other.column === column));
  return without.map(
    ({ table, column }) => `${target.keyspace}.${table}: column "${column}" is numbered by the store in ${source.keyspace}, and not here (${numberingFix(table, column)})`,
  );
}

async function checkUnwatched({ source, target, tables }: Move, signal: AbortSignal): Promise<void> {
  const watched = (await source.owner.watched(signal)).filter((table) => tables.includes(table));
  if (watched.length === 0) return;
  const fix = `end the watching first, if nobody needs it: switchyard keyspace watch ${source.keyspace} --tables ${watched.join(',')} --off`;
  throw new SwitchyardError(
    'PRECHECK_FAILED',
    `${watched.join(', ')}: watched, and ${target.keyspace} is a store of kind ${target.kind}, which does not write down changes for watchers`,
    { fix },
  );
}

/** A table that is there already needs no statement, not even where its definition has no like in the target. */
async function plan({ source, target, tables }: Move, signal: AbortSignal): Promise<string> {
  const missing: string[] = [];
  for (const table of tables) if (!(await isThere(target, table, signal))) missing.push(table);
  const made = tables.filter((table) => !missing.includes(table));
  if (made.length > 0) await checkMade(source, target, made, signal);
  const statements = await target.owner.planTables(await source.owner.define(missing, signal), signal);
  return [`would claim ${tables.join(', ')}, copy from ${source.keyspace} to ${target.keyspace}, and create where it is missing:`, ...statements].join('\n');
}

/** A file that the move would make is not there yet: the target's checks, which come first, have found it well. */
async function isThere({ player }: Side, table: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await player.describe(table, signal)) !== null;
  } catch (error) {
    if (!hasReason(error, 'STORE_UNAVAILABLE')) throw error;
    return false;
  }
}

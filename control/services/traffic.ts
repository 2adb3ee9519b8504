import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type ErrorReason, errorCatalogue } from '../../core/error-catalogue.ts';
import type { CutoverRecord, WorkflowDocument } from '../../core/workflow-document.ts';
import { precheckError } from '../cutover/finding.ts';
import { precheck } from '../cutover/precheck.ts';
import { changeNote } from '../cutover/rules-write.ts';
import { gatewayFindings } from '../departure/gateways-settled.ts';
import type { ControlDeps, SideName } from '../move.ts';
import { wantOf, wantSide } from '../workflow/claims.ts';
import { requireWorkflow, type ServiceContext, waitForWorkflow, whenReadable } from './service-context.ts';

const servingIn = (document: WorkflowDocument): SideName => (document.state === 'switched' ? 'target' : 'source');

export interface Switched {
  readonly document: WorkflowDocument;
  /** That side served already: nothing was done. */
  readonly unchanged: boolean;
}

/**
 * Runs the pre-checks, makes the rules want this side and waits until the workflow's runner has ended the cutover. Fails with the cutover's own reason. A call that is repeated, or made while the cutover is under way, waits for that one; a
 * side that serves already is success. `validateOnly` ends after the checks; the document's message then holds their warnings.
 */
export async function switchTo(context: ServiceContext, name: string, to: SideName, validateOnly: boolean, signal: AbortSignal): Promise<Switched> {
  const { deps } = context;
  const { value: before } = await requireWorkflow(context, name, signal);
  if (before.state !== 'running' && before.state !== 'switched') {
    throw new SwitchyardError(
      'WORKFLOW_STATE',
      `the workflow is ${before.state}${before.message === '' ? '' : ` (${before.message})`}: its traffic can be switched once it is running`,
    );
  }
  const wanted = await wantedSide(context, before, signal);
  if (wanted === to && servingIn(before) === to && before.cutovers.at(-1)?.outcome !== 'running') return { document: before, unchanged: true };
  if (wanted !== to || validateOnly) {
    const warnings = await check(context, before, to, signal);
    if (validateOnly) return { document: { ...before, message: warnings }, unchanged: false };
  }
  await deps.topology.updateRules(changeNote(deps, `workflow ${name}: switch to the ${to} asked for`), (rules) => wantSide(rules, name, to), signal);
  const document = await waitForWorkflow(context, name, signal, (seen) => ended(context, { document: before, wished: wanted === to }, seen, to, signal));
  return { document, unchanged: false };
}

async function check({ deps, stores }: ServiceContext, document: WorkflowDocument, to: SideName, signal: AbortSignal): Promise<string> {
  await using departing = await stores.openDeparture(document, signal);
  if (departing !== null) return await checkDeparting(deps, document, to, signal);
  await using opened = await stores.openMove(document, signal);
  const { problems, warnings } = await precheck(opened.move, document, to, null, deps, signal);
  if (problems.length > 0) throw precheckError(problems);
  return warnings.map(({ message, fix }) => `${message} (${fix})`).join('\n');
}

async function checkDeparting(deps: ControlDeps, { source }: WorkflowDocument, to: SideName, signal: AbortSignal): Promise<string> {
  if (to === 'source') throw new SwitchyardError('NOT_SUPPORTED', `there is no way back to "${source}": its store cannot fence, and has not been kept current since the switch`);
  const problems = gatewayFindings(await deps.topology.everyRegistration(signal));
  if (problems.length > 0) throw precheckError(problems);
  return '';
}

/** The document when the cutover is over; throws its failure; undefined while it goes on. */
async function ended(context: ServiceContext, before: Before, document: WorkflowDocument, to: SideName, signal: AbortSignal): Promise<WorkflowDocument | undefined> {
  if (document.state !== 'running' && document.state !== 'switched')
    throw new SwitchyardError('WORKFLOW_STATE', `the workflow became ${document.state} meanwhile: ${document.message}`);
  const last = document.cutovers.at(-1);
  if (servingIn(document) === to && last?.outcome !== 'running') return document;
  const wanted = await whenReadable(context, signal, () => wantedSide(context, document, signal));
  if (wanted === undefined || wanted === to) return undefined;
  // The runner sets the wanted side back when the cutover has come to nothing; its record was written before that.
  const now = await whenReadable(context, signal, () => requireWorkflow(context, document.name, signal));
  return now === undefined ? undefined : withoutWish(before, now.value, to);
}

/** The workflow when the order came, and whether its wish was the rules' already. */
interface Before {
  readonly document: WorkflowDocument;
  readonly wished: boolean;
}

/** What a switch has come to that the rules do not wish for: the document where it was done, undefined while it may still be; throws why it was not. Whoever overwrites the wish ends no cutover that has begun. */
export function withoutWish({ document: before, wished }: Before, now: WorkflowDocument, to: SideName): WorkflowDocument | undefined {
  // One that is wished for still when the order comes is the order's, even if it has failed just now: its record is written before the wish goes.
  const isStillIts = ({ outcome }: CutoverRecord, index: number): boolean => outcome === 'running' || (wished && outcome === 'aborted' && index === before.cutovers.length - 1);
  const over = new Set(before.cutovers.flatMap((entry, index) => (isStillIts(entry, index) ? [] : [entry.startedAt])));
  const record = now.cutovers.findLast((entry) => entry.to === to && !over.has(entry.startedAt));
  switch (record?.outcome) {
    case 'running':
      return undefined;
    case 'switched':
    case 'repaired':
      if (servingIn(now) === to) return now;
      throw new SwitchyardError('WORKFLOW_STATE', `the ${to} served after attempt ${record.attempt}, and somebody has switched back since`);
    case 'aborted':
    case undefined:
      throw failureOf(record, to);
  }
}

function failureOf(record: CutoverRecord | undefined, to: SideName): SwitchyardError {
  if (record === undefined) return new SwitchyardError('WORKFLOW_STATE', `somebody took back the wish to switch to the ${to} before the cutover began`);
  const reason = reasonOf(record.reason ?? 'INTERNAL');
  return new SwitchyardError(reason, record.message ?? errorCatalogue[reason].summary, { metadata: { attempt: String(record.attempt), attempts: String(record.attempts) } });
}

async function wantedSide({ deps }: ServiceContext, document: WorkflowDocument, signal: AbortSignal): Promise<SideName | null> {
  const rules = await deps.topology.readRules(signal);
  if (rules.kind !== 'valid') throw new SwitchyardError(rules.kind === 'missing' ? 'RULES_MISSING' : 'RULES_INVALID', 'there are no valid rules: repair them first');
  return wantOf(rules.document, document.name, servingIn(document));
}

/** A reason that was stored as text; one that this version does not know is INTERNAL. */
export const reasonOf = (text: string): ErrorReason => (Object.hasOwn(errorCatalogue, text) ? (text as ErrorReason) : 'INTERNAL');

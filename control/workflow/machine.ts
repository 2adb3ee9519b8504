import { assertNever } from '../../core/assert-never.ts';
import type { WorkflowDocument, WorkflowRequest, WorkflowState } from '../../core/workflow-document.ts';
import type { SideName } from '../move.ts';

/**
 * A workflow's life.
 *
 * It is *created* with its tables claimed in the rules. The runner prepares both stores (schema, fence rows, tables, rights, log, stream): *copying*. Existing rows are copied while changes are applied; when every
 * table's last chunk is committed, the indexes of the tables that were made are built while changes go on being applied; then it is *running*: the target follows the source. A cutover makes it *switched*: the target serves and the source follows. Switching back makes it running again, as often as wanted.
 * `complete` ends a switched workflow, `cancel` one whose source still serves. A fault that no repetition mends before the switch makes it *failed*: the source serves as ever, and it can only be cancelled. After the
 * switch nothing makes it failed: a broken way back is said in its message, and the target serves on.
 *
 * The stores' fence rows are right about which side serves; the document follows them (`primary`). Where the target serves it is switched, whatever was written down before: by a leader that did not know of the switch, or in a backup of
 * Consul from before it.
 */
export type WorkflowEvent =
  | { readonly kind: 'prepared' }
  | { readonly kind: 'copied' }
  /** The fence rows say that this side is open and the other is closed. */
  | { readonly kind: 'primary'; readonly side: SideName }
  | { readonly kind: 'failed' }
  | { readonly kind: 'completed' }
  | { readonly kind: 'cancelled' };

/** The state after the event; null when the event is not legal in this state, which changes nothing. */
export function transition(state: WorkflowState, event: WorkflowEvent): WorkflowState | null {
  switch (event.kind) {
    case 'prepared':
      return state === 'created' ? 'copying' : null;
    case 'copied':
      return state === 'copying' ? 'running' : null;
    case 'primary':
      if (state === 'completed' || state === 'cancelled') return null;
      if (event.side === 'target') return 'switched';
      return state === 'running' || state === 'switched' ? 'running' : null;
    case 'failed':
      return state === 'created' || state === 'copying' || state === 'running' ? 'failed' : null;
    case 'completed':
      return state === 'switched' ? 'completed' : null;
    case 'cancelled':
      return state === 'created' || state === 'copying' || state === 'running' || state === 'failed' ? 'cancelled' : null;
    default:
      return assertNever(event);
  }
}

/** Journalled when an ending has begun: from here on it is only repeated until it is done, unless a cutover that was under way has switched before anything was taken apart. */
export const endingBegun = (kind: WorkflowRequest['kind']): string => `${kind}-begun`;
export const hasStep = (document: Pick<WorkflowDocument, 'journal'>, step: string): boolean => document.journal.some((entry) => entry.step === step);

/** Journalled when the target's new tables have their indexes. */
export const INDEXES_STEP = 'indexes';

/**
 * What the fence rows of both stores say together. `between`: a cutover is under way or was left; whoever repairs it decides. `unclaimed`: the workflow does not own the tables on both sides.
 * `source-given-back`, `target-given-back`: nor does it here, but that side is open and the other one closed, as an ending leaves them.
 */
export type Serving = SideName | 'between' | 'unclaimed' | `${SideName}-given-back` | 'unknown';

/** The side that is open, whoever owns its tables; null: none, or nobody knows. An ending must agree with it, since the rules then say for good that this side serves. */
export function openSide(serving: Serving): SideName | null {
  if (serving === 'source' || serving === 'source-given-back') return 'source';
  return serving === 'target' || serving === 'target-given-back' ? 'target' : null;
}

/** Why nothing is done, and where that does not pass by itself, what helps. */
function whyWaits(serving: Serving): string {
  const again = (side: SideName, ended: string, command: string): string =>
    `its tables are no longer its own, and the ${side} serves: it was ${ended} before Consul was set back; ${command} it again`;
  switch (serving) {
    case 'unknown':
      return 'waits for a store that does not answer';
    case 'unclaimed':
      return 'its tables are no longer its own, and open on neither side: look at the fence rows of both stores';
    case 'source-given-back':
      return again('source', 'cancelled', 'cancel');
    case 'target-given-back':
      return again('target', 'completed', 'complete');
    default:
      return 'waits until a cutover that was cut off is repaired';
  }
}

/** All that the runner looks at before it does the next thing. */
export interface WorkflowView {
  readonly document: WorkflowDocument;
  readonly serving: Serving;
  /** The side that the rules want to be primary; null when they do not name the workflow. */
  readonly want: SideName | null;
  /** Whether every table's copy is committed on the target. */
  readonly copied: boolean;
}

export type WorkflowAction =
  | { readonly kind: 'prepare' }
  /** Stream out of the source with the copier. */
  | { readonly kind: 'copy' }
  /** The same stream, and the target's indexes beside it. */
  | { readonly kind: 'index' }
  | { readonly kind: 'become'; readonly event: WorkflowEvent }
  /** Stream out of the side that serves. */
  | { readonly kind: 'follow'; readonly primary: SideName }
  | { readonly kind: 'switch'; readonly to: SideName }
  | { readonly kind: 'request'; readonly request: WorkflowRequest }
  /** Somebody else has to do something first; `why` says what. */
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'nothing' };

/** The one next thing to do. Repeated after every change; each action leads to another view. */
export function nextAction({ document, serving, want, copied }: WorkflowView): WorkflowAction {
  const { state, request } = document;
  if (state === 'completed' || state === 'cancelled') return { kind: 'nothing' };
  if (request !== undefined && hasStep(document, endingBegun(request.kind))) return { kind: 'request', request };
  const open = openSide(serving);
  const event: WorkflowEvent | null = open === null ? null : { kind: 'primary', side: open };
  if (event !== null && (transition(state, event) ?? state) !== state) return { kind: 'become', event };
  switch (state) {
    case 'failed':
      return request === undefined ? { kind: 'nothing' } : { kind: 'request', request };
    case 'created':
      return request === undefined ? { kind: 'prepare' } : { kind: 'request', request };
    case 'copying':
      if (request !== undefined) return { kind: 'request', request };
      if (!copied) return { kind: 'copy' };
      return hasStep(document, INDEXES_STEP) ? { kind: 'become', event: { kind: 'copied' } } : { kind: 'index' };
    case 'running':
    case 'switched':
      if (open === null) return { kind: 'wait', why: whyWaits(serving) };
      if (request !== undefined) return { kind: 'request', request };
      // Given back: there is nothing to follow or to switch.
      if (serving !== open) return { kind: 'wait', why: whyWaits(serving) };
      if (want !== null && want !== open) return { kind: 'switch', to: want };
      return { kind: 'follow', primary: open };
    default:
      return assertNever(state);
  }
}

/** Why a request cannot be served in this state, null when it can. The message names the next step. */
export function requestProblem(state: WorkflowState, kind: WorkflowRequest['kind']): string | null {
  const allowed: Readonly<Record<WorkflowRequest['kind'], readonly WorkflowState[]>> = {
    verify: ['running', 'switched'],
    complete: ['switched'],
    cancel: ['created', 'copying', 'running', 'failed'],
  };
  if (allowed[kind].includes(state)) return null;
  const advice: Readonly<Record<WorkflowState, string>> = {
    created: 'wait until its tables are prepared and copied',
    copying: 'wait until its tables are copied',
    running: 'switch its traffic first',
    switched: 'complete it, or reverse its traffic first',
    completed: 'it has ended',
    cancelled: 'it has ended',
    failed: 'cancel it',
  };
  return `the workflow is ${state}: ${advice[state]}`;
}

/** What became of a request that another one has taken the place of; `by`: that one, undefined where it has ended since. */
export function gaveWay({ kind, name }: { readonly kind: WorkflowRequest['kind']; readonly name: string }, by: WorkflowRequest | undefined): string {
  if (kind === 'verify' && by?.kind === 'verify' && by.repair)
    return `this verification was ended for one with --repair, which somebody has ordered since: ask for its result with: switchyard movetables verify ${name}`;
  return `"${kind}" gave way to "${by?.kind ?? 'another request'}"`;
}

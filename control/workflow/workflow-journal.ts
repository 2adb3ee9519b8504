import type { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Verification, Verifying, WorkflowDocument, WorkflowRequest } from '../../core/workflow-document.ts';
import { withRepair } from '../cutover/repair-record.ts';
import type { ControlDeps } from '../move.ts';
import { endingBegun, hasStep, transition, type WorkflowEvent } from './machine.ts';

/** What an ended request leaves in the document beside its own end. */
export interface RequestResult {
  readonly error: SwitchyardError | null;
  readonly event?: WorkflowEvent;
  readonly verification?: Verification;
}

const messageLimit = 2_000;

/** The runner's writes to its workflow's document, each a compare-and-set that changes nothing where it says so already. */
export class WorkflowJournal {
  readonly #deps: ControlDeps;
  readonly #name: string;

  constructor(deps: ControlDeps, name: string) {
    this.#deps = deps;
    this.#name = name;
  }

  async update(change: (current: WorkflowDocument) => WorkflowDocument | null, signal: AbortSignal): Promise<void> {
    await this.#deps.topology.updateWorkflow(this.#name, change, signal);
  }

  step(step: string, signal: AbortSignal): Promise<void> {
    const entry = { step, at: this.#now() };
    return this.update((current) => (hasStep(current, step) ? null : { ...current, journal: [...current.journal, entry] }), signal);
  }

  /** Moves the workflow on. An event that is not legal by now changes nothing. */
  become(event: WorkflowEvent, message: string, signal: AbortSignal): Promise<void> {
    return this.update((current) => {
      const state = transition(current.state, event);
      return state === null || (state === current.state && message === current.message) ? null : { ...current, state, message: clipped(message) };
    }, signal);
  }

  message(message: string, signal: AbortSignal): Promise<void> {
    return this.update((current) => (current.message === clipped(message) ? null : { ...current, message: clipped(message) }), signal);
  }

  /** How far a verification has come. */
  verifying(verifying: Verifying, signal: AbortSignal): Promise<void> {
    return this.update((current) => (current.request?.id === verifying.request ? { ...current, verifying } : null), signal);
  }

  /** Ends a request: whoever waits for it finds how. One that has failed for good has not begun anything. */
  finish(request: WorkflowRequest, { error, event, verification }: RequestResult, signal: AbortSignal): Promise<void> {
    return this.update((current) => {
      const { request: pending, verifying: _, ...rest } = current;
      const state = event === undefined ? null : transition(current.state, event);
      return {
        ...rest,
        ...(event === undefined ? {} : { cutovers: withoutLeft(current, event) }),
        ...(pending === undefined || pending.id === request.id ? {} : { request: pending }),
        ...(state === null ? {} : { state, message: '' }),
        ...(verification === undefined ? {} : { verification }),
        ...(error === null ? {} : { journal: current.journal.filter(({ step }) => step !== endingBegun(request.kind)) }),
        finished: { id: request.id, ...(error === null ? {} : { error: { reason: error.reason, message: error.message } }) },
      };
    }, signal);
  }

  #now(): string {
    return new Date(this.#deps.clock.now()).toISOString();
  }
}

/** The cutovers of a workflow that has ended: whoever began one and was not seen again cannot go on with it, for the tables are given back. */
function withoutLeft(document: WorkflowDocument, { kind }: WorkflowEvent): WorkflowDocument['cutovers'] {
  if (kind !== 'completed' && kind !== 'cancelled') return document.cutovers;
  const primary = kind === 'completed' ? 'target' : 'source';
  return withRepair(document, { primary, attempts: 'all', message: 'the workflow ended before its coordinator said how it did' })?.cutovers ?? document.cutovers;
}

const clipped = (message: string): string => message.slice(0, messageLimit);

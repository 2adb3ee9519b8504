import { assertNever } from '../../core/assert-never.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Verification, Verifying, WorkflowDocument, WorkflowRequest } from '../../core/workflow-document.ts';
import { asSwitchyardError } from '../time-limit.ts';
import type { ControlDeps, Move } from '../move.ts';
import type { RunningStreams } from '../streams/move-streams.ts';
import type { TopologyView } from '../topology-view.ts';
import { verifyMove } from '../verify/verify-move.ts';
import { cancelMove, completeMove, type EndingContext } from './ending.ts';
import { endingBegun, gaveWay, hasStep, requestProblem, type Serving } from './machine.ts';
import type { WorkflowJournal } from './workflow-journal.ts';

export interface RequestContext {
  readonly move: Move;
  readonly document: WorkflowDocument;
  readonly serving: Serving;
  readonly streams: RunningStreams;
  readonly journal: WorkflowJournal;
  readonly view: TopologyView;
  readonly deps: ControlDeps;
  readonly stopStreams: () => Promise<void>;
}

/** Does what an operator asked for and writes down how it ended. A fault that may pass leaves the request in place: it is tried again. */
export async function runRequest(context: RequestContext, request: WorkflowRequest, signal: AbortSignal): Promise<'again'> {
  const { document, journal, deps } = context;
  const problem = requestProblem(document.state, request.kind);
  if (problem !== null) {
    await journal.finish(request, { error: new SwitchyardError('WORKFLOW_STATE', problem) }, signal);
    return 'again';
  }
  deps.log.info({ workflow: document.name, request: request.kind }, 'request begins');
  let begun = hasStep(document, endingBegun(request.kind));
  const ending: EndingContext = {
    ...context,
    journal: async (step) => {
      await journal.step(step, signal);
      begun = true;
    },
  };
  try {
    switch (request.kind) {
      case 'verify':
        await verify(context, request, signal);
        break;
      case 'complete':
        await completeMove(ending, signal);
        await journal.finish(request, { error: null, event: { kind: 'completed' } }, signal);
        break;
      case 'cancel':
        await cancelMove(ending, request.keepData, signal);
        await journal.finish(request, { error: null, event: { kind: 'cancelled' } }, signal);
        break;
      default:
        return assertNever(request.kind);
    }
  } catch (error) {
    signal.throwIfAborted();
    const failure = asSwitchyardError(error);
    // An ending that has begun is repeated until it is done, but for one that a switch came before.
    if (failure.retryable || (begun && failure.reason !== 'WORKFLOW_STATE')) throw failure;
    await journal.finish(request, { error: failure }, signal);
  }
  return 'again';
}

/** A verification that a fault has stopped is begun again where it was, unless it has come no further for so long. */
const patienceMs = 300_000;
const pauseMs = 1_000;

async function verify(context: RequestContext, request: WorkflowRequest, signal: AbortSignal): Promise<void> {
  const { deps, journal } = context;
  const replaced = new AbortController();
  const both = AbortSignal.any([signal, replaced.signal]);
  const watching = watchReplaced(context, request, replaced, both);
  const startedAt = deps.clock.monotonic();
  try {
    const verification = await verifyPatiently(context, request, both);
    await journal.finish(request, { error: null, verification }, signal);
  } catch (error) {
    signal.throwIfAborted();
    const failure = replaced.signal.aborted ? asSwitchyardError(replaced.signal.reason) : asSwitchyardError(error);
    const verification: Verification = {
      finishedAt: new Date(deps.clock.now()).toISOString(),
      durationMs: Math.round(deps.clock.monotonic() - startedAt),
      rowsCompared: 0,
      differences: 0,
      repaired: 0,
      sample: [],
      error: `${failure.reason}: ${failure.message}`,
    };
    await journal.finish(request, { error: failure, verification }, signal);
  } finally {
    replaced.abort(new SwitchyardError('CANCELLED', 'the verification has ended'));
    await watching;
  }
}

async function verifyPatiently({ move, document, serving, streams, deps, journal }: RequestContext, request: WorkflowRequest, signal: AbortSignal): Promise<Verification> {
  const { clock } = deps;
  if (serving !== 'source' && serving !== 'target')
    throw new SwitchyardError(
      'WORKFLOW_STATE',
      'a cutover is under way or was left, or a store does not answer, or the tables have been given back: try again when one side serves',
    );
  let verifying = document.verifying?.request === request.id ? document.verifying : begunNow(request, deps);
  let progressedAt = clock.monotonic();
  const onProgress = async (progress: Verifying): Promise<void> => {
    verifying = progress;
    progressedAt = clock.monotonic();
    await journal.verifying(progress, signal);
  };
  for (;;) {
    try {
      const options = { move, primary: serving, stream: streams.stream(serving), clock, repair: request.repair };
      return await verifyMove(options, verifying, onProgress, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSwitchyardError(error);
      const mayPass = failure.retryable || (failure.reason === 'STREAM_FAILED' && streams.status(serving).kind !== 'ended');
      if (!mayPass || clock.monotonic() - progressedAt > patienceMs) throw failure;
      deps.log.info({ err: failure, workflow: document.name }, 'a verification was stopped and goes on');
      await clock.sleep(pauseMs, signal);
    }
  }
}

const begunNow = ({ id }: WorkflowRequest, { clock }: ControlDeps): Verifying => ({ request: id, startedAt: new Date(clock.now()).toISOString(), tables: [], sample: [] });

/** A comparison of large tables takes long; a cancel or a repair asked for meanwhile need not wait for it. */
async function watchReplaced({ view, deps, document }: RequestContext, request: WorkflowRequest, replaced: AbortController, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await view.changed(1_000, signal);
      const stored = await deps.topology.workflow(document.name, signal);
      const pending = stored?.value.request;
      if (pending?.id !== request.id) replaced.abort(new SwitchyardError('CANCELLED', gaveWay({ kind: 'verify', name: document.name }, pending)));
    } catch (error) {
      if (!signal.aborted) deps.log.info({ err: error, workflow: document.name }, 'the workflow could not be read while it is verified');
    }
  }
}

import type { SwitchyardError } from '../../core/switchyard-error.ts';
import { type CutoverLimits, isActive, type WorkflowDocument } from '../../core/workflow-document.ts';
import type { TopologySession } from '../../topo/topology.ts';
import { runCutover } from '../cutover/cutover.ts';
import { changeNote } from '../cutover/rules-write.ts';
import { dropLeftLog, finishSwitch } from '../cutover/tail.ts';
import { asSwitchyardError } from '../time-limit.ts';
import type { ControlMetrics } from '../metrics.ts';
import { type ControlDeps, type Move, otherSide, type SideName, streamFrom } from '../move.ts';
import type { Stores } from '../stores.ts';
import { RunningStreams } from '../streams/move-streams.ts';
import type { TopologyView } from '../topology-view.ts';
import { endedText } from './changed-definitions.ts';
import { wantOf, wantSide } from './claims.ts';
import { INDEXES_STEP, nextAction, openSide, type WorkflowAction, type WorkflowView } from './machine.ts';
import { buildMessage, IndexBuild } from './index-build.ts';
import { nextPreparationStep, prepareStep } from './preparation.ts';
import { CopyTally, withProgress } from './progress.ts';
import { type RequestContext, runRequest } from './requests.ts';
import { readServing } from './serving.ts';
import { WorkflowJournal } from './workflow-journal.ts';

/** What every runner of the process shares. */
export interface RunnerContext {
  readonly deps: ControlDeps;
  readonly stores: Stores;
  readonly view: TopologyView;
  readonly metrics: ControlMetrics;
  /** Told that the runner of the workflow seems to be gone. Must not throw. */
  readonly takeOver: (workflow: string) => void;
  /** What is to be said of the stream's log in the keyspace's store when it has become large; null otherwise. */
  readonly logAlarm: (keyspace: string, stream: string) => string | null;
}

const lookEveryMs = 1_000;
/** A broken way back is tried again this often; an operator may have mended it. */
const retryBrokenMs = 30_000;

type Pass = 'again' | 'idle' | 'ended';

/**
 * Runs one workflow while this process holds its lock: looks at the document, the rules and the stores' fence rows, does the one next thing, and looks again. Everything it does can be cut off at any moment and is gone on with by
 * the next leader.
 */
export class WorkflowLeader implements AsyncDisposable {
  readonly #context: RunnerContext;
  readonly #move: Move;
  readonly #session: TopologySession;
  readonly #streams: RunningStreams;
  readonly #indexes: IndexBuild;
  readonly #journal: WorkflowJournal;
  readonly #tally: CopyTally;
  #copies = false;
  #limits: CutoverLimits;
  /** The side for which everything that follows a switch has been done. */
  #settled: SideName | null = null;
  /** Whether the other side may still have a log that nobody wants. */
  #logLeft = false;
  #brokenAt: number | null = null;
  /** Nothing of minor weight is written while writes may be held. */
  #switching = false;

  constructor(context: RunnerContext, move: Move, document: WorkflowDocument, session: TopologySession) {
    this.#context = context;
    this.#move = move;
    this.#session = session;
    this.#limits = document.limits;
    this.#journal = new WorkflowJournal(context.deps, move.name);
    this.#tally = new CopyTally(document);
    this.#indexes = new IndexBuild(move, context.deps);
    this.#streams = new RunningStreams({
      move,
      deps: context.deps,
      copies: () => this.#copies,
      share: () => this.#limits,
      onProgress: (table, progress, bytes) => {
        this.#tally.record(table, progress, bytes);
        context.metrics.rowsCopied.set({ workflow: move.name, table }, progress.rows);
      },
    });
  }

  /** Whether a cutover runs now. */
  get switching(): boolean {
    return this.#switching;
  }

  /** Runs until the workflow has ended; rejects when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { deps, view } = this.#context;
    const runner = { id: deps.controlId, session: this.#session.id };
    await this.#journal.update((current) => ({ ...current, runner }), signal);
    const ended = new AbortController();
    const reporting = this.#report(AbortSignal.any([signal, ended.signal]));
    try {
      for (;;) {
        const pass = await this.#guardedPass(signal);
        if (pass === 'ended') return;
        if (pass === 'idle') await view.changed(lookEveryMs, signal);
      }
    } finally {
      ended.abort();
      await reporting;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#streams[Symbol.asyncDispose](), this.#indexes[Symbol.asyncDispose]()]);
    this.#context.metrics.lag.remove({ workflow: this.#move.name });
  }

  /** A fault of a store or of Consul is said and the pass repeated; one that no repetition mends fails the workflow where it may fail. */
  async #guardedPass(signal: AbortSignal): Promise<Pass> {
    try {
      return await this.#pass(signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSwitchyardError(error);
      this.#context.deps.log.warn({ err: error, workflow: this.#move.name, reason: failure.reason }, 'the workflow could not go on; trying again');
      await this.#journal
        .message([said(failure), ...this.#logAlarms()].join('; '), signal)
        .catch((unsaid: unknown) => this.#context.deps.log.info({ err: unsaid, workflow: this.#move.name }, 'nor could that be written down'));
      return 'idle';
    }
  }

  async #pass(signal: AbortSignal): Promise<Pass> {
    const view = await this.#look(signal);
    if (view === null) return 'ended';
    const action = nextAction(view);
    // Before anything else is done with the tables. A request that touches them stops it with the streams.
    if (action.kind !== 'index' && action.kind !== 'request') await this.#indexes.stop();
    switch (action.kind) {
      case 'nothing':
        if (view.document.state !== 'failed') return 'ended';
        await this.#stopStreams();
        return 'idle';
      case 'wait':
        await this.#journal.message([action.why, ...this.#logAlarms()].join('; '), signal);
        await this.#wantOpen(view, signal);
        return 'idle';
      case 'prepare':
        return this.#prepare(view.document, signal);
      case 'become':
        // Who finds the workflow running may switch it at once, and a switch asks for the end of the copy.
        if (action.event.kind === 'copied')
          await this.#journal.update((current) => withProgress(current, { tables: this.#tally.tables, pace: null, lagMs: current.lagMs ?? null }), signal);
        await this.#journal.become(action.event, '', signal);
        return 'again';
      case 'copy':
        return this.#copy(view.document, signal);
      case 'index':
        return this.#index(view.document, signal);
      case 'follow':
        return this.#follow(view.document, action.primary, signal);
      case 'switch':
        return this.#switch(view.document, action, signal);
      case 'request': {
        // A new leader may find a comparison asked for before it has run the stream that this needs.
        const side = openSide(view.serving);
        if (action.request.kind === 'verify' && side !== null && this.#settled !== side) {
          await this.#follow(view.document, side, signal);
          return 'again';
        }
        return runRequest(this.#requestContext(view), action.request, signal);
      }
    }
  }

  /** Null: somebody has removed the document. */
  async #look(signal: AbortSignal): Promise<WorkflowView | null> {
    const { topology } = this.#context.deps;
    const [stored, rules, serving] = await Promise.all([topology.workflow(this.#move.name, signal), topology.readRules(signal), readServing(this.#move, signal)]);
    if (stored === null) return null;
    this.#limits = stored.value.limits;
    const want = rules.kind === 'valid' ? wantOf(rules.document, this.#move.name, openSide(serving) ?? 'source') : null;
    return { document: stored.value, serving, want, copied: this.#tally.done };
  }

  async #prepare(document: WorkflowDocument, signal: AbortSignal): Promise<Pass> {
    const step = nextPreparationStep(document);
    if (step === null) {
      await this.#journal.become({ kind: 'prepared' }, '', signal);
      return 'again';
    }
    const recordCreated = (tables: readonly string[]): Promise<void> =>
      this.#journal.update((current) => ({ ...current, createdTables: [...new Set([...current.createdTables, ...tables])] }), signal);
    const { topology, log } = this.#context.deps;
    const hasEnded = async (workflow: string): Promise<boolean> => {
      const found = await topology.workflow(workflow, signal);
      return found !== null && !isActive(found.value.state);
    };
    try {
      await prepareStep({ move: this.#move, log, recordCreated, hasEnded }, step, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSwitchyardError(error);
      if (failure.retryable) throw failure;
      await this.#journal.become({ kind: 'failed' }, `step ${step}: ${await this.#whyEnded(failure, 'source', signal)}`, signal);
      return 'again';
    }
    await this.#journal.step(step, signal);
    return 'again';
  }

  async #copy(document: WorkflowDocument, signal: AbortSignal): Promise<Pass> {
    if (!this.#copies) {
      for (const table of document.tables) this.#tally.estimate(table, await this.#move.source.player.estimateRows(table, signal));
      this.#copies = true;
    }
    this.#streams.begin('source');
    return this.#checkStream(document, 'source', signal);
  }

  async #index(document: WorkflowDocument, signal: AbortSignal): Promise<Pass> {
    this.#streams.begin('source');
    const built = this.#indexes.begin(document);
    if (this.#indexes.status.kind === 'done') {
      await this.#journal.step(INDEXES_STEP, signal);
      return 'again';
    }
    const pass = await this.#checkStream(document, 'source', signal, buildMessage(this.#indexes.status));
    if (pass === 'again') return 'again';
    await Promise.race([built, this.#context.view.changed(lookEveryMs, signal)]);
    return 'again';
  }

  async #follow(document: WorkflowDocument, primary: SideName, signal: AbortSignal): Promise<Pass> {
    this.#copies = false;
    // No cutover runs here. A record that says so is a dead coordinator's, or one that somebody put back with all of Consul.
    const isOpen = document.cutovers.some((record) => record.outcome === 'running');
    const { deps } = this.#context;
    const serving = { armed: { move: this.#move, document }, primary, streams: this.#streams, deps, signal };
    if (this.#settled !== primary || isOpen) {
      const problems = await finishSwitch(serving);
      this.#settled = primary;
      this.#logLeft = problems.length > 0;
      if (problems.length > 0) deps.log.warn({ workflow: this.#move.name, primary, problems }, 'not everything is as it should be after a switch');
    }
    if (this.#brokenAt === null) this.#streams.begin(primary);
    if (this.#logLeft && this.#streams.status(primary).kind === 'following') {
      await dropLeftLog(serving);
      this.#logLeft = false;
    }
    return this.#checkStream(document, primary, signal);
  }

  /** Says what keeps the stream from running, or where nothing does, what is done beside it. One that has ended for good fails the workflow while the source serves. */
  async #checkStream(document: WorkflowDocument, from: SideName, signal: AbortSignal, beside = ''): Promise<Pass> {
    const { clock } = this.#context.deps;
    const status = this.#streams.status(from);
    if (status.kind !== 'ended') {
      this.#brokenAt = null;
      const problem = status.kind === 'starting' ? status.problem : null;
      const what = problem ?? beside;
      await this.#journal.message([...(what === '' ? [] : [what]), ...this.#logAlarms()].join('; '), signal);
      return 'idle';
    }
    // Taken over: by an `open`, which the next look shows, or by a leader of before that had not ended yet.
    if (status.error.reason !== 'STREAM_TAKEN' && document.state !== 'switched') {
      await this.#journal.become({ kind: 'failed' }, await this.#whyEnded(status.error, from, signal), signal);
      return 'again';
    }
    this.#brokenAt ??= clock.monotonic();
    const pauseMs = status.error.reason === 'STREAM_TAKEN' ? lookEveryMs : retryBrokenMs;
    if (clock.monotonic() - this.#brokenAt >= pauseMs) {
      this.#brokenAt = null;
      await this.#streams.stop(from);
    } else if (status.error.reason !== 'STREAM_TAKEN') await this.#journal.message(`the way back does not run: ${said(status.error)}`, signal);
    return 'idle';
  }

  #whyEnded(error: SwitchyardError, from: SideName, signal: AbortSignal): Promise<string> {
    return endedText(error, this.#move, from, this.#streams.stream(from).schemas, signal);
  }

  /** What is to be said of the workflow's logs, whichever store is in the way. */
  #logAlarms(): readonly string[] {
    return (['source', 'target'] as const).flatMap((side) => this.#context.logAlarm(this.#move[side].keyspace, streamFrom(this.#move, side).id) ?? []);
  }

  async #switch(document: WorkflowDocument, { to }: Extract<WorkflowAction, { kind: 'switch' }>, signal: AbortSignal): Promise<Pass> {
    const { deps, metrics } = this.#context;
    const { topology } = deps;
    const { name } = this.#move;
    // The tables move together: what one of them wants counts for all, also in what the rules say afterwards.
    await topology.updateRules(changeNote(deps, `workflow ${name}: all its tables want the ${to}`), (rules) => wantSide(rules, name, to), signal);
    this.#switching = true;
    try {
      // A new leader may find that somebody wants a cutover before it has run the stream that this needs.
      this.#streams.begin(otherSide(to));
      const record = await runCutover({ armed: { move: this.#move, document }, to, streams: this.#streams, session: this.#session, deps, signal });
      // An attempt that came to nothing leaves one; so may a switch whose end did not go as it should.
      this.#logLeft = record.outcome !== 'switched' || record.message !== undefined;
      metrics.cutovers.inc({ workflow: name, to, outcome: record.outcome, reason: record.reason ?? '' });
      if (record.outcome === 'switched' || record.outcome === 'repaired') {
        this.#settled = to;
        metrics.hold.observe({ to }, record.holdMs / 1_000);
      }
      // Ended from outside, not by its own failure: the next leader goes on with what is wanted.
      // Not decided yet: whatever the repair makes of it has its own end to tidy up.
      if (record.outcome === 'running') this.#settled = null;
      if (record.outcome === 'aborted' && !signal.aborted) await this.#wantBack(to, record.reason ?? 'aborted', signal);
    } finally {
      this.#switching = false;
    }
    return 'again';
  }

  /** Tables that have been given back are switched no more: whoever waits for it is told so. */
  async #wantOpen({ serving, want }: WorkflowView, signal: AbortSignal): Promise<void> {
    const { deps } = this.#context;
    const { name } = this.#move;
    const open = openSide(serving);
    if (open === null || want === null || want === open) return;
    await deps.topology.updateRules(changeNote(deps, `workflow ${name}: it has ended, and the ${open} serves`), (rules) => wantSide(rules, name, open), signal);
  }

  /** After a cutover that came to nothing: what is wanted is what is, unless somebody has changed it meanwhile. */
  async #wantBack(to: SideName, reason: string, signal: AbortSignal): Promise<void> {
    const { deps } = this.#context;
    const { name } = this.#move;
    for (;;) {
      try {
        // Somebody else may have finished what came to nothing here: then the rules are right as they are.
        const rows = await this.#move[otherSide(to)].owner.fenceRows(this.#move.tables, signal);
        if (!rows.every((row) => row.state === 'OPEN')) return;
        await deps.topology.updateRules(
          changeNote(deps, `workflow ${name}: the cutover to the ${to} was not made (${reason})`),
          (rules) => (wantSide(rules, name, to) === null ? wantSide(rules, name, otherSide(to)) : null),
          signal,
        );
        return;
      } catch (error) {
        signal.throwIfAborted();
        deps.log.warn({ err: error, workflow: name }, 'the wanted side could not be set back yet');
        await deps.clock.sleep(lookEveryMs, signal);
      }
    }
  }

  #requestContext(view: WorkflowView): RequestContext {
    const { deps, view: topologyView } = this.#context;
    return {
      move: this.#move,
      document: view.document,
      serving: view.serving,
      streams: this.#streams,
      journal: this.#journal,
      view: topologyView,
      deps,
      stopStreams: () => this.#stopStreams(),
    };
  }

  async #stopStreams(): Promise<void> {
    await Promise.all([this.#streams.stop('source'), this.#streams.stop('target'), this.#indexes.stop()]);
  }

  /** Writes progress and lag into the document, at most once a second and only when they changed. Ends with the signal. */
  async #report(signal: AbortSignal): Promise<void> {
    const { deps, metrics } = this.#context;
    while (!signal.aborted) {
      try {
        await deps.clock.sleep(lookEveryMs, signal);
        if (this.#switching) continue;
        const lagMs = this.#streams.lagMs('source') ?? this.#streams.lagMs('target');
        if (lagMs === null) metrics.lag.remove({ workflow: this.#move.name });
        else metrics.lag.set({ workflow: this.#move.name }, lagMs / 1_000);
        const pace = this.#copies ? this.#tally.pace(deps.clock.monotonic()) : null;
        await this.#journal.update((current) => withProgress(current, { tables: this.#tally.tables, pace, lagMs }), signal);
      } catch (error) {
        if (!signal.aborted) deps.log.info({ err: error, workflow: this.#move.name }, 'progress could not be written down');
      }
    }
  }
}

const said = (error: SwitchyardError): string => `${error.reason}: ${error.message}`;

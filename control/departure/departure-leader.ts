import { attempt as asAttempt, position } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { isActive, type WorkflowDocument, type WorkflowRequest } from '../../core/workflow-document.ts';
import type { RulesDocument } from '../../core/rules-document.ts';
import type { RulesChange, TopologySession } from '../../topo/topology.ts';
import { withRepair } from '../cutover/repair-record.ts';
import { changeNote } from '../cutover/rules-write.ts';
import type { SideName } from '../move.ts';
import { asSwitchyardError } from '../time-limit.ts';
import type { RunnerContext } from '../workflow/leader.ts';
import { releaseTables, wantOf, wantSide } from '../workflow/claims.ts';
import { endingBegun, hasStep, requestProblem } from '../workflow/machine.ts';
import { withProgress } from '../workflow/progress.ts';
import { WorkflowJournal } from '../workflow/workflow-journal.ts';
import { definitionsOf } from './checks.ts';
import { Comparison } from './comparison.ts';
import { COMPARED, type Departure, streamOf, targetScope } from './departure.ts';
import { goForward, leave, takeBack } from './leave.ts';
import { type Phase, phaseOf } from './phases.ts';

const lookEveryMs = 1_000;
const preparationSteps = ['install', 'claim-target', 'tables', 'rights', 'stream'] as const;

type Pass = 'again' | 'idle' | 'ended';

/**
 * Runs one departure while this process holds its lock: looks at the document and at the phase that the rules say, does the one next thing, and looks again. Whatever it finds begun it ends: a hold that it does not run itself is taken back, a decision
 * is gone on with. Everything it does can be cut off at any moment.
 */
export class DepartureLeader implements AsyncDisposable {
  readonly #context: RunnerContext;
  readonly #departure: Departure;
  readonly #session: TopologySession;
  readonly #journal: WorkflowJournal;
  #comparison: Comparison | null = null;
  #switching = false;

  constructor(context: RunnerContext, departure: Departure, session: TopologySession) {
    this.#context = context;
    this.#departure = departure;
    this.#session = session;
    this.#journal = new WorkflowJournal(context.deps, departure.name);
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
    for (;;) {
      const pass = await this.#guardedPass(signal);
      if (pass === 'ended') return;
      if (pass === 'idle') await view.changed(lookEveryMs, signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#context.metrics.lag.remove({ workflow: this.#departure.name });
  }

  async #guardedPass(signal: AbortSignal): Promise<Pass> {
    const { deps } = this.#context;
    const { name } = this.#departure;
    try {
      return await this.#pass(signal);
    } catch (error) {
      signal.throwIfAborted();
      // Whatever it was, the next pass begins with a stream of its own.
      this.#comparison = null;
      const failure = asSwitchyardError(error);
      deps.log.warn({ err: error, workflow: name, reason: failure.reason }, 'the workflow could not go on; trying again');
      await this.#journal.message(said(failure), signal).catch((unsaid: unknown) => deps.log.info({ err: unsaid, workflow: name }, 'nor could that be written down'));
      return 'idle';
    }
  }

  async #pass(signal: AbortSignal): Promise<Pass> {
    const { topology } = this.#context.deps;
    const [stored, rules] = await Promise.all([topology.workflow(this.#departure.name, signal), topology.readRules(signal)]);
    if (stored === null || !isActive(stored.value.state)) return 'ended';
    const document = stored.value;
    if (rules.kind !== 'valid') throw new SwitchyardError(rules.kind === 'missing' ? 'RULES_MISSING' : 'RULES_INVALID', 'there are no valid rules: repair them first');
    const phase = phaseOf(rules.document, this.#departure);
    const begun = await this.#endBegun(document, phase, signal);
    if (begun !== null) return begun;
    const { request } = document;
    if (request !== undefined) return await this.#request(document, request, phase, signal);
    switch (document.state) {
      case 'created':
        return await this.#prepare(document, signal);
      case 'copying':
        if (await this.#compareAll(document, signal)) await this.#journal.become({ kind: 'copied' }, '', signal);
        return 'again';
      case 'running':
        if (phase.kind === 'torn') throw new SwitchyardError('WORKFLOW_STATE', phase.message);
        if (wantOf(rules.document, this.#departure.name, 'source') === 'target') return await this.#leave(document, signal);
        await this.#compareAll(document, signal);
        await this.#journal.message('', signal);
        return 'idle';
      default:
        return 'idle';
    }
  }

  /** Null: nothing was begun that has to be ended first. */
  async #endBegun(document: WorkflowDocument, phase: Phase, signal: AbortSignal): Promise<Pass | null> {
    const { deps } = this.#context;
    const { name } = this.#departure;
    if (phase.kind === 'holding') {
      deps.log.warn({ workflow: name, attempt: phase.attempt }, 'a hold that nobody runs any more is taken back');
      await takeBack(this.#departure, phase.attempt, deps, signal);
      await this.#closeRecord('source', signal);
      return 'again';
    }
    if (phase.kind === 'moved') {
      deps.log.warn({ workflow: name, attempt: phase.attempt }, 'a switch that was decided is gone on with');
      await goForward(this.#departure, asAttempt(phase.attempt), deps.clock.monotonic(), deps, (_, act) => act(), signal);
      return 'again';
    }
    if (phase.kind === 'done' && (document.state === 'running' || document.cutovers.at(-1)?.outcome === 'running')) {
      const rows = await this.#departure.target.owner.fenceRows(this.#departure.tables, signal);
      if (!rows.every(({ state, workflow }) => state === 'OPEN' && workflow === name))
        throw new SwitchyardError(
          'WORKFLOW_STATE',
          'the rules point to the target, which has not been opened: somebody has changed them by hand; give them back what their history has',
        );
      await this.#closeRecord('target', signal);
      await this.#journal.become({ kind: 'primary', side: 'target' }, '', signal);
      return 'again';
    }
    return null;
  }

  /** The record of a coordinator that has not been seen again. */
  async #closeRecord(primary: SideName, signal: AbortSignal): Promise<void> {
    await this.#journal.update((current) => withRepair(current, { primary, attempts: 'all', message: 'its coordinator ended without saying how' }), signal);
  }

  async #prepare(document: WorkflowDocument, signal: AbortSignal): Promise<Pass> {
    const step = preparationSteps.find((each) => !hasStep(document, each));
    if (step === undefined) {
      await this.#journal.become({ kind: 'prepared' }, '', signal);
      return 'again';
    }
    try {
      await this.#prepareStep(step, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSwitchyardError(error);
      if (failure.retryable) throw failure;
      await this.#journal.become({ kind: 'failed' }, `step ${step}: ${said(failure)}`, signal);
      return 'again';
    }
    await this.#journal.step(step, signal);
    return 'again';
  }

  async #prepareStep(step: (typeof preparationSteps)[number], signal: AbortSignal): Promise<void> {
    const departure = this.#departure;
    const { target, tables } = departure;
    const { owner, player } = target;
    const scope = targetScope(departure);
    switch (step) {
      case 'install':
        return await owner.install(signal);
      case 'claim-target':
        return await owner.claim(scope, 'target', signal);
      case 'tables': {
        const missing: string[] = [];
        for (const table of tables) if ((await player.describe(table, signal)) === null) missing.push(table);
        await this.#journal.update((current) => ({ ...current, createdTables: [...new Set([...current.createdTables, ...missing])] }), signal);
        return await owner.createTables(scope, await definitionsOf(departure, signal), signal);
      }
      case 'rights':
        return await owner.saveRights(scope, new Map(tables.map((table) => [table, ['SELECT', 'INSERT', 'UPDATE', 'DELETE']])), signal);
      case 'stream': {
        const stream = streamOf(departure);
        const seen = { token: await owner.streamToken(stream, signal), scope, state: 'CLOSED' } as const;
        return await owner.beginStream(stream, position(COMPARED), seen, signal);
      }
    }
  }

  /** One pass over every table; whether it came to its end: it stops where an operator asks for something. */
  async #compareAll(document: WorkflowDocument, signal: AbortSignal): Promise<boolean> {
    const { deps, metrics } = this.#context;
    const { name, tables } = this.#departure;
    this.#comparison ??= await Comparison.begin(this.#departure, signal);
    const begunAt = deps.clock.monotonic();
    const progress = new Map(document.progress.map((entry) => [entry.table, entry]));
    for (const table of tables) {
      let rows = 0;
      try {
        ({ rows } = await this.#comparison.pass(table, signal, (seen) => {
          if (this.#context.view.workflows.get(name)?.value.request !== undefined) throw new Interrupted();
          metrics.rowsCopied.set({ workflow: name, table }, seen);
        }));
      } catch (error) {
        if (error instanceof Interrupted) return false;
        throw error;
      }
      progress.set(table, { table, rowsCopied: rows, rowsTotal: rows, bytesCopied: 0, done: true });
    }
    // The oldest change that the target may lack is as old as the pass.
    const lagMs = deps.clock.monotonic() - begunAt;
    metrics.lag.set({ workflow: name }, lagMs / 1_000);
    await this.#journal.update((current) => withProgress(current, { tables: [...progress.values()], pace: null, lagMs }), signal);
    return true;
  }

  async #leave(document: WorkflowDocument, signal: AbortSignal): Promise<Pass> {
    const { deps, metrics } = this.#context;
    const { name } = this.#departure;
    const note = changeNote(deps, `workflow ${name}: all its tables want the target`);
    await deps.topology.updateRules(note, (rules) => wantSide(rules, name, 'target'), signal);
    this.#switching = true;
    try {
      this.#comparison ??= await Comparison.begin(this.#departure, signal);
      const record = await leave({ departure: this.#departure, document, comparison: this.#comparison, deps, signal });
      metrics.cutovers.inc({ workflow: name, to: 'target', outcome: record.outcome, reason: record.reason ?? '' });
      if (record.outcome === 'switched') metrics.hold.observe({ to: 'target' }, record.holdMs / 1_000);
      if (record.outcome === 'aborted' && !signal.aborted) {
        this.#comparison = null;
        const back = changeNote(deps, `workflow ${name}: the cutover to the target was not made (${record.reason ?? 'aborted'})`);
        await deps.topology.updateRules(back, (rules) => (phaseOf(rules, this.#departure).kind === 'serving' ? wantSide(rules, name, 'source') : null), signal);
      }
    } finally {
      this.#switching = false;
    }
    return 'again';
  }

  async #request(document: WorkflowDocument, request: WorkflowRequest, phase: Phase, signal: AbortSignal): Promise<Pass> {
    const { kind } = request;
    const problem = requestProblem(document.state, kind);
    try {
      if (problem !== null) throw new SwitchyardError('WORKFLOW_STATE', problem);
      if (kind === 'verify')
        throw new SwitchyardError(
          'NOT_SUPPORTED',
          `the store of "${this.#departure.source.keyspace}" cannot fence: its rows are compared all the time, and once more while writes wait for the switch`,
        );
      if (kind === 'complete') await this.#complete(document, phase, signal);
      else await this.#cancel(document, request.keepData, phase, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSwitchyardError(error);
      if (failure.retryable) throw failure;
      await this.#journal.finish(request, { error: failure }, signal);
      return 'again';
    }
    await this.#journal.finish(request, { error: null, event: { kind: kind === 'complete' ? 'completed' : 'cancelled' } }, signal);
    return 'again';
  }

  async #complete(document: WorkflowDocument, phase: Phase, signal: AbortSignal): Promise<void> {
    const { name, target } = this.#departure;
    const begun = endingBegun('complete');
    if (phase.kind !== 'done' && !hasStep(document, begun)) throw new SwitchyardError('WORKFLOW_STATE', 'the rules do not say that the target serves');
    await this.#journal.step(begun, signal);
    await target.owner.disown(targetScope(this.#departure), 'OPEN', signal);
    await target.owner.dropStream(streamOf(this.#departure), signal);
    await this.#release(`workflow ${name} completed`, target.keyspace, signal);
  }

  /** The rules first: once they do not name the workflow, no coordinator, however late, can hold or decide any more. */

  async #cancel(document: WorkflowDocument, keepData: boolean, phase: Phase, signal: AbortSignal): Promise<void> {
    const { name, source, target } = this.#departure;
    const begun = endingBegun('cancel');
    if (phase.kind !== 'serving' && !hasStep(document, begun))
      throw new SwitchyardError('WORKFLOW_STATE', phase.kind === 'torn' ? phase.message : 'the rules do not say that the source serves');
    await this.#journal.step(begun, signal);
    await this.#release(`workflow ${name} cancelled`, source.keyspace, signal);
    if (hasStep(document, 'install')) {
      const scope = targetScope(this.#departure);
      await target.owner.dropStream(streamOf(this.#departure), signal);
      const created = document.createdTables;
      const owned = (await target.owner.fenceRows(created, signal)).some(({ workflow }) => workflow === name);
      if (!keepData && owned) await target.owner.dropTables({ ...scope, tables: created }, signal);
      await target.owner.disown(scope, 'CLOSED', signal);
    }
  }

  async #release(reason: string, primary: string, signal: AbortSignal): Promise<void> {
    const { deps } = this.#context;
    const release = (rules: RulesDocument): RulesChange => {
      const phase = phaseOf(rules, this.#departure);
      if (phase.kind === 'holding' || phase.kind === 'moved') throw new SwitchyardError('WORKFLOW_STATE', 'a switch is under way');
      return releaseTables(rules, this.#departure.name, primary);
    };
    await deps.topology.updateRules(changeNote(deps, reason), release, signal);
  }
}

/** An operator waits for something else. */
class Interrupted extends Error {}

const said = (error: SwitchyardError): string => `${error.reason}: ${error.message}`;

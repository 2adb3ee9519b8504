import { type Attempt, attempt as asAttempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { CutoverRecord } from '../../core/workflow-document.ts';
import type { Lock, TopologySession } from '../../topo/topology.ts';
import type { ArmedMove, ControlDeps, MoveStreams, SideName } from '../move.ts';
import { type Direction, directionTo } from './direction.ts';
import { type FenceLinks, fenceLinks } from './fence-link.ts';
import { precheckError } from './finding.ts';
import { GatewayVersions } from './gateway-versions.ts';
import { type HoldResult, runHold } from './hold.ts';
import { Abandoned } from './hold-context.ts';
import { CutoverJournal } from './journal.ts';
import { newAttempt } from './new-attempt.ts';
import { precheck } from './precheck.ts';
import { prepare } from './prepare.ts';
import type { CutoverStepName } from './steps.ts';
import { runTail } from './tail.ts';
import { abortError, asSwitchyardError, backOffMs } from '../time-limit.ts';
import { CutoverTrace } from './trace.ts';

export interface CutoverInput {
  readonly armed: ArmedMove;
  /** The side that is to become primary. */
  readonly to: SideName;
  readonly streams: MoveStreams;
  /** The session of the workflow's lock, which the caller holds; the keyspaces' locks are taken with it. */
  readonly session: TopologySession;
  readonly deps: ControlDeps;
  /** Before the decision an abort takes the attempt back and ends the cutover; after it the cutover finishes the switch first and leaves out what follows. */
  readonly signal: AbortSignal;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
const JOURNAL_LIMIT_MS = 5_000;
/** A document holds many attempts. */
const SHOWN_OF_ABORT = 300;

/**
 * Runs one cutover to its end: attempts with back-off up to the workflow's limit, then what follows the switch. Resolves to its record, also written into the workflow's document, whose state it sets: `switched`; `aborted` with its reason, traffic
 * flowing where it did before, and perhaps a log of the way back left to drop (`dropLeftLog`); `running` when a store that the next step needs does not answer: then the repair finishes or undoes it. Whatever fails on the way is in the
 * record; the promise rejects only with what `deps.onStep` threw, and then everything is left as a death of the process would leave it.
 */
export async function runCutover(input: CutoverInput): Promise<CutoverRecord> {
  const cutover = new Cutover(input);
  try {
    return await cutover.run();
  } catch (error) {
    throw error instanceof Abandoned ? error.cause : error;
  } finally {
    await cutover.unlock();
  }
}

class Cutover {
  readonly #input: CutoverInput;
  readonly #direction: Direction;
  readonly #trace: CutoverTrace;
  readonly #journal: CutoverJournal;
  readonly #locks = new Map<string, Lock>();
  readonly #aborted: { attempt: number; reason: string; message: string }[] = [];
  #attempt: Attempt = asAttempt(0);
  #attempts = 0;

  constructor(input: CutoverInput) {
    const { armed, deps, to } = input;
    this.#input = input;
    this.#direction = directionTo(armed.move, to);
    this.#journal = new CutoverJournal(deps, armed.move.name);
    const { from, move } = this.#direction;
    const subject = { workflow: move.name, from: from.keyspace, to: this.#direction.to.keyspace, tables: move.tables.length };
    this.#trace = new CutoverTrace(deps.clock, subject, (name) => this.#stepDone(name));
  }

  async run(): Promise<CutoverRecord> {
    const result = await this.#untilDecided();
    const record = await this.#conclude(result);
    const { deps, armed, to } = this.#input;
    deps.log.info(
      {
        workflow: armed.move.name,
        to,
        outcome: record.outcome,
        reason: record.reason,
        detail: record.message,
        attempt: record.attempt,
        attempts: record.attempts,
        holdMs: record.holdMs,
      },
      'cutover ended',
    );
    return record;
  }

  /** Courtesy locks, in a fixed order; given back whatever happens. A lock that cannot be given back ends with the session. */
  async unlock(): Promise<void> {
    for (const [key, lock] of [...this.#locks].reverse()) {
      this.#locks.delete(key);
      try {
        await lock[Symbol.asyncDispose]();
      } catch (error) {
        this.#input.deps.log.warn({ err: error, lock: key }, 'a lock could not be given back');
      }
    }
  }

  async #untilDecided(): Promise<HoldResult> {
    const { armed, deps, signal } = this.#input;
    const { limits } = armed.document;
    for (;;) {
      this.#attempts += 1;
      this.#trace.beginAttempt(this.#attempts);
      const result = await this.#runAttempt();
      if (result.kind !== 'aborted' || !result.error.retryable || this.#attempts >= limits.attempts || signal.aborted) return result;
      deps.log.info({ workflow: armed.move.name, attempt: this.#attempt, reason: result.error.reason, detail: result.error.message }, 'attempt aborted; it is tried again');
      this.#aborted.push({ attempt: this.#attempt, reason: result.error.reason, message: result.error.message.slice(0, SHOWN_OF_ABORT) });
      this.#journal.note(this.#record('running', result.error.reason, result.error.message));
      try {
        await deps.clock.sleep(backOffMs(this.#attempts - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
      } catch {
        return { kind: 'aborted', error: abortError(signal), message: result.message };
      }
    }
  }

  async #runAttempt(): Promise<HoldResult> {
    const { armed, deps, session, signal, streams } = this.#input;
    const direction = this.#direction;
    const trace = this.#trace;
    await using links = fenceLinks(armed.move, deps);
    using _hurry = streams.hurry(direction.from.name);
    try {
      await trace.step('lock', () => this.#begin(links));
      const held = AbortSignal.any([signal, session.lost, ...[...this.#locks.values()].map((lock) => lock.lost)]);
      const document = await this.#document(held);
      const found = await trace.step('precheck', async (note) => {
        const result = await precheck(armed.move, document, direction.to.name, streams, deps, held);
        if (result.problems.length > 0) throw precheckError(result.problems);
        if (result.warnings.length > 0) note(result.warnings.map((warning) => warning.message).join('; '));
        return result;
      });
      await using gateways = new GatewayVersions(deps, found.gateways);
      await prepare({ direction, attempt: this.#attempt, document, streams, links, trace, deps, signal: held });
      return await runHold({ direction, attempt: this.#attempt, limits: document.limits, links, gateways, trace, deps, signal: held });
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      const failure = signal.aborted ? abortError(signal) : asSwitchyardError(error);
      return { kind: 'aborted', error: failure, message: null };
    }
  }

  /** Locks, the attempt's number, and the journal's word that it begins: all that Consul is needed for before a hold. */
  async #begin(links: FenceLinks): Promise<void> {
    const { armed, deps, session, signal } = this.#input;
    const { move } = armed;
    for (const keyspace of [move.source.keyspace, move.target.keyspace].toSorted()) {
      const key = `keyspace/${keyspace}`;
      if (this.#locks.get(key)?.lost.aborted === false) continue;
      this.#locks.set(key, await deps.topology.lock(key, session, `${deps.controlId} ${move.name}`, signal));
    }
    this.#attempt = await newAttempt(links, deps, signal);
    this.#trace.setAttempt(this.#attempt);
    await this.#journal.write(this.#record('running', null, null), signal);
  }

  async #document(signal: AbortSignal): Promise<ArmedMove['document']> {
    const { armed, deps } = this.#input;
    const stored = await deps.topology.workflow(armed.move.name, signal);
    if (stored === null) throw new SwitchyardError('WORKFLOW_UNKNOWN', `the workflow "${armed.move.name}" does not exist any more`);
    return stored.value;
  }

  async #conclude(result: HoldResult): Promise<CutoverRecord> {
    const { deps, signal, streams } = this.#input;
    const trace = this.#trace;
    const messages: (string | null)[] = [];
    if (result.kind === 'switched') {
      messages.push(result.message, ...(await runTail({ direction: this.#direction, attempt: this.#attempt, streams, deps, steps: trace, signal })));
    } else {
      messages.push(result.error.message, result.kind === 'aborted' ? result.message : 'not decided: the repair goes on as soon as the stores answer');
    }
    const outcome = result.kind === 'undecided' ? 'running' : result.kind;
    const reason = result.kind === 'switched' ? null : result.error.reason;
    const message = messages.filter((part) => part !== null && part !== '').join('; ');
    const close = (): CutoverRecord => this.#record(outcome, reason, message === '' ? null : message);
    await trace.step('journal', async (note) => {
      if (!(await this.#journal.finish(close(), JOURNAL_LIMIT_MS))) note('not written');
    });
    await trace.step('unlock', () => this.unlock());
    trace.end(outcome, reason);
    const record = close();
    await this.#journal.finish(record, JOURNAL_LIMIT_MS);
    return record;
  }

  async #stepDone(name: CutoverStepName): Promise<void> {
    const { armed, deps, to } = this.#input;
    if (name !== 'journal' && name !== 'unlock') this.#journal.note(this.#record('running', null, null));
    try {
      await deps.onStep?.(armed.move.name, to, name);
    } catch (error) {
      throw new Abandoned(error);
    }
  }

  #record(outcome: CutoverRecord['outcome'], reason: string | null, message: string | null): CutoverRecord {
    const { holdMs, startedAt, steps, traceId, traceparent } = this.#trace;
    return {
      attempt: this.#attempt,
      to: this.#input.to,
      outcome,
      ...(reason === null ? {} : { reason }),
      ...(message === null ? {} : { message }),
      startedAt,
      attempts: this.#attempts,
      ...(this.#aborted.length === 0 ? {} : { aborted: [...this.#aborted] }),
      holdMs: Math.round(holdMs * 1_000) / 1_000,
      ...(traceId === undefined ? {} : { traceId }),
      ...(traceparent === undefined ? {} : { traceparent }),
      steps: [...steps],
    };
  }
}

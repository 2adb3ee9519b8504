import type { CatchUpState, FenceScope, FenceSession, SequenceState, StreamSpec } from '../../../backends/backend.ts';
import { preparedLater } from '../../../backends/stream-beginning.ts';
import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, attempt as asAttempt } from '../../../core/ids.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Connection } from '../kernel/connection.ts';
import { fenceRowsOf, sequencesOf } from './owner-reads.ts';
import type { StoreSession } from './session.ts';
import { abortError, type StoreLink } from './store-link.ts';
import { abortFence, closeFence, commitFence, fenceTables, openFence, prepareFence, readyFence, type StreamRow } from './transitions.ts';
import { StoreRefusal, type Transaction } from './transaction.ts';

const mostDeadlocks = 5;

/** The transitions over a connection of their own. */
export class SimFenceSession implements FenceSession {
  readonly #link: StoreLink;
  readonly #scope: FenceScope;
  #connection: Connection<StoreSession>;

  constructor(link: StoreLink, scope: FenceScope) {
    this.#link = link;
    this.#scope = scope;
    this.#connection = link.connect();
  }

  highestAttempt(signal: AbortSignal): Promise<Attempt> {
    return this.#run(signal, async (transaction) => {
      transaction.beginStatement();
      const prepared = transaction.read<Attempt>('preparation', this.#scope.workflow) ?? 0;
      return asAttempt(Math.max(prepared, ...fenceRowsOf(transaction, this.#scope.tables).map((row) => row.attempt)));
    });
  }

  async prepare(to: Attempt, signal: AbortSignal): Promise<void> {
    if (!(await this.#run(signal, (transaction) => prepareFence(transaction, this.#scope, to)))) throw preparedLater(this.#scope.workflow, to);
  }

  async fence(to: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void> {
    const { process, server } = this.#link;
    const deadline = process.clock.monotonic() + lockTimeoutMs;
    const late = (cause?: unknown): SwitchyardError =>
      new SwitchyardError('LOCK_TIMEOUT', `the source's writers did not drain within ${lockTimeoutMs} ms; nothing changed`, { cause });
    for (;;) {
      const leftMs = Math.floor(deadline - process.clock.monotonic());
      if (leftMs < 1) throw late();
      try {
        return await this.#transition('fence', to, signal, (transaction) => fenceTables(transaction, this.#scope, to, leftMs, () => server.now));
      } catch (error) {
        const code = error instanceof SwitchyardError && error.cause instanceof StoreRefusal ? error.cause.code : null;
        if (code === 'lock_not_available') throw late(error);
        if (code !== 'deadlock_detected') throw error;
      }
    }
  }

  commit(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retrying('commit', to, signal, (transaction) => commitFence(transaction, this.#scope, to));
  }

  abort(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retrying('abort', to, signal, (transaction) => abortFence(transaction, this.#scope, to));
  }

  ready(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retrying('ready', to, signal, (transaction) => readyFence(this.#link.server, transaction, this.#scope, to, stream.id));
  }

  close(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retrying('close', to, signal, (transaction) => closeFence(transaction, this.#scope, to));
  }

  open(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retrying('open', to, signal, (transaction) => openFence(transaction, this.#scope, to, stream.id));
  }

  async catchUp(stream: StreamSpec, signal: AbortSignal): Promise<CatchUpState> {
    return this.#run(signal, async (transaction) => {
      transaction.beginStatement();
      const row = transaction.read<StreamRow>('stream', stream.id);
      const fences = fenceRowsOf(transaction, this.#scope.tables);
      const marker = row?.workflow === stream.workflow ? row.marker : asAttempt(0);
      return { marker: this.#link.server.faults.has('marker') ? this.#link.server.pretendedMarker() : marker, fences };
    });
  }

  sequences(signal: AbortSignal): Promise<readonly SequenceState[]> {
    return this.#run(signal, async (transaction) => sequencesOf(transaction, this.#scope.tables));
  }

  fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]> {
    return this.#run(signal, async (transaction) => {
      transaction.beginStatement();
      return fenceRowsOf(transaction, this.#scope.tables);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.drop();
  }

  async #retrying(name: string, to: Attempt, signal: AbortSignal, act: (transaction: Transaction) => Promise<boolean>): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#transition(name, to, signal, act);
      } catch (error) {
        if (!hasReason(error, 'SERIALIZATION_FAILURE') || tries >= mostDeadlocks) throw error;
      }
    }
  }

  async #transition(name: string, to: Attempt, signal: AbortSignal, act: (transaction: Transaction) => Promise<boolean>): Promise<void> {
    if (await this.#run(signal, act)) return;
    const found = (await this.fenceRows(signal)).map((row) => `${row.table} ${row.state}(${row.attempt}) of ${row.workflow ?? 'nobody'} with ${row.peer}`).join(', ');
    const { workflow, peer } = this.#scope;
    throw new SwitchyardError('FENCE_CONFLICT', `${name} to attempt ${to} for workflow "${workflow}" with "${peer}" finds ${found === '' ? 'no fence rows' : found}`);
  }

  /** The effect is unknown when the connection is lost: every transition may be repeated. */
  async #run<T>(signal: AbortSignal, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    if (!this.#connection.isUsable) this.#connection = this.#link.connect();
    try {
      return await this.#link.request(this.#connection, 'commits', signal, (session) => session.run('owner', act));
    } catch (error) {
      throw signal.aborted ? abortError(signal) : error;
    }
  }
}

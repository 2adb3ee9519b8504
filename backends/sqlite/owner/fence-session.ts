import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, attempt } from '../../../core/ids.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { CatchUpState, FenceScope, FenceSession, SequenceState, StreamSpec } from '../../backend.ts';
import { preparedLater } from '../../stream-beginning.ts';
import type { StoreClient, Transaction } from '../store-client.ts';
import type { QueueLimits } from '../write-queue.ts';
import { readSequences } from './sequences.ts';
import { abortFence, closeFence, commitFence, fenceTables, highestAttempt, openFence, prepareFence, readyFence } from './transitions.ts';

/** After the decision there is only forward: what waits for the lock then waits as long as its caller does, and this long at most. */
const LOCK_LIMIT_MS = 15_000;

/** Takes a client of its own and reads once what the hold will read, so that the first statement in a hold is as fast as the others. */
export async function openFenceSession(client: StoreClient, scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
  const session = new SqliteFenceSession(client, scope);
  try {
    await session.fenceRows(signal);
    await session.sequences(signal);
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

class SqliteFenceSession implements FenceSession {
  readonly #client: StoreClient;
  readonly #scope: FenceScope;

  constructor(client: StoreClient, scope: FenceScope) {
    this.#client = client;
    this.#scope = scope;
  }

  highestAttempt(signal: AbortSignal): Promise<Attempt> {
    return this.#client.read(signal, (transaction) => highestAttempt(transaction, this.#scope));
  }

  async prepare(to: Attempt, signal: AbortSignal): Promise<void> {
    const isFirst = await this.#client.write(signal, (transaction) => prepareFence(transaction, this.#scope, to), { limitMs: LOCK_LIMIT_MS });
    if (!isFirst) throw preparedLater(this.#scope.workflow, to);
  }

  async fence(to: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#transition('fence', to, signal, (transaction) => fenceTables(transaction, this.#scope, to), { limitMs: lockTimeoutMs });
    } catch (error) {
      if (!hasReason(error, 'STORE_OVERLOADED')) throw error;
      throw new SwitchyardError('LOCK_TIMEOUT', `the source's writers did not drain within ${lockTimeoutMs} ms; nothing changed`, { cause: error });
    }
  }

  commit(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('commit', to, signal, (transaction) => commitFence(transaction, this.#scope, to));
  }

  abort(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('abort', to, signal, (transaction) => abortFence(transaction, this.#scope, to));
  }

  ready(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('ready', to, signal, (transaction) => readyFence(transaction, this.#scope, to, stream));
  }

  close(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('close', to, signal, (transaction) => closeFence(transaction, this.#scope, to));
  }

  open(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('open', to, signal, (transaction) => openFence(transaction, this.#scope, to, stream));
  }

  catchUp(stream: StreamSpec, signal: AbortSignal): Promise<CatchUpState> {
    return this.#client.read(signal, ({ connection, fence }) => {
      const [row] = connection.all('SELECT marker FROM switchyard_stream WHERE id = ? AND workflow = ?', [stream.id, stream.workflow]);
      return { marker: attempt(Number(row?.[0] ?? 0)), fences: fence.rows(this.#scope.tables) };
    });
  }

  sequences(signal: AbortSignal): Promise<readonly SequenceState[]> {
    return this.#client.read(signal, (transaction) => readSequences(transaction, this.#scope.tables));
  }

  fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]> {
    return this.#client.read(signal, ({ fence }) => fence.rows(this.#scope.tables));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
  }

  async #transition(name: string, to: Attempt, signal: AbortSignal, change: (transaction: Transaction) => boolean, limits: Partial<QueueLimits> = {}): Promise<void> {
    if (await this.#client.write(signal, change, { limitMs: LOCK_LIMIT_MS, urgent: true, ...limits })) return;
    const found = (await this.fenceRows(signal)).map((row) => `${row.table} ${row.state}(${row.attempt}) of ${row.workflow ?? 'nobody'} with ${row.peer}`);
    const { workflow, peer } = this.#scope;
    throw new SwitchyardError(
      'FENCE_CONFLICT',
      `${name} to attempt ${to} for workflow "${workflow}" with "${peer}" finds ${found.length === 0 ? 'no fence rows' : found.join(', ')}`,
      { metadata: { workflow, step: name } },
    );
  }
}

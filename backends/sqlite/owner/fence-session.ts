import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, attempt } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { CatchUpState, FenceScope, FenceSession, SequenceState, StreamSpec } from '../../backend.ts';
import type { Connection } from '../connection.ts';
import { readFenceRows } from './fence-rows.ts';
import { type LockWait, untilFree, writing } from './locking.ts';
import { readSequences } from './sequences.ts';
import type { StoreFile } from './store-file.ts';
import { abortFence, closeFence, commitFence, fenceTables, openFence, readyFence } from './transitions.ts';

/** Opens a connection of its own and reads once what the hold will read, so that the first statement in a hold is as fast as the others. */
export async function openFenceSession(file: StoreFile, scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
  const session = new SqliteFenceSession(file, scope);
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
  readonly #file: StoreFile;
  readonly #scope: FenceScope;

  constructor(file: StoreFile, scope: FenceScope) {
    this.#file = file;
    this.#scope = scope;
  }

  fence(to: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void> {
    const late = (): SwitchyardError => new SwitchyardError('LOCK_TIMEOUT', `the source's writers did not drain within ${lockTimeoutMs} ms; nothing changed`);
    return this.#transition('fence', to, { ...this.#wait(signal), limitMs: lockTimeoutMs, late }, (connection) => fenceTables(connection, this.#scope, to));
  }

  commit(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('commit', to, this.#wait(signal), (connection) => commitFence(connection, this.#scope, to));
  }

  abort(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('abort', to, this.#wait(signal), (connection) => abortFence(connection, this.#scope, to));
  }

  ready(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('ready', to, this.#wait(signal), (connection) => readyFence(connection, this.#scope, to, stream));
  }

  close(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('close', to, this.#wait(signal), (connection) => closeFence(connection, this.#scope, to));
  }

  open(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('open', to, this.#wait(signal), (connection) => openFence(connection, this.#scope, to, stream));
  }

  catchUp(stream: StreamSpec, signal: AbortSignal): Promise<CatchUpState> {
    return this.#read(signal, (connection) => {
      const [row] = connection.all('SELECT marker FROM switchyard_stream WHERE id = ? AND workflow = ?', [stream.id, stream.workflow]);
      return { marker: attempt(Number(row?.[0] ?? 0)), fences: readFenceRows(connection, this.#scope.tables) };
    });
  }

  sequences(signal: AbortSignal): Promise<readonly SequenceState[]> {
    return this.#read(signal, (connection) => readSequences(connection, this.#scope.tables));
  }

  fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]> {
    return this.#read(signal, (connection) => readFenceRows(connection, this.#scope.tables));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file[Symbol.dispose]();
  }

  async #transition(name: string, to: Attempt, wait: LockWait, change: (connection: Connection) => boolean): Promise<void> {
    const connection = await this.#file.connection(wait.signal);
    if (await writing(connection, wait, () => change(connection))) return;
    const found = readFenceRows(connection, this.#scope.tables).map((row) => `${row.table} ${row.state}(${row.attempt}) of ${row.workflow ?? 'nobody'} with ${row.peer}`);
    const { workflow, peer } = this.#scope;
    throw new SwitchyardError(
      'FENCE_CONFLICT',
      `${name} to attempt ${to} for workflow "${workflow}" with "${peer}" finds ${found.length === 0 ? 'no fence rows' : found.join(', ')}`,
      { metadata: { workflow, step: name } },
    );
  }

  /** In one snapshot. */
  async #read<T>(signal: AbortSignal, read: (connection: Connection) => T): Promise<T> {
    const connection = await this.#file.connection(signal);
    return untilFree(this.#wait(signal), () => connection.transaction('DEFERRED', () => read(connection)));
  }

  #wait(signal: AbortSignal): LockWait {
    return { clock: this.#file.clock, signal };
  }
}

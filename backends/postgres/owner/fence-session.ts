import type { Attempt } from '../../../core/ids.ts';
import { attempt } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceRow } from '../../../core/fence.ts';
import type { CatchUpState, FenceScope, FenceSession, SequenceState, StoreOptions, StreamSpec } from '../../backend.ts';
import { preparedLater } from '../../stream-beginning.ts';
import { textFromElements } from '../array-text.ts';
import { clientConfig, quoteTable } from '../connection.ts';
import { connectError, isConnectionLoss, sqlState, storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { Parameter, TextRow } from '../batch.ts';
import { Session } from '../session.ts';
import { silenceWatch } from '../lookout.ts';
import { identityError, runAll } from '../store-client.ts';
import { fenceColumns, fenceRowsFromText } from './claims.ts';
import { sequencesFromRows, sequencesText } from './sequences.ts';

const catchUpText = `
  SELECT coalesce((SELECT s.marker FROM switchyard.stream s WHERE s.id = $2 AND s.workflow = $3), 0), f.table_name, f.state, f.attempt, f.peer, f.workflow
  FROM switchyard.fence f WHERE f.table_name = ANY ($1::text[]) ORDER BY f.table_name`;
const highestText = `
  SELECT greatest((SELECT max(attempt) FROM switchyard.fence WHERE table_name = ANY ($1::text[])), (SELECT attempt FROM switchyard.preparation WHERE workflow = $2), 0)`;
const fenceRowsText = `${fenceColumns} WHERE table_name = ANY ($1::text[]) ORDER BY table_name`;

/** A GRANT or REVOKE met another change of the same catalogue row. PostgreSQL has no code of its own for it. */
const CATALOGUE_RACE = 'XX000';
const DEADLOCK = '40P01';
const LOCK_NOT_AVAILABLE = '55P03';
const RACE_RETRIES = 5;

/** Connects and runs each statement once without effect, so that the first one in a hold is as fast as the others. */
export async function openFenceSession(options: StoreOptions, scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
  const session = new PostgresFenceSession(options, scope);
  try {
    await session.warmUp(signal);
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

class PostgresFenceSession implements FenceSession {
  readonly #options: StoreOptions;
  readonly #scope: FenceScope;
  /** As the transitions' first three parameters. */
  readonly #scopeParameters: readonly Parameter[];
  readonly #tables: string;
  #session: Session | null = null;
  #opening: Promise<Session> | null = null;

  constructor(options: StoreOptions, scope: FenceScope) {
    this.#options = options;
    this.#scope = scope;
    this.#tables = textFromElements(scope.tables);
    this.#scopeParameters = [scope.workflow, scope.peer, this.#tables];
  }

  async warmUp(signal: AbortSignal): Promise<void> {
    const nothing = ['', '', '{}', '0'];
    await this.#query('SELECT switchyard.fence_tables($1, $2, $3::text[], $4::bigint, $5::integer)', [...nothing, '1'], signal);
    for (const name of ['commit', 'abort', 'close'] as const) await this.#query(simpleText(name), nothing, signal);
    for (const name of ['ready', 'open'] as const) await this.#query(streamText(name), [...nothing, ''], signal);
    await this.#query(catchUpText, [this.#tables, '', ''], signal);
    await this.fenceRows(signal);
    await this.sequences(signal);
    // Loads what the connection keeps about the tables themselves; a target may not have them yet.
    for (const table of this.#scope.tables) await this.#query('SELECT has_table_privilege(to_regclass($1), $2)', [quoteTable(table), 'SELECT'], signal);
  }

  async highestAttempt(signal: AbortSignal): Promise<Attempt> {
    const [row] = await this.#query(highestText, [this.#tables, this.#scope.workflow], signal);
    return attempt(Number(row?.[0]));
  }

  async prepare(to: Attempt, signal: AbortSignal): Promise<void> {
    const [row] = await this.#query(prepareText, [this.#scope.workflow, String(to)], signal);
    if (row?.[0] !== 't') throw preparedLater(this.#scope.workflow, to);
  }

  async fence(to: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + lockTimeoutMs;
    for (let races = 0; ; ) {
      const leftMs = Math.floor(deadline - clock.monotonic());
      if (leftMs < 1) throw notDrained(lockTimeoutMs);
      try {
        const text = 'SELECT switchyard.fence_tables($1, $2, $3::text[], $4::bigint, $5::integer)';
        return await this.#transition('fence', text, [...this.#scopeParameters, String(to), String(leftMs)], signal);
      } catch (error) {
        const state = sqlState(error instanceof SwitchyardError ? error.cause : error);
        if (state === LOCK_NOT_AVAILABLE) throw notDrained(lockTimeoutMs, error);
        races += state === CATALOGUE_RACE ? 1 : 0;
        if (state !== DEADLOCK && (state !== CATALOGUE_RACE || races > RACE_RETRIES)) throw error;
      }
    }
  }

  commit(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#simple('commit', to, signal);
  }

  abort(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#simple('abort', to, signal);
  }

  ready(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#ofStream('ready', stream, to, signal);
  }

  close(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#simple('close', to, signal);
  }

  open(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#ofStream('open', stream, to, signal);
  }

  async catchUp(stream: StreamSpec, signal: AbortSignal): Promise<CatchUpState> {
    const rows = await this.#query(catchUpText, [this.#tables, stream.id, stream.workflow], signal);
    return { marker: attempt(Number(rows[0]?.[0] ?? 0)), fences: fenceRowsFromText(rows.map((row) => row.slice(1))) };
  }

  async sequences(signal: AbortSignal): Promise<readonly SequenceState[]> {
    return sequencesFromRows(await this.#query(sequencesText, [this.#tables], signal));
  }

  async fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]> {
    return fenceRowsFromText(await this.#query(fenceRowsText, [this.#tables], signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.close();
    this.#session = null;
  }

  #simple(name: 'commit' | 'abort' | 'close', to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retryingRaces(name, simpleText(name), [...this.#scopeParameters, String(to)], signal);
  }

  #ofStream(name: 'ready' | 'open', stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#retryingRaces(name, streamText(name), [...this.#scopeParameters, String(to), stream.id], signal);
  }

  async #retryingRaces(name: string, text: string, values: readonly Parameter[], signal: AbortSignal): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#transition(name, text, values, signal);
      } catch (error) {
        const state = sqlState(error instanceof SwitchyardError ? error.cause : error);
        if ((state !== CATALOGUE_RACE && state !== DEADLOCK) || tries >= RACE_RETRIES) throw error;
      }
    }
  }

  async #transition(name: string, text: string, values: readonly Parameter[], signal: AbortSignal): Promise<void> {
    const [row] = await this.#query(text, values, signal);
    if (row?.[0] === 't') return;
    const found = (await this.fenceRows(signal)).map((each) => `${each.table} ${each.state}(${each.attempt}) of ${each.workflow ?? 'nobody'} with ${each.peer}`).join(', ');
    const { workflow, peer } = this.#scope;
    throw new SwitchyardError('FENCE_CONFLICT', `${name} to attempt ${values[3]} for workflow "${workflow}" with "${peer}" finds ${found === '' ? 'no fence rows' : found}`, {
      metadata: { workflow, step: name },
    });
  }

  /** The statement's effect is unknown when the connection is lost under it: every transition may be repeated. */
  async #query(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<readonly TextRow[]> {
    const session = await this.#connected(signal);
    const [outcome] = await runAll(session, [{ text, values, prepared: true }], signal);
    if (outcome?.ok === true) return outcome.rows;
    if (signal.aborted) throw abortError(signal);
    if (outcome?.stale === true) return this.#query(text, values, signal);
    if (isConnectionLoss(outcome?.error)) throw storeError(outcome?.error, { mayHaveCommitted: true });
    throw identityError(outcome?.error, 'owner');
  }

  async #connected(signal: AbortSignal): Promise<Session> {
    if (this.#session?.usable === true) return this.#session;
    const { clock, onBackgroundError } = this.#options;
    const config = clientConfig(this.#options, 'owner');
    this.#opening ??= Session.open(config, { clock, watch: silenceWatch(config, clock), onLost: (_, error) => onBackgroundError(error) }, signal).finally(() => {
      this.#opening = null;
    });
    try {
      this.#session = await this.#opening;
      return this.#session;
    } catch (error) {
      throw signal.aborted ? abortError(signal) : connectError(error);
    }
  }
}

const prepareText = 'SELECT switchyard.prepare_fence($1, $2::bigint)';
const simpleText = (name: 'commit' | 'abort' | 'close'): string => `SELECT switchyard.${name}_fence($1, $2, $3::text[], $4::bigint)`;
const streamText = (name: 'ready' | 'open'): string => `SELECT switchyard.${name}_fence($1, $2, $3::text[], $4::bigint, $5)`;

const notDrained = (limitMs: number, cause?: unknown): SwitchyardError =>
  new SwitchyardError('LOCK_TIMEOUT', `the source's writers did not drain within ${limitMs} ms; nothing changed`, { cause });

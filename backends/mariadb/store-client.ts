import type { Identity } from '../../core/keyspace.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { abortError } from '../abort-error.ts';
import type { StoreOptions } from '../backend.ts';
import { ConnectionPool } from '../connection-pool.ts';
import { clientConfig } from './connection.ts';
import { connectError, storeError } from './errors.ts';
import { silenceWatch } from './lookout.ts';
import { describeTable } from './schema.ts';
import { type DoneStatement, type Parameter, Session, type Statement } from './session.ts';

/** What a failed statement of the player or the owner means. */
export function identityError(error: unknown, identity: Identity): SwitchyardError {
  const ours = storeError(error);
  if (ours.reason !== 'STORE_DENIED') return ours;
  return new SwitchyardError('STORE_DENIED', `${identity}: ${ours.message}; run the grant script`, { cause: error, metadata: ours.metadata });
}

/** Runs one statement on a session that the caller has for itself. */
export async function runOne(session: Session, identity: Identity, statement: Statement, signal: AbortSignal): Promise<DoneStatement> {
  if (signal.aborted) throw abortError(signal);
  const outcome = await session.run(statement, signal);
  if (outcome === null) throw abortError(signal);
  if (outcome.ok) return outcome;
  throw signal.aborted ? abortError(signal) : identityError(outcome.error, identity);
}

/** Statements of one identity: the store as the player and the owner use it. */
export interface Statements {
  /** Runs one statement, prepared; see `Value`. */
  query(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<DoneStatement>;
  /** Runs one statement as text: DDL, SET and the like. DDL, GRANT and REVOKE commit, whatever transaction they are run in. */
  command(text: string, signal: AbortSignal): Promise<DoneStatement>;
}

/** The statements of a session that the caller has for itself. */
export const statementsOf = (session: Session, identity: Identity): Statements => ({
  query: (text, values, signal) => runOne(session, identity, { text, values, form: 'kept' }, signal),
  command: (text, signal) => runOne(session, identity, { text, values: [], form: 'command' }, signal),
});

/** A pool of connections under one identity, for whatever needs no connection of its own. */
export class StoreClient implements Statements, AsyncDisposable {
  readonly #identity: Identity;
  readonly #pool: ConnectionPool<Session>;

  /** `settings` are session settings of every connection, each value as SQL. */
  constructor(options: StoreOptions, identity: Identity, settings: Readonly<Record<string, string>>) {
    const config = clientConfig(options, identity, settings);
    const watch = silenceWatch(config, options.clock);
    this.#identity = identity;
    this.#pool = new ConnectionPool({
      login: config.login,
      size: options.poolSize,
      acquireTimeoutMs: options.acquireTimeoutMs,
      clock: options.clock,
      open: (signal, onLost) => Session.open(config, { clock: options.clock, watch, onLost }, signal),
      connectError,
      onBackgroundError: options.onBackgroundError,
    });
  }

  query(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<DoneStatement> {
    return this.#withSession(signal, (statements) => statements.query(text, values, signal));
  }

  command(text: string, signal: AbortSignal): Promise<DoneStatement> {
    return this.#withSession(signal, (statements) => statements.command(text, signal));
  }

  /** Runs `work` on a connection that nobody else has meanwhile; each statement commits by itself. */
  alone<T>(signal: AbortSignal, work: (statements: Statements) => Promise<T>): Promise<T> {
    return this.#withSession(signal, work);
  }

  /** Runs `work` in one READ COMMITTED transaction; whatever it throws rolls everything back. OUTCOME_UNKNOWN: the connection was lost after the commit was sent. */
  transaction<T>(signal: AbortSignal, work: (transaction: Statements) => Promise<T>): Promise<T> {
    return this.#withSession(signal, async (statements, session) => {
      try {
        await statements.command('BEGIN', signal);
        const result = await work(statements);
        await commit(session, this.#identity, signal);
        return result;
      } catch (error) {
        await session.rollBack();
        throw error;
      }
    });
  }

  /** See `DataStore.checkLogin`. */
  checkLogin(signal: AbortSignal): Promise<void> {
    return this.#pool.checkLogin(signal);
  }

  /** The table's shape, null when there is none. TABLE_UNSUPPORTED. */
  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#withSession(signal, (statements) => describe(statements, table, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }

  async #withSession<T>(signal: AbortSignal, work: (statements: Statements, session: Session) => Promise<T>): Promise<T> {
    const session = await this.#pool.acquire(signal);
    try {
      return await work(statementsOf(session, this.#identity), session);
    } catch (error) {
      // A connection has the rights on the server and on the database that there were when it began: whoever is given what he lacks must not have to wait for its end.
      if (hasReason(error, 'STORE_DENIED')) session.drop();
      throw error;
    } finally {
      this.#pool.release(session);
    }
  }
}

/** Commits the open transaction of a session. OUTCOME_UNKNOWN: there was no answer; every other failure: nothing was committed. */
export async function commit(session: Session, identity: Identity, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw abortError(signal);
  // COMMIT is not cancelled by an abort: that would only make the outcome uncertain.
  const outcome = await session.run({ text: 'COMMIT', values: [], form: 'command' }, signal, false);
  if (outcome === null)
    throw new SwitchyardError('OUTCOME_UNKNOWN', 'the call ended after the commit was sent, and the store did not tell in time whether it was done', { cause: signal.reason });
  if (outcome.ok) return;
  const ours = storeError(outcome.error, { mayHaveCommitted: outcome.sent });
  throw ours.reason === 'OUTCOME_UNKNOWN' ? ours : identityError(outcome.error, identity);
}

/** The table's shape as these statements see it, null when there is none. TABLE_UNSUPPORTED. */
export const describe = (statements: Statements, table: string, signal: AbortSignal): Promise<TableSchema | null> =>
  describeTable(async (text, values) => (await statements.query(text, values, signal)).rows, table);

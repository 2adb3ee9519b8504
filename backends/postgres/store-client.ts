import type { Identity } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { StoreOptions } from '../backend.ts';
import { clientConfig } from './connection.ts';
import { connectError, sqlState, storeError } from './errors.ts';
import { abortError } from '../abort-error.ts';
import { ConnectionPool } from '../connection-pool.ts';
import { describeText, tableFromFacts } from './schema.ts';
import type { CopiedLines, Outcome, Parameter, TextRow } from './batch.ts';
import { Session, type Statement } from './session.ts';
import { silenceWatch } from './lookout.ts';

/** SQLSTATE of an apply with an outdated token, or on a table that is not CLOSED. */
export const TAKEN_STATE = 'SY002';
/** SQLSTATE of a transition after which the gateway would still have a right. */
export const RIGHTS_REMAIN_STATE = 'SY003';
/** SQLSTATE of a fence for an attempt after which a later one has begun to prepare. */
export const PREPARED_LATER_STATE = 'SY004';
/** SQLSTATE of partitions that have come or gone with rows that no log has. */
export const PARTITIONS_CHANGED_STATE = 'SY005';
const CHECK_VIOLATION_STATE = '23514';

/** What a failed statement of the player or the owner means. Unlike for the gateway, a missing right is never the fence's doing. */
export function identityError(error: unknown, identity: Identity): SwitchyardError {
  const ours = storeError(error);
  switch (sqlState(error)) {
    case TAKEN_STATE:
      return new SwitchyardError('STREAM_TAKEN', ours.message, { cause: error });
    case RIGHTS_REMAIN_STATE:
      return new SwitchyardError('PRECHECK_FAILED', ours.message, { cause: error, metadata: ours.metadata });
    case PREPARED_LATER_STATE:
      return new SwitchyardError('LOCK_TAKEN', ours.message, { cause: error });
    case PARTITIONS_CHANGED_STATE: {
      if (identity !== 'player') return new SwitchyardError('SCHEMA_CHANGED', ours.message, { cause: error, metadata: ours.metadata });
      return new SwitchyardError('STREAM_FAILED', ours.message, { cause: error, metadata: { ...ours.metadata, problem: 'SCHEMA_CHANGED' } });
    }
    case CHECK_VIOLATION_STATE: {
      // Of all checks that of a partitioned table is the one without a name.
      const { table, constraint } = ours.metadata;
      if (identity !== 'player' || constraint !== undefined || table === undefined) return ours;
      return new SwitchyardError('CHECK_VIOLATION', `a row has no partition in table "${table}" of this store: make the partition here too, and the stream goes on by itself`, {
        cause: error,
        metadata: ours.metadata,
      });
    }
    case '42501':
      return new SwitchyardError('STORE_DENIED', `${identity}: ${ours.message}; run the grant script`, { cause: error, metadata: ours.metadata });
    default:
      return ours;
  }
}

/** A statement; left out: no values, not kept parsed. */
type PlainStatement = Pick<Statement, 'text'> & Partial<Statement>;

/** Runs one statement on a session that the caller has for itself. */
export async function runOne(session: Session, identity: Identity, statement: PlainStatement, signal: AbortSignal): Promise<readonly TextRow[]> {
  return (await runToEnd(session, identity, statement, signal)).rows;
}

async function runToEnd(session: Session, identity: Identity, statement: PlainStatement, signal: AbortSignal): Promise<Extract<Outcome, { ok: true }>> {
  const [outcome] = await runAll(session, [statement], signal);
  if (outcome === undefined) throw new SwitchyardError('INTERNAL', 'a statement had no answer');
  if (!outcome.ok) throw signal.aborted ? abortError(signal) : identityError(outcome.error, identity);
  return outcome;
}

/** Runs statements, all sent at once. Rejects when the signal aborted before all answers were there; a failed statement is for the caller to look for. */
export async function runAll(session: Session, statements: readonly PlainStatement[], signal: AbortSignal): Promise<readonly Outcome[]> {
  if (signal.aborted) throw abortError(signal);
  const { outcomes } = await session.run(
    statements.map(({ values = [], prepared = false, ...statement }) => ({ ...statement, values, prepared })),
    signal,
  );
  if (outcomes === null) throw abortError(signal);
  return outcomes;
}

/** Statements of one identity: the store as the player and the owner use it. */
export interface Statements {
  /** Runs one statement; without `values` it may be a script. */
  query(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<readonly TextRow[]>;
}

/** A pool of connections under one identity, for whatever needs no connection of its own. */
export class StoreClient implements Statements, AsyncDisposable {
  readonly #identity: Identity;
  readonly #pool: ConnectionPool<Session>;

  /** `settings` are session settings of every connection. */
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

  /** Runs one statement, kept parsed, outside of any transaction. */
  async query(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<readonly TextRow[]> {
    const session = await this.#pool.acquire(signal);
    try {
      return await runOne(session, this.#identity, { text, values, prepared: values.length > 0 }, signal);
    } finally {
      this.#pool.release(session);
    }
  }

  /** Runs a COPY … TO STDOUT. `maxBytes`: see `SentStatement`. */
  async copyOut(text: string, maxBytes: number, signal: AbortSignal): Promise<CopiedLines & { readonly cut: boolean }> {
    const session = await this.#pool.acquire(signal);
    try {
      const { lines, cut } = await runToEnd(session, this.#identity, { text, maxBytes }, signal);
      return { bytes: lines?.bytes ?? Buffer.alloc(0), count: lines?.count ?? 0, cut };
    } finally {
      this.#pool.release(session);
    }
  }

  /** Runs `work` on a connection that nobody else has meanwhile; each statement commits by itself. What it sets for the session stays set. */
  async alone<T>(signal: AbortSignal, work: (statements: Statements) => Promise<T>): Promise<T> {
    const session = await this.#pool.acquire(signal);
    try {
      return await work({ query: (text, values, each) => runOne(session, this.#identity, { text, values }, each) });
    } finally {
      this.#pool.release(session);
    }
  }

  /** Runs `work` in one READ COMMITTED transaction; whatever it throws rolls everything back. */
  async transaction<T>(signal: AbortSignal, work: (transaction: Statements) => Promise<T>): Promise<T> {
    const session = await this.#pool.acquire(signal);
    const statements: Statements = { query: (text, values, each) => runOne(session, this.#identity, { text, values }, each) };
    try {
      await statements.query('BEGIN', [], signal);
      const result = await work(statements);
      await statements.query('COMMIT', [], signal);
      return result;
    } catch (error) {
      await session.rollBack();
      throw error;
    } finally {
      this.#pool.release(session);
    }
  }

  /** See `DataStore.checkLogin`. */
  checkLogin(signal: AbortSignal): Promise<void> {
    return this.#pool.checkLogin(signal);
  }

  /** The table's shape, null when there is none. TABLE_UNSUPPORTED. */
  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return describe(this, table, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

/** The table's shape as these statements see it, null when there is none. TABLE_UNSUPPORTED. */
export async function describe(statements: Statements, table: string, signal: AbortSignal): Promise<TableSchema | null> {
  const [row] = await statements.query(describeText, [table], signal);
  return row === undefined ? null : tableFromFacts(table, row[0] ?? '');
}

import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, attempt } from '../../../core/ids.ts';
import { serverShard } from '../../../core/keyspace.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import { abortError } from '../../abort-error.ts';
import type { CatchUpState, FenceScope, FenceSession, SequenceState, StoreOptions, StreamSpec } from '../../backend.ts';
import { preparedLater } from '../../stream-beginning.ts';
import { clientConfig, quoteText } from '../connection.ts';
import { errorNumber, isConnectionLoss, isStale, isTimedOut, storeError } from '../errors.ts';
import { silenceWatch } from '../lookout.ts';
import { FENCE_TABLE, STREAM_TABLE } from '../names.ts';
import { fenceColumns, fenceRow } from '../read-fence.ts';
import { type Parameter, Session, type Statement, type ValueRow } from '../session.ts';
import { identityError, type Statements } from '../store-client.ts';
import { fencedTable, places, presentTables, scopeValues } from './claims.ts';
import { FENCE_ANSWERS } from './fence-sql.ts';
import { readSequences } from './sequences.ts';
import { PREPARATION_TABLE } from './store-sql.ts';
import { missingTriggers } from './triggers.ts';

/** A row that somebody changed since the statement's snapshot, a lock that was not free within the server's own limit, a deadlock: the statement as a whole has done nothing. */
const raceNumbers: readonly (number | null)[] = [1020, 1205, 1213];
const RACE_RETRIES = 5;
/** Whoever was in the fence's way goes first. */
const RETRY_PAUSE_MS = 1;
const LEAST_LIMIT_MS = 1;
/** For distributed transactions that were prepared while the fence was being set; most are committed at once. */
const LEAST_WAIT_MS = 20;
const MEND_LIMIT_S = 0.2;

/** Connects and calls each function once without effect, so that the first call in a hold is as fast as the others. */
export async function openFenceSession(options: StoreOptions, scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
  const session = new MariaDbFenceSession(options, scope);
  try {
    await session.warmUp(signal);
    await session.mendTriggers(signal);
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

class MariaDbFenceSession implements FenceSession {
  readonly #options: StoreOptions;
  readonly #scope: FenceScope;
  /** As the transitions' first three parameters. */
  readonly #scopeValues: readonly string[];
  readonly #statements: Statements;
  #session: Session | null = null;
  #opening: Promise<Session> | null = null;

  constructor(options: StoreOptions, scope: FenceScope) {
    this.#options = options;
    this.#scope = scope;
    this.#scopeValues = scopeValues(scope);
    const run = async (statement: Statement, signal: AbortSignal) => ({ ok: true, rows: await this.#run(statement, signal), affectedRows: 0, cut: false }) as const;
    this.#statements = {
      query: (text, values, signal) => run({ text, values, form: 'kept' }, signal),
      command: (text, signal) => run({ text, values: [], form: 'command' }, signal),
    };
  }

  async warmUp(signal: AbortSignal): Promise<void> {
    const nothing = ['', '', '[]', '0'];
    await this.#run(fenceStatement(nothing, 1_000), signal);
    await this.#query('SELECT switchyard_end_history(?, ?, ?, ?)', nothing, signal);
    for (const name of ['commit', 'abort', 'close'] as const) await this.#query(simpleText(name), nothing, signal);
    for (const name of ['ready', 'open'] as const) await this.#query(streamText(name), [...nothing, ''], signal);
    await this.catchUp({ id: '', workflow: '', tables: [] }, signal);
    await this.sequences(signal);
    await this.#missingTriggers(signal);
  }

  async highestAttempt(signal: AbortSignal): Promise<Attempt> {
    const { workflow, tables } = this.#scope;
    const text = `SELECT GREATEST(COALESCE((SELECT MAX(attempt) FROM ${FENCE_TABLE} WHERE table_name IN (${places(tables)})), 0), COALESCE((SELECT attempt FROM ${PREPARATION_TABLE} WHERE workflow = ?), 0))`;
    const [row] = await this.#query(text, [...tables, workflow], signal);
    return attempt(Number(row?.[0]));
  }

  async prepare(to: Attempt, signal: AbortSignal): Promise<void> {
    const answer = await this.#retryingRaces('SELECT switchyard_prepare(?, ?, ?, ?)', [...this.#scopeValues, String(to)], signal);
    if (answer !== 1) throw preparedLater(this.#scope.workflow, to);
  }

  /** The limit is the server's: a coordinator that sleeps meanwhile keeps no writer waiting. The marker comes last: tables that are FROZEN without it are opened again by whoever finds them so. */
  async fence(to: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void> {
    const deadline = this.#options.clock.monotonic() + lockTimeoutMs;
    await this.#requireTriggers(to, signal);
    // Before anything is changed: those that are prepared may stay so for long.
    if (!(await this.#preparedHaveEnded(deadline, signal))) throw notDrained(lockTimeoutMs);
    await this.#freeze(to, lockTimeoutMs, deadline, signal);
    if (!(await this.#preparedHaveEnded(deadline + LEAST_WAIT_MS, signal))) {
      await this.abort(to, signal);
      throw notDrained(lockTimeoutMs);
    }
    if ((await this.#retryingRaces('SELECT switchyard_end_history(?, ?, ?, ?)', [...this.#scopeValues, String(to)], signal)) !== 1) throw await this.#conflict('fence', to, signal);
  }

  /** OPEN → FROZEN, without a marker. */
  async #freeze(to: Attempt, lockTimeoutMs: number, deadline: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let cause: unknown;
    for (;;) {
      const leftMs = deadline - clock.monotonic();
      if (leftMs < LEAST_LIMIT_MS) throw notDrained(lockTimeoutMs, cause);
      try {
        const [row] = await this.#run(fenceStatement([...this.#scopeValues, String(to)], leftMs), signal);
        if (row?.[0] === FENCE_ANSWERS.done) return;
        if (row?.[0] === FENCE_ANSWERS.late) throw preparedLater(this.#scope.workflow, to);
        if (row?.[0] === FENCE_ANSWERS.conflict) throw await this.#conflict('fence', to, signal);
      } catch (error) {
        const number = errorNumber(error instanceof SwitchyardError ? error.cause : error);
        if (isTimedOut(error instanceof SwitchyardError ? error.cause : error)) throw notDrained(lockTimeoutMs, error);
        if (!raceNumbers.includes(number)) throw error;
        cause = error;
      }
      await clock.sleep(RETRY_PAUSE_MS, signal);
    }
  }

  /** Waits until every distributed transaction that is prepared now has ended, those of other databases included: the server does not say whose they are. False: one has not by the deadline. */
  async #preparedHaveEnded(deadline: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const look = async (): Promise<readonly string[]> => (await this.#run(preparedStatement, signal)).map((row) => JSON.stringify(row));
    let left = await look();
    while (left.length > 0) {
      if (clock.monotonic() > deadline) return false;
      await clock.sleep(RETRY_PAUSE_MS, signal);
      const now = await look();
      left = left.filter((each) => now.includes(each));
    }
    return true;
  }

  commit(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('commit', simpleText('commit'), to, [], signal);
  }

  abort(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('abort', simpleText('abort'), to, [], signal);
  }

  ready(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('ready', streamText('ready'), to, [stream.id], signal);
  }

  close(to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('close', simpleText('close'), to, [], signal);
  }

  open(stream: StreamSpec, to: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition('open', streamText('open'), to, [stream.id], signal);
  }

  async catchUp(stream: StreamSpec, signal: AbortSignal): Promise<CatchUpState> {
    const { tables } = this.#scope;
    const text = `SELECT COALESCE((SELECT s.marker FROM ${STREAM_TABLE} s WHERE s.id = ? AND s.workflow = ?), 0), ${fenceColumns} FROM ${FENCE_TABLE} WHERE table_name IN (${places(tables)}) ORDER BY table_name`;
    const rows = await this.#query(text, [stream.id, stream.workflow, ...tables], signal);
    return { marker: attempt(Number(rows[0]?.[0] ?? 0)), fences: rows.map((row) => fenceRow(row.slice(1))) };
  }

  sequences(signal: AbortSignal): Promise<readonly SequenceState[]> {
    return readSequences(this.#statements, this.#scope.tables, signal);
  }

  async fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]> {
    const { tables } = this.#scope;
    return (await this.#query(`SELECT ${fenceColumns} FROM ${FENCE_TABLE} WHERE table_name IN (${places(tables)}) ORDER BY table_name`, tables, signal)).map(fenceRow);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.close();
    this.#session = null;
  }

  async #transition(name: string, text: string, to: Attempt, more: readonly string[], signal: AbortSignal): Promise<void> {
    if ((await this.#retryingRaces(text, [...this.#scopeValues, String(to), ...more], signal)) !== 1) throw await this.#conflict(name, to, signal);
  }

  async #retryingRaces(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<unknown> {
    for (let tries = 0; ; tries += 1) {
      try {
        return (await this.#query(text, values, signal))[0]?.[0];
      } catch (error) {
        const number = errorNumber(error instanceof SwitchyardError ? error.cause : error);
        if (!raceNumbers.includes(number) || tries >= RACE_RETRIES) throw error;
      }
    }
  }

  async #conflict(name: string, to: Attempt, signal: AbortSignal): Promise<SwitchyardError> {
    const found = (await this.fenceRows(signal)).map((each) => `${each.table} ${each.state}(${each.attempt}) of ${each.workflow ?? 'nobody'} with ${each.peer}`).join(', ');
    const { workflow, peer } = this.#scope;
    return new SwitchyardError('FENCE_CONFLICT', `${name} to attempt ${to} for workflow "${workflow}" with "${peer}" finds ${found === '' ? 'no fence rows' : found}`, {
      metadata: { workflow, step: name },
    });
  }

  /** Puts back what somebody has removed from a table of the workflow's, or has lost with a table that was made anew. Where the table is not free in time the fence will tell. */
  async mendTriggers(signal: AbortSignal): Promise<void> {
    const missing = await this.#missingTriggers(signal);
    if (missing.length === 0) return;
    const ours = (await this.fenceRows(signal)).filter((row) => this.#isOurs(row)).map(({ table }) => table);
    const present = await presentTables(this.#statements, ours, signal);
    try {
      for (const { table, sql } of missing) if (present.includes(table)) await this.#statements.command(`SET STATEMENT max_statement_time = ${MEND_LIMIT_S} FOR ${sql}`, signal);
    } catch (error) {
      if (!hasReason(error, 'SERIALIZATION_FAILURE')) throw error;
    }
  }

  /** A fence can put no triggers: that would commit, and wait for everybody who has only read. What else speaks against it the store tells better. */
  async #requireTriggers(to: Attempt, signal: AbortSignal): Promise<void> {
    const [missing] = await this.#missingTriggers(signal);
    if (missing === undefined) return;
    const rows = await this.fenceRows(signal);
    if (rows.length !== this.#scope.tables.length || !rows.every((row) => this.#isOurs(row) && row.state === 'OPEN' && row.attempt < to)) return;
    const message = `trigger "${missing.name}" of table "${missing.table}" is not as it must be: somebody has removed it, or made the table anew, and other transactions kept it from being put back. Nothing changed`;
    throw new SwitchyardError('PRECHECK_FAILED', message, { metadata: { workflow: this.#scope.workflow, table: missing.table } });
  }

  #isOurs({ workflow, peer }: FenceRow): boolean {
    return workflow === this.#scope.workflow && peer === this.#scope.peer;
  }

  #missingTriggers(signal: AbortSignal): ReturnType<typeof missingTriggers> {
    const shard = serverShard(this.#options.shard);
    return missingTriggers(
      this.#statements,
      this.#scope.tables.map((table) => fencedTable(shard, this.#scope, table)),
      signal,
    );
  }

  #query(text: string, values: readonly Parameter[], signal: AbortSignal): Promise<readonly ValueRow[]> {
    return this.#run({ text, values, form: 'kept' }, signal);
  }

  /** The statement's effect is unknown when the connection is lost under it: every transition may be repeated. */
  async #run(statement: Statement, signal: AbortSignal): Promise<readonly ValueRow[]> {
    const session = await this.#connected(signal);
    const outcome = await session.run(statement, signal);
    if (outcome?.ok === true) return outcome.rows;
    if (outcome === null || signal.aborted) throw abortError(signal);
    if (isStale(outcome.error)) return this.#run(statement, signal);
    if (isConnectionLoss(outcome.error)) throw storeError(outcome.error, { mayHaveCommitted: outcome.sent });
    throw identityError(outcome.error, 'owner');
  }

  async #connected(signal: AbortSignal): Promise<Session> {
    if (signal.aborted) throw abortError(signal);
    if (this.#session?.usable === true) return this.#session;
    const { clock, onBackgroundError } = this.#options;
    const config = clientConfig(this.#options, 'owner');
    this.#opening ??= Session.open(config, { clock, watch: silenceWatch(config, clock), onLost: (_, error) => onBackgroundError(error) }, signal).finally(() => {
      this.#opening = null;
    });
    this.#session = await this.#opening;
    return this.#session;
  }
}

/** As text, for the server takes no parameter for its limit. */
function fenceStatement([workflow = '', peer = '', tables = '', to = '']: readonly string[], limitMs: number): Statement {
  const call = `switchyard_fence(${quoteText(workflow)}, ${quoteText(peer)}, ${quoteText(tables)}, ${BigInt(to)})`;
  return { text: `SET STATEMENT max_statement_time = ${(limitMs / 1_000).toFixed(6)} FOR SELECT ${call}`, values: [], form: 'command' };
}

const preparedStatement: Statement = { text: `XA RECOVER FORMAT = 'SQL'`, values: [], form: 'command' };

const simpleText = (name: 'commit' | 'abort' | 'close'): string => `SELECT switchyard_${name}(?, ?, ?, ?)`;
const streamText = (name: 'ready' | 'open'): string => `SELECT switchyard_${name}(?, ?, ?, ?, ?)`;

const notDrained = (limitMs: number, cause?: unknown): SwitchyardError =>
  new SwitchyardError('LOCK_TIMEOUT', `the source's writers did not drain within ${limitMs} ms; nothing changed`, { cause });

import { keyToJson } from '../../../core/cell-json.ts';
import type { StreamToken } from '../../../core/ids.ts';
import { REQUESTS } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError } from '../../abort-error.ts';
import type { ApplyBatch, CopyProgress, StreamSpec } from '../../backend.ts';
import { endsTransaction, errorNumber, isStale } from '../errors.ts';
import { COPY_TABLE, FENCE_TABLE, STREAM_TABLE } from '../names.ts';
import type { DoneStatement, Session, Statement } from '../session.ts';
import { commit, identityError } from '../store-client.ts';
import { type ChangeStep, planChanges, planCopied, planOneByOne, schemaOf } from './apply-plan.ts';
import { stepStatements } from './apply-sql.ts';
import { recordStatements } from './requests.ts';

type Schemas = ReadonlyMap<string, TableSchema>;

const DUPLICATE = 1062;
/** Of a transaction that somebody else's was in the way of, or for which the server has parsed statements that are outdated. */
const TRIES = 3;

/** The server's answer to a statement that failed, and nothing was committed. */
class Refused extends Error {
  readonly error: unknown;

  constructor(error: unknown) {
    super('a statement failed');
    this.error = error;
  }
}

/**
 * Applies one batch as one transaction, on a session that begins one with its first statement. Its first statement locks the stream's row, as every transition does that lets gateways in: they wait for it, and it for them.
 */
export async function applyBatch(session: Session, stream: StreamSpec, schemas: Schemas, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void> {
  const copied = batch.copied === null ? [] : planCopied(schemaOf(schemas, batch.copied.table), batch.copied);
  const end = [...recordStatements(batch.requests.records), ...progressOf(stream, batch)];
  const run = async (steps: readonly ChangeStep[]): Promise<void> => {
    // Texts and values before the first lock; those of copied rows while the server works on the ones before them.
    const statements = steps.flatMap((step) => [...stepStatements(step)]);
    await tried(session, signal, async () => {
      await advance(session, stream, token, batch, signal);
      await inTurn(session, chained(statements, ...copied.map(stepStatements), end), signal);
    });
  };
  try {
    await run(planChanges(batch.changes, schemas));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (errorNumber(error.error) !== DUPLICATE || signal.aborted) throw meaningOf(error, signal);
    await run(planOneByOne(batch.changes, schemas)).catch((again: unknown) => {
      throw again instanceof Refused ? meaningOf(again, signal) : again;
    });
  }
}

/** Runs the work in a transaction and commits. Rejects with `Refused` where the server refused a statement. */
async function tried(session: Session, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await work();
      return await commit(session, 'player', signal);
    } catch (error) {
      await session.rollBack();
      if (tries === TRIES || signal.aborted || !(error instanceof Refused) || !mayHelp(error.error)) throw error;
    }
  }
}

const mayHelp = (error: unknown): boolean => isStale(error) || endsTransaction(error);

const meaningOf = ({ error }: Refused, signal: AbortSignal): SwitchyardError => (signal.aborted ? abortError(signal) : identityError(error, 'player'));

function* chained<T>(...parts: readonly Iterable<T>[]): Iterable<T> {
  for (const part of parts) yield* part;
}

/** Runs one statement after another; the next is made while the server runs the one before it. */
async function inTurn(session: Session, statements: Iterable<Statement>, signal: AbortSignal): Promise<void> {
  let running: Promise<unknown> = Promise.resolve();
  try {
    for (const statement of statements) {
      await running;
      running = done(session, statement, signal);
    }
  } finally {
    await running;
  }
}

async function done(session: Session, statement: Statement, signal: AbortSignal): Promise<DoneStatement> {
  if (signal.aborted) throw abortError(signal);
  const outcome = await session.run(statement, signal);
  if (outcome === null) throw abortError(signal);
  if (outcome.ok) return outcome;
  throw new Refused(outcome.error);
}

/** Moves the stream on, or refuses: STREAM_TAKEN. It always changes the row, by which the transaction is known for a player's: of an update that changes nothing nothing is logged. */
async function advance(session: Session, stream: StreamSpec, token: StreamToken, { position, marker }: ApplyBatch, signal: AbortSignal): Promise<void> {
  const moved = await done(
    session,
    {
      text: `UPDATE ${STREAM_TABLE} SET applied = applied + 1, position = COALESCE(?, position), marker = GREATEST(marker, CAST(? AS SIGNED)) WHERE id = ? AND workflow = ? AND token = CAST(? AS SIGNED)`,
      values: [position, String(marker ?? 0), stream.id, stream.workflow, String(token)],
      form: 'kept',
    },
    signal,
  );
  if (moved.affectedRows === 0) throw new SwitchyardError('STREAM_TAKEN', `stream "${stream.id}" has another token than ${token}`, { metadata: { stream: stream.id } });
  // Shared, and as it is now: out of CLOSED leads only what takes the stream's row, which is locked; a workflow's end takes the fence rows alone.
  const { rows } = await done(
    session,
    {
      text: `SELECT table_name FROM ${FENCE_TABLE} WHERE table_name IN (${stream.tables.map(() => '?').join(', ')}) AND state = 'CLOSED' AND workflow = ? LOCK IN SHARE MODE`,
      values: [...stream.tables, stream.workflow],
      form: 'kept',
    },
    signal,
  );
  if (rows.length !== stream.tables.length) {
    throw new SwitchyardError('STREAM_TAKEN', `not every table of stream "${stream.id}" is CLOSED and owned by workflow "${stream.workflow}"`, { metadata: { stream: stream.id } });
  }
}

function progressOf(stream: StreamSpec, { copied, requests }: ApplyBatch): readonly Statement[] {
  const ofTable = copied === null ? [] : [progressStatement(stream, copied.table, copied.progress)];
  return requests.progress === null ? ofTable : [...ofTable, progressStatement(stream, REQUESTS, requests.progress)];
}

function progressStatement(stream: StreamSpec, name: string, { lastKey, rows, done: isDone }: CopyProgress): Statement {
  return {
    text: `INSERT INTO ${COPY_TABLE} (stream, table_name, last_key, row_count, done) VALUES (?, ?, ?, ?, ?)
      ON DUPLICATE KEY UPDATE last_key = VALUES(last_key), row_count = VALUES(row_count), done = VALUES(done)`,
    values: [stream.id, name, lastKey === null ? null : keyToJson(lastKey), String(rows), isDone ? '1' : '0'],
    form: 'kept',
  };
}

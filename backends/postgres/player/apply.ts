import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { StreamToken } from '../../../core/ids.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { type ApplyBatch, cellsOf, type CopyProgress, type StreamSpec } from '../../backend.ts';
import { keyRange } from '../../key-range.ts';
import { textFromElements } from '../array-text.ts';
import { sqlState } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { Outcome, Parameter } from '../batch.ts';
import type { Session } from '../session.ts';
import { identityError, runAll } from '../store-client.ts';
import { type ApplyStep, planChanges, planOneByOne } from './apply-plan.ts';
import { clearStatement, copyStatement, stepStatement } from './apply-sql.ts';
import { keyToJson } from '../../../core/cell-json.ts';
import { REQUESTS } from '../../../core/request-record.ts';
import { recordsStatement } from './requests.ts';

interface ApplyStatement {
  readonly text: string;
  readonly values: readonly Parameter[];
  readonly prepared: boolean;
  readonly input?: Buffer;
}

/** A unique or exclusion constraint stood in the way. */
const conflictStates: readonly (string | null)[] = ['23505', '23P01'];

/**
 * Applies one batch as one transaction whose statements are all sent at once, so that the server never waits for us while it holds the stream's row; a batch without rows is a single statement. A
 * unique key that passes from one row to another within the batch can be in the way of the set-wise form; then the changes are applied one by one, in a second transaction.
 */
export async function applyBatch(
  session: Session,
  stream: StreamSpec,
  schemas: ReadonlyMap<string, TableSchema>,
  token: StreamToken,
  batch: ApplyBatch,
  signal: AbortSignal,
): Promise<void> {
  const begin = advanceStatement(stream, token, batch);
  const end = [...recordsOf(batch), ...progressOf(stream, batch)];
  const steps = [...planChanges(batch.changes, schemas).map(applyStatement), ...copiedStatements(batch, schemas, 'copy')];
  if (steps.length === 0 && end.length === 0) return succeed(await run(session, [begin], signal), signal);

  const failed = firstFailure(await run(session, inTransaction([begin, ...steps, ...end]), signal));
  if (failed === null) return;
  if (!conflictStates.includes(sqlState(failed.error))) throw signal.aborted ? abortError(signal) : identityError(failed.error, 'player');

  const single = [...planOneByOne(batch.changes, schemas).map(applyStatement), ...copiedStatements(batch, schemas, 'upsert')];
  const deferred = { text: 'SET CONSTRAINTS ALL DEFERRED', values: [], prepared: false };
  succeed(await run(session, inTransaction([begin, deferred, ...single, ...end]), signal), signal);
}

function advanceStatement(stream: StreamSpec, token: StreamToken, batch: ApplyBatch): ApplyStatement {
  return {
    text: 'SELECT switchyard.advance($1, $2, $3::text[], $4::bigint, $5, $6::bigint)',
    values: [stream.id, stream.workflow, textFromElements(stream.tables), String(token), batch.position, batch.marker === null ? null : String(batch.marker)],
    prepared: true,
  };
}

const recordsOf = ({ requests }: ApplyBatch): readonly ApplyStatement[] => (requests.records.length === 0 ? [] : [{ ...recordsStatement(requests.records), prepared: true }]);

function progressOf(stream: StreamSpec, { copied, requests }: ApplyBatch): readonly ApplyStatement[] {
  const ofTable = copied === null ? [] : [progressStatement(stream, copied.table, copied.progress)];
  return requests.progress === null ? ofTable : [...ofTable, progressStatement(stream, REQUESTS, requests.progress)];
}

function progressStatement(stream: StreamSpec, name: string, { lastKey, rows, done }: CopyProgress): ApplyStatement {
  return {
    text: `INSERT INTO switchyard.copy (stream, table_name, last_key, rows, done) VALUES ($1, $2, $3, $4::bigint, $5::boolean)
      ON CONFLICT (stream, table_name) DO UPDATE SET last_key = excluded.last_key, rows = excluded.rows, done = excluded.done`,
    values: [stream.id, name, lastKey === null ? null : keyToJson(lastKey), String(rows), String(done)],
    prepared: true,
  };
}

/** Rows whose keys are there already, because the log had them, are overwritten. */
function copiedStatements({ copied }: ApplyBatch, schemas: ReadonlyMap<string, TableSchema>, by: 'copy' | 'upsert'): readonly ApplyStatement[] {
  if (copied === null || copied.rows.length === 0) return [];
  const table = schemas.get(copied.table);
  if (table === undefined) throw new SwitchyardError('INTERNAL', `a copied chunk names table "${copied.table}", whose schema was not given`);
  if (by === 'upsert') return [applyStatement({ kind: 'upsert', table, rows: cellsOf(copied.rows) })];
  const copy = { ...copyStatement(table, copied.rows), prepared: false };
  const range = keyRange(table, copied);
  if (range !== null) return [{ ...clearStatement(table, range), prepared: true }, copy];
  const indexes = keyIndexes(table);
  const keys = cellsOf(copied.rows).map((row) => indexes.map((index) => row[index] ?? null));
  return [applyStatement({ kind: 'delete', table, keys }), copy];
}

/** A move's text depends on which cells were sent, so it is seldom the same twice. */
const applyStatement = (step: ApplyStep): ApplyStatement => ({ ...stepStatement(step), prepared: step.kind !== 'move' && step.kind !== 'truncate' });

const inTransaction = (statements: readonly ApplyStatement[]): readonly ApplyStatement[] => [
  { text: 'BEGIN', values: [], prepared: true },
  ...statements,
  { text: 'COMMIT', values: [], prepared: true },
];

/** What a connection has parsed can be outdated by DDL; then the same batch succeeds unparsed, for nothing of it was kept. */
async function run(session: Session, statements: readonly ApplyStatement[], signal: AbortSignal): Promise<readonly Outcome[]> {
  const outcomes = await runOrRollBack(session, statements, signal);
  if (firstFailure(outcomes)?.stale !== true) return outcomes;
  return runOrRollBack(
    session,
    statements.map((statement) => ({ ...statement, prepared: false })),
    signal,
  );
}

/** Leaves no open transaction: what follows a failed statement, its COMMIT too, was not executed. */
async function runOrRollBack(session: Session, statements: readonly ApplyStatement[], signal: AbortSignal): Promise<readonly Outcome[]> {
  const outcomes = await runAll(session, statements, signal);
  if (statements.length > 1 && firstFailure(outcomes) !== null) await session.rollBack();
  return outcomes;
}

function succeed(outcomes: readonly Outcome[], signal: AbortSignal): void {
  const failed = firstFailure(outcomes);
  if (failed !== null) throw signal.aborted ? abortError(signal) : identityError(failed.error, 'player');
}

/** The later ones only say that the transaction had failed. */
const firstFailure = (outcomes: readonly Outcome[]): Extract<Outcome, { ok: false }> | null => outcomes.find((outcome) => !outcome.ok) ?? null;

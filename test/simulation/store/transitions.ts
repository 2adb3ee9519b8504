import type { FenceScope, StreamSpec } from '../../../backends/backend.ts';
import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, type Position, streamToken, type StreamToken } from '../../../core/ids.ts';
import type { StoreServer } from './server.ts';
import { StoreRefusal, type Transaction } from './transaction.ts';

/* The table of transitions as a store executes it: one conditional transaction each. True: the rows are in the wished state, changed or found so; false: they are not, and nothing has changed. */

/** A target's row of a stream. An empty position: dropped. */
export interface StreamRow {
  readonly workflow: string;
  readonly token: StreamToken;
  readonly position: Position;
  readonly marker: Attempt;
}

const allRights = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

/** Locks the scope's rows in order of name; undefined for one that is not the scope's. */
async function lockedRows(transaction: Transaction, scope: FenceScope): Promise<readonly (FenceRow | undefined)[]> {
  const rows: (FenceRow | undefined)[] = [];
  for (const table of [...scope.tables].sort()) {
    await transaction.lockRow('fence', table, 'exclusive');
    const row = transaction.readNewest<FenceRow>('fence', table);
    rows.push(row?.workflow === scope.workflow && row.peer === scope.peer ? row : undefined);
  }
  return rows;
}

type Condition = (row: FenceRow) => boolean;
type Rows = readonly (FenceRow | undefined)[];
const all = (rows: Rows, condition: Condition): rows is readonly FenceRow[] => rows.every((row) => row !== undefined && condition(row));

function change(transaction: Transaction, rows: readonly FenceRow[], next: Partial<FenceRow>): void {
  for (const row of rows) transaction.put('fence', row.table, { ...row, ...next });
}

export async function prepareFence(transaction: Transaction, { workflow }: FenceScope, attempt: Attempt): Promise<boolean> {
  await transaction.lockRow('preparation', workflow, 'exclusive');
  if ((transaction.readNewest<Attempt>('preparation', workflow) ?? 0) > attempt) return false;
  transaction.put('preparation', workflow, attempt);
  return true;
}

export async function fenceTables(transaction: Transaction, scope: FenceScope, attempt: Attempt, limitMs: number, clock: () => number): Promise<boolean> {
  transaction.beginStatement();
  const seen = scope.tables.map((table) => transaction.read<FenceRow>('fence', table));
  if (scope.tables.length === 0) return false;
  if (seen.every((row) => row !== undefined && isScope(row, scope) && row.state === 'FROZEN' && row.attempt === attempt)) return true;
  if (!(await prepareFence(transaction, scope, attempt))) throw new StoreRefusal('prepared_later', `a later attempt than ${attempt} has begun to prepare`);
  const deadline = clock() + limitMs;
  for (const table of [...scope.tables].sort()) {
    const leftMs = deadline - clock();
    if (leftMs < 1) throw new StoreRefusal('lock_not_available', `writers did not drain within ${limitMs} ms`);
    await transaction.lockTable(table, 'drain', leftMs);
  }
  const rows = await lockedRows(transaction, scope);
  if (!all(rows, (row) => row.state === 'OPEN' && row.attempt < attempt)) return false;
  for (const { table } of rows) requireRevocable(transaction, table);
  await transaction.pause();
  change(transaction, rows, { state: 'FROZEN', attempt });
  for (const { table } of rows) transaction.put('trigger', table, true);
  transaction.put('marker', scope.workflow, attempt);
  transaction.log({ event: { kind: 'marker', attempt }, workflow: scope.workflow });
  return true;
}

export async function commitFence(transaction: Transaction, scope: FenceScope, attempt: Attempt): Promise<boolean> {
  return simple(transaction, scope, (row) => row.state === 'FROZEN' && row.attempt === attempt, { state: 'SEALED' }, attempt);
}

export async function abortFence(transaction: Transaction, scope: FenceScope, attempt: Attempt): Promise<boolean> {
  return simple(transaction, scope, (row) => row.state === 'FROZEN' && row.attempt === attempt, { state: 'OPEN' }, attempt);
}

export async function closeFence(transaction: Transaction, scope: FenceScope, attempt: Attempt): Promise<boolean> {
  const from: Condition = (row) => row.state === 'SEALED' && row.attempt === attempt;
  return simple(transaction, scope, from, { state: 'CLOSED' }, attempt, () => {
    for (const table of scope.tables) {
      requireRevocable(transaction, table);
      transaction.put('acl', table, []);
    }
  });
}

async function simple(
  transaction: Transaction,
  scope: FenceScope,
  from: Condition,
  next: Pick<FenceRow, 'state'>,
  attempt: Attempt,
  after: () => void = () => {},
): Promise<boolean> {
  const rows = await lockedRows(transaction, scope);
  if (!all(rows, from)) return rows.length > 0 && all(rows, (row) => row.state === next.state && row.attempt === attempt);
  await transaction.pause();
  change(transaction, rows, next);
  after();
  return true;
}

export async function readyFence(server: StoreServer, transaction: Transaction, scope: FenceScope, attempt: Attempt, stream: string): Promise<boolean> {
  await transaction.lockRow('stream', stream, 'exclusive');
  const found = transaction.readNewest<StreamRow>('stream', stream);
  if (!server.faults.has('marker') && (found?.workflow !== scope.workflow || found.marker !== attempt)) return false;
  const rows = await lockedRows(transaction, scope);
  if (!all(rows, (row) => row.state === 'CLOSED' && row.attempt < attempt)) return rows.length > 0 && all(rows, (row) => row.state === 'READABLE' && row.attempt < attempt);
  await transaction.pause();
  change(transaction, rows, { state: 'READABLE' });
  for (const { table } of rows) if (savedRights(transaction, table).includes('SELECT')) transaction.put('acl', table, ['SELECT']);
  return true;
}

export async function openFence(transaction: Transaction, scope: FenceScope, attempt: Attempt, stream: string): Promise<boolean> {
  await transaction.lockRow('stream', stream, 'exclusive');
  const found = transaction.readNewest<StreamRow>('stream', stream);
  if (found?.workflow !== scope.workflow) return false;
  const rows = await lockedRows(transaction, scope);
  if (!all(rows, (row) => row.state === 'READABLE' && row.attempt < attempt)) return rows.length > 0 && all(rows, (row) => row.state === 'OPEN' && row.attempt === attempt);
  await transaction.pause();
  transaction.put('stream', stream, { ...found, token: streamToken(found.token + 1) });
  change(transaction, rows, { state: 'OPEN', attempt });
  for (const { table } of rows) transaction.put('acl', table, savedRights(transaction, table));
  return true;
}

/** Alone in its transaction, for each table. */
export async function relaxTable(transaction: Transaction, scope: FenceScope, table: string): Promise<void> {
  await transaction.lockTable(table, 'drain', 50);
  await transaction.lockRow('fence', table, 'exclusive');
  const row = transaction.readNewest<FenceRow>('fence', table);
  if (row !== undefined && isScope(row, scope) && row.state === 'OPEN') transaction.put('trigger', table, false);
}

/** The player's first statement of every apply. */
export async function advance(
  server: StoreServer,
  transaction: Transaction,
  stream: StreamSpec,
  token: StreamToken,
  position: Position | null,
  marker: Attempt | null,
): Promise<void> {
  await transaction.lockRow('stream', stream.id, 'exclusive');
  const row = transaction.readNewest<StreamRow>('stream', stream.id);
  const isBroken = server.faults.has('token');
  if (row === undefined || row.workflow !== stream.workflow || (row.token !== token && !isBroken)) {
    throw new StoreRefusal('stream_taken', `stream "${stream.id}" has another token than ${token}`);
  }
  transaction.put('stream', stream.id, { ...row, position: position ?? row.position, marker: marker !== null && marker > row.marker ? marker : row.marker });
  transaction.beginStatement();
  const isClosed = stream.tables.every((table) => {
    const fence = transaction.read<FenceRow>('fence', table);
    return fence?.state === 'CLOSED' && fence.workflow === stream.workflow;
  });
  if (!isClosed && !isBroken) throw new StoreRefusal('stream_taken', `not every table of stream "${stream.id}" is CLOSED and owned by workflow "${stream.workflow}"`);
}

const isScope = (row: FenceRow, scope: FenceScope): boolean => row.workflow === scope.workflow && row.peer === scope.peer;

/** A right that everybody has cannot be taken from the gateway alone. */
function requireRevocable(transaction: Transaction, table: string): void {
  const ofAll = transaction.readNewest<readonly string[]>('acl', `PUBLIC ${table}`) ?? [];
  if (ofAll.length > 0) throw new StoreRefusal('rights_remain', `the gateway has a right on table "${table}" that the fence cannot take away: ${ofAll.join(', ')} through PUBLIC`);
}

/** A table whose rights nobody has saved is opened with all four. */
const savedRights = (transaction: Transaction, table: string): readonly string[] => transaction.readNewest<readonly string[]>('rights', table) ?? allRights;

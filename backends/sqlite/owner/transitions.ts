import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { type Attempt, attempt } from '../../../core/ids.ts';
import type { FenceScope, StreamSpec } from '../../backend.ts';
import { preparedLater } from '../../stream-beginning.ts';
import type { Transaction } from '../store-client.ts';
import { nameList } from './names.ts';
import { nowMs } from './store-sql.ts';
import { putFenceTriggers } from './triggers.ts';

/*
 * The transitions of the fence. Each runs inside a transaction that holds the file's write lock, so nobody else writes anything between what it reads and what it changes. Every one looks at the rows of all the scope's tables
 * and either changes all of them or none. True: the rows are in the wished state now, changed or found so. False: they are not, and nothing has changed.
 */

/** See `FenceSession.highestAttempt`. */
export function highestAttempt({ connection, fence }: Transaction, { tables, workflow }: FenceScope): Attempt {
  const prepared = connection.all('SELECT attempt FROM switchyard_preparation WHERE workflow = ?', [workflow]).map(([number]) => Number(number));
  return attempt(Math.max(0, ...prepared, ...fence.rows(tables).map((row) => row.attempt)));
}

/** The attempt begins to prepare; false: a later one has begun. */
export function prepareFence({ connection }: Transaction, scope: FenceScope, to: Attempt): boolean {
  const put =
    'INSERT INTO switchyard_preparation (workflow, attempt) VALUES (?, ?) ON CONFLICT (workflow) DO UPDATE SET attempt = excluded.attempt WHERE attempt <= excluded.attempt';
  return connection.run(put, [scope.workflow, to]) > 0;
}

/** OPEN, attempt lower, none later has begun to prepare → FROZEN(to). The lock itself is the drain: no other transaction that has written anything is open. Ends the history with the attempt's marker. */
export function fenceTables(transaction: Transaction, scope: FenceScope, to: Attempt): boolean {
  const rows = scopeRows(transaction, scope);
  if (all(rows, 'FROZEN', (attempt) => attempt === to)) return true;
  if (!prepareFence(transaction, scope, to)) throw preparedLater(scope.workflow, to);
  if (!all(rows, 'OPEN', (attempt) => attempt < to)) return false;
  // Somebody has made a table anew: it would be written past the fence.
  for (const table of scope.tables) putFenceTriggers(transaction.connection, table);
  setRows(transaction, scope, `state = 'FROZEN', attempt = ${to}`);
  transaction.connection.run('INSERT INTO switchyard_marker (workflow, attempt) VALUES (?, ?) ON CONFLICT (workflow) DO UPDATE SET attempt = excluded.attempt', [
    scope.workflow,
    to,
  ]);
  transaction.connection.run(`INSERT INTO switchyard_change (at, kind, name, number) VALUES (${nowMs}, 'marker', ?, ?)`, [scope.workflow, to]);
  return true;
}

/** FROZEN(to) → SEALED(to). */
export function commitFence(transaction: Transaction, scope: FenceScope, to: Attempt): boolean {
  return change(transaction, scope, { from: 'FROZEN', wished: 'SEALED', to });
}

/** FROZEN(to) → OPEN. */
export function abortFence(transaction: Transaction, scope: FenceScope, to: Attempt): boolean {
  return change(transaction, scope, { from: 'FROZEN', wished: 'OPEN', to });
}

/** SEALED(to) → CLOSED. */
export function closeFence(transaction: Transaction, scope: FenceScope, to: Attempt): boolean {
  return change(transaction, scope, { from: 'SEALED', wished: 'CLOSED', to });
}

/** CLOSED, attempt lower, marker in the stream's row → READABLE. */
export function readyFence(transaction: Transaction, scope: FenceScope, to: Attempt, stream: StreamSpec): boolean {
  const [found] = transaction.connection.all('SELECT marker FROM switchyard_stream WHERE id = ? AND workflow = ?', [stream.id, scope.workflow]);
  if (found === undefined || Number(found[0]) !== to) return false;
  const rows = scopeRows(transaction, scope);
  if (!all(rows, 'CLOSED', (attempt) => attempt < to)) return all(rows, 'READABLE', (attempt) => attempt < to);
  setRows(transaction, scope, `state = 'READABLE'`);
  return true;
}

/** READABLE, attempt lower → OPEN(to), stream token + 1. */
export function openFence(transaction: Transaction, scope: FenceScope, to: Attempt, stream: StreamSpec): boolean {
  if (transaction.connection.all('SELECT 1 FROM switchyard_stream WHERE id = ? AND workflow = ?', [stream.id, scope.workflow]).length === 0) return false;
  const rows = scopeRows(transaction, scope);
  if (!all(rows, 'READABLE', (attempt) => attempt < to)) return all(rows, 'OPEN', (attempt) => attempt === to);
  transaction.connection.run('UPDATE switchyard_stream SET token = token + 1 WHERE id = ?', [stream.id]);
  setRows(transaction, scope, `state = 'OPEN', attempt = ${to}`);
  return true;
}

function change(transaction: Transaction, scope: FenceScope, { from, wished, to }: { readonly from: FenceState; readonly wished: FenceState; readonly to: Attempt }): boolean {
  const rows = scopeRows(transaction, scope);
  if (!all(rows, from, (attempt) => attempt === to)) return all(rows, wished, (attempt) => attempt === to);
  setRows(transaction, scope, `state = '${wished}'`);
  return true;
}

/** One entry a table of the scope; null where the row is missing or another workflow's or peer's. */
function scopeRows({ fence }: Transaction, scope: FenceScope): readonly (FenceRow | null)[] {
  const rows = fence.rows(scope.tables);
  return scope.tables.map((table) => rows.find((row) => row.table === table && row.workflow === scope.workflow && row.peer === scope.peer) ?? null);
}

const all = (rows: readonly (FenceRow | null)[], state: FenceState, holds: (attempt: Attempt) => boolean): boolean =>
  rows.length > 0 && rows.every((row) => row !== null && row.state === state && holds(row.attempt));

function setRows(transaction: Transaction, scope: FenceScope, set: string): void {
  transaction.connection.run(`UPDATE switchyard_fence SET ${set} WHERE table_name IN (SELECT value FROM json_each(?))`, [nameList(scope.tables)]);
}

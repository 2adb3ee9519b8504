import type { FenceState, FenceRow } from '../../../core/fence.ts';
import type { Attempt } from '../../../core/ids.ts';
import type { FenceScope, StreamSpec } from '../../backend.ts';
import type { Connection } from '../connection.ts';
import { nameList, readFenceRows } from './fence-rows.ts';
import { nowMs } from './store-sql.ts';
import { putFenceTriggers } from './triggers.ts';

/*
 * The transitions of the fence. Each runs inside a transaction that holds the file's write lock, so nobody else writes anything between what it reads and what it changes. Every one looks at the rows of all the scope's tables
 * and either changes all of them or none. True: the rows are in the wished state now, changed or found so. False: they are not, and nothing has changed.
 */

/** OPEN, attempt lower → FROZEN(to). The lock itself is the drain: no other transaction that has written anything is open. Ends the history with the attempt's marker. */
export function fenceTables(connection: Connection, scope: FenceScope, to: Attempt): boolean {
  const rows = scopeRows(connection, scope);
  if (all(rows, 'FROZEN', (attempt) => attempt === to)) return true;
  if (!all(rows, 'OPEN', (attempt) => attempt < to)) return false;
  // Somebody has made a table anew: it would be written past the fence.
  for (const table of scope.tables) putFenceTriggers(connection, table);
  setRows(connection, scope, `state = 'FROZEN', attempt = ${to}`);
  connection.run('INSERT INTO switchyard_marker (workflow, attempt) VALUES (?, ?) ON CONFLICT (workflow) DO UPDATE SET attempt = excluded.attempt', [scope.workflow, to]);
  connection.run(`INSERT INTO switchyard_change (at, kind, name, number) VALUES (${nowMs}, 'marker', ?, ?)`, [scope.workflow, to]);
  return true;
}

/** FROZEN(to) → SEALED(to). */
export function commitFence(connection: Connection, scope: FenceScope, to: Attempt): boolean {
  return change(connection, scope, { from: 'FROZEN', wished: 'SEALED', to });
}

/** FROZEN(to) → OPEN. */
export function abortFence(connection: Connection, scope: FenceScope, to: Attempt): boolean {
  return change(connection, scope, { from: 'FROZEN', wished: 'OPEN', to });
}

/** SEALED(to) → CLOSED. */
export function closeFence(connection: Connection, scope: FenceScope, to: Attempt): boolean {
  return change(connection, scope, { from: 'SEALED', wished: 'CLOSED', to });
}

/** CLOSED, attempt lower, marker in the stream's row → READABLE. */
export function readyFence(connection: Connection, scope: FenceScope, to: Attempt, stream: StreamSpec): boolean {
  const [found] = connection.all('SELECT marker FROM switchyard_stream WHERE id = ? AND workflow = ?', [stream.id, scope.workflow]);
  if (found === undefined || Number(found[0]) !== to) return false;
  const rows = scopeRows(connection, scope);
  if (!all(rows, 'CLOSED', (attempt) => attempt < to)) return all(rows, 'READABLE', (attempt) => attempt < to);
  setRows(connection, scope, `state = 'READABLE'`);
  return true;
}

/** READABLE, attempt lower → OPEN(to), stream token + 1. */
export function openFence(connection: Connection, scope: FenceScope, to: Attempt, stream: StreamSpec): boolean {
  if (connection.all('SELECT 1 FROM switchyard_stream WHERE id = ? AND workflow = ?', [stream.id, scope.workflow]).length === 0) return false;
  const rows = scopeRows(connection, scope);
  if (!all(rows, 'READABLE', (attempt) => attempt < to)) return all(rows, 'OPEN', (attempt) => attempt === to);
  connection.run('UPDATE switchyard_stream SET token = token + 1 WHERE id = ?', [stream.id]);
  setRows(connection, scope, `state = 'OPEN', attempt = ${to}`);
  return true;
}

function change(connection: Connection, scope: FenceScope, { from, wished, to }: { readonly from: FenceState; readonly wished: FenceState; readonly to: Attempt }): boolean {
  const rows = scopeRows(connection, scope);
  if (!all(rows, from, (attempt) => attempt === to)) return all(rows, wished, (attempt) => attempt === to);
  setRows(connection, scope, `state = '${wished}'`);
  return true;
}

/** One entry a table of the scope; null where the row is missing or another workflow's or peer's. */
function scopeRows(connection: Connection, scope: FenceScope): readonly (FenceRow | null)[] {
  const rows = readFenceRows(connection, scope.tables);
  return scope.tables.map((table) => rows.find((row) => row.table === table && row.workflow === scope.workflow && row.peer === scope.peer) ?? null);
}

const all = (rows: readonly (FenceRow | null)[], state: FenceState, holds: (attempt: Attempt) => boolean): boolean =>
  rows.length > 0 && rows.every((row) => row !== null && row.state === state && holds(row.attempt));

function setRows(connection: Connection, scope: FenceScope, set: string): void {
  connection.run(`UPDATE switchyard_fence SET ${set} WHERE table_name IN (SELECT value FROM json_each(?))`, [nameList(scope.tables)]);
}

import type { FenceRow } from '../core/fence.ts';
import type { Attempt, StreamToken } from '../core/ids.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { StreamSeen, StreamSpec } from './backend.ts';

/** Refuses a beginning that rests on what is so no more; see `OwnerStore.beginStream`. `token` and `rows` as they are, both locked. */
export function requireAsSeen(stream: StreamSpec, seen: StreamSeen, token: StreamToken | null, rows: readonly FenceRow[]): void {
  const { scope, state } = seen;
  if (token !== seen.token)
    throw new SwitchyardError(
      'FENCE_CONFLICT',
      `stream "${stream.id}" has been taken or begun by somebody else meanwhile: its token is ${token ?? 'none'}, not ${seen.token ?? 'none'}`,
    );
  const isAsSeen = (table: string): boolean => rows.some((row) => row.table === table && row.workflow === scope.workflow && row.peer === scope.peer && row.state === state);
  const other = scope.tables.find((table) => !isAsSeen(table));
  if (other !== undefined)
    throw new SwitchyardError('FENCE_CONFLICT', `table "${other}" is not ${state} under workflow "${scope.workflow}" any more: stream "${stream.id}" does not begin anew`, {
      metadata: { table: other },
    });
}

/** Refuses to begin a log anew; see `OwnerStore.createLog`. */
export function logBegunLater(stream: StreamSpec): SwitchyardError {
  return new SwitchyardError('LOCK_TAKEN', `the log of stream "${stream.id}" has been begun for a later attempt meanwhile: another coordinator goes on with the workflow`, {
    metadata: { workflow: stream.workflow },
  });
}

/** Refuses an attempt that comes too late; see `FenceSession.prepare`. */
export function preparedLater(workflow: string, late: Attempt): SwitchyardError {
  return new SwitchyardError(
    'LOCK_TAKEN',
    `attempt ${late} of workflow "${workflow}" comes too late: a later one has begun to prepare, so another coordinator goes on with the workflow`,
    {
      metadata: { workflow },
    },
  );
}

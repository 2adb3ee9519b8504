import { type Attempt, type Position, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { StreamSpec } from '../../backend.ts';
import { logBegunLater } from '../../stream-beginning.ts';
import { errorNumber } from '../errors.ts';
import type { StoreClient } from '../store-client.ts';
import { tableList } from './claims.ts';
import { preparedProblems } from './quiet.ts';

const NO_SUCH_TABLE = 1146;
const NO_SUCH_FUNCTION = 1305;

/** Writes down that the stream reads the log from here on; returns where that is. The server keeps its log whoever reads it, for as long as its settings say. */
export async function createLog(client: StoreClient, stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
  const { rows } = await client.query('SELECT switchyard_begin_log(?, ?, ?, ?)', [stream.id, stream.workflow, tableList(stream.tables), String(by)], signal);
  const begun = rows[0]?.[0];
  if (begun === null || begun === undefined) throw logBegunLater(stream);
  if (begun !== '') {
    await requireNonePrepared(client, signal);
    return position(String(begun));
  }
  throw new SwitchyardError('PRECHECK_FAILED', 'the server keeps no log, or has just thrown it away: set log_bin in its option file and restart it', {
    metadata: { workflow: stream.workflow },
  });
}

/** What a distributed transaction wrote is in the log where it was prepared, which may be before the beginning; only that it was committed would come behind it. */
async function requireNonePrepared(client: StoreClient, signal: AbortSignal): Promise<void> {
  const [prepared] = await preparedProblems(client, signal);
  if (prepared === undefined) return;
  throw new SwitchyardError('PRECHECK_FAILED', `${prepared.message}: what it has written would be missing in a log that begins now`, { fix: prepared.fix });
}

export async function dropLog(client: StoreClient, stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
  try {
    await client.query('SELECT switchyard_drop_log(?, ?)', [stream.id, by === null ? null : String(by)], signal);
  } catch (error) {
    // A store that was never prepared has none.
    if (!(error instanceof SwitchyardError) || ![NO_SUCH_TABLE, NO_SUCH_FUNCTION].includes(errorNumber(error.cause) ?? 0)) throw error;
  }
}

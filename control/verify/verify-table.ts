import { type Cell, keyText } from '../../core/cell.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type Move, otherSide, type SideName } from '../move.ts';
import { ChunkSize } from '../streams/chunk-size.ts';
import type { StreamSupervisor } from '../streams/stream-supervisor.ts';
import { WorkShare } from '../streams/work-share.ts';
import { compareKeys } from './compare-keys.ts';
import type { RowDifference } from './row-difference.ts';
import { SideReader } from './side-reader.ts';

const suspectsAtOnce = 500;
/** Rows of one side that may wait for their like of the other; beyond it they are looked up by key. */
const mostWaiting = 20_000;
/** After so long what is done is written down, so that whoever goes on need not do it again. */
const checkpointMs = 5_000;

export interface VerifyOptions {
  readonly move: Move;
  /** The side that serves: the stream out of it must run. */
  readonly primary: SideName;
  readonly stream: StreamSupervisor;
  readonly clock: Clock;
  /** Rows that differ are made like those of the side that serves. */
  readonly repair: boolean;
}

/** How far the comparison of one table has come. */
export interface TableComparison {
  readonly table: string;
  /** Rows of the side that serves. */
  readonly rows: number;
  /** Rows that differ and were left so. */
  readonly differences: number;
  readonly repaired: number;
  readonly done: boolean;
  /** Keys of the rows on either side up to which everything is compared, null: from the start. */
  readonly after: { readonly from: readonly Cell[] | null; readonly to: readonly Cell[] | null };
}

/** Told of rows that differ, or did until they were repaired. */
export type OnDifferences = (found: readonly RowDifference[], repaired: boolean) => void;

/**
 * Compares every row of one table in both stores while both change: a first pass in chunks by primary key finds suspects, and each suspect is looked at again with both sides at one place of the stream's history. Needs no
 * common order of keys: a row waits for its like, and what waits too long is looked up by key. Goes on behind `begun`; `onProgress` is told where the next one could.
 */
export async function verifyTable(
  options: VerifyOptions,
  begun: TableComparison,
  onDifferences: OnDifferences,
  onProgress: (comparison: TableComparison) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { move, primary, stream, clock } = options;
  const { table } = begun;
  const [schema, other] = [stream.schemas.from.get(table), stream.schemas.to.get(table)];
  if (schema === undefined || other === undefined)
    throw new SwitchyardError('STREAM_FAILED', `the stream that brings changes of ${table} does not run: rows that change meanwhile cannot be compared`);
  const from = new SideReader(move[primary].player, schema, begun.after.from);
  const to = new SideReader(move[otherSide(primary)].player, other, begun.after.to);
  const size = new ChunkSize();
  const share = new WorkShare();
  let { rows, differences, repaired } = begun;
  let suspects: (readonly Cell[])[] = [];
  const check = async (): Promise<void> => {
    const found = await compareKeys(stream, table, suspects, signal);
    suspects = [];
    const left = options.repair ? await repairRows(stream, table, found, signal) : found;
    const leftKeys = new Set(left.map(({ key }) => keyText(key)));
    const mended = found.filter(({ key }) => !leftKeys.has(keyText(key)));
    differences += left.length;
    repaired += mended.length;
    onDifferences(left, false);
    onDifferences(mended, true);
  };
  let checkedAt = clock.monotonic();
  // What the target has already, a reader of the source must see: or both would show an old row.
  await stream.untilReadable(signal);
  while (!from.ended || !to.ended) {
    const startedAt = clock.monotonic();
    // Of both sides as many, so that neither runs away from the other and few rows wait.
    const limit = size.rows;
    const [ofFrom, ofTo] = await Promise.all([from.read(limit, signal), to.read(limit, signal)]);
    const tookMs = clock.monotonic() - startedAt;
    size.learn(ofFrom.length > ofTo.length ? ofFrom : ofTo, tookMs);
    rows += ofFrom.length;
    suspects.push(...from.pair(ofFrom, to), ...to.pair(ofTo, from));
    suspects.push(...from.giveUp(mostWaiting), ...to.giveUp(mostWaiting));
    const isDue = clock.monotonic() - checkedAt >= checkpointMs;
    if (isDue && from.waiting + to.waiting <= suspectsAtOnce) suspects.push(...from.giveUp(0), ...to.giveUp(0));
    if (isDue || suspects.length >= suspectsAtOnce) await check();
    if (isDue) {
      checkedAt = clock.monotonic();
      // While rows wait there is no place behind which everything is compared.
      if (from.waiting + to.waiting === 0) await onProgress({ table, rows, differences, repaired, done: false, after: { from: from.after, to: to.after } });
    }
    if (!from.ended || !to.ended) await clock.sleep(share.restMs(ofFrom.length + ofTo.length, tookMs), signal);
  }
  suspects.push(...from.giveUp(0), ...to.giveUp(0));
  await check();
  await onProgress({ table, rows, differences, repaired, done: true, after: { from: from.after, to: to.after } });
}

/** Makes the rows that differ like those of the side that serves; returns what differs all the same. */
async function repairRows(stream: StreamSupervisor, table: string, found: readonly RowDifference[], signal: AbortSignal): Promise<readonly RowDifference[]> {
  if (found.length === 0) return found;
  const keys = found.map(({ key }) => key);
  await stream.repair(table, keys, signal);
  return compareKeys(stream, table, keys, signal);
}

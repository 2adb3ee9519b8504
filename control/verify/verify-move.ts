import type { ReplicationStore } from '../../backends/backend.ts';
import { type Cell, cellsEqual, keyText } from '../../core/cell.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import type { Verification } from '../../core/workflow-document.ts';
import { type Move, otherSide, type SideName } from '../move.ts';
import { ChunkSize } from '../streams/chunk-size.ts';
import { keyOf } from '../streams/replay.ts';
import type { StreamSupervisor } from '../streams/stream-supervisor.ts';
import { WorkShare } from '../streams/work-share.ts';
import { compareKeys, type RowDifference } from './compare-keys.ts';

const suspectsAtOnce = 500;
/** Rows of one side that may wait for their like of the other; beyond it they are looked up by key. */
const mostWaiting = 20_000;
const sampleSize = 20;

export interface VerifyOptions {
  readonly move: Move;
  /** The side that serves: the stream out of it must run. */
  readonly primary: SideName;
  readonly stream: StreamSupervisor;
  readonly clock: Clock;
}

interface Tally {
  rows: number;
  differences: number;
  readonly sample: Verification['sample'];
}

/**
 * Compares every row of both stores while both change: a first pass in chunks by primary key finds suspects, and each suspect is looked at again with both sides at one place of the stream's history. Needs no
 * common order of keys: a row waits for its like, and what waits too long is looked up by key.
 */
export async function verifyMove(options: VerifyOptions, signal: AbortSignal): Promise<Verification> {
  const { move, clock } = options;
  const startedAt = clock.monotonic();
  const tally: Tally = { rows: 0, differences: 0, sample: [] };
  for (const table of move.tables) {
    const { from, to } = options.stream.schemas;
    const [schema, other] = [from.get(table), to.get(table)];
    if (schema === undefined || other === undefined)
      throw new SwitchyardError('STREAM_FAILED', `the stream that brings changes of ${table} does not run: rows that change meanwhile cannot be compared`);
    await verifyTable(options, schema, other, tally, signal);
  }
  const durationMs = Math.round(clock.monotonic() - startedAt);
  return { finishedAt: new Date(clock.now()).toISOString(), durationMs, rowsCompared: tally.rows, differences: tally.differences, sample: tally.sample };
}

/** `table` as the side that serves describes it, `other` as the other one. */
async function verifyTable(options: VerifyOptions, table: TableSchema, other: TableSchema, tally: Tally, signal: AbortSignal): Promise<void> {
  const { move, primary } = options;
  const from = new SideReader(move[primary].player, table, options.clock);
  const to = new SideReader(move[otherSide(primary)].player, other, options.clock);
  const share = new WorkShare();
  let suspects: (readonly Cell[])[] = [];
  const check = async (): Promise<void> => {
    const found = await compareKeys(options.stream, table.name, suspects, signal);
    suspects = [];
    for (const difference of found) count(tally, primary, difference);
  };
  // What the target has already, a reader of the source must see: or both would show an old row.
  await options.stream.untilReadable(signal);
  while (!from.ended || !to.ended) {
    const startedAt = options.clock.monotonic();
    const [ofFrom, ofTo] = await Promise.all([from.read(signal), to.read(signal)]);
    tally.rows += ofFrom.length;
    suspects.push(...from.pair(ofFrom, to), ...to.pair(ofTo, from));
    suspects.push(...from.giveUp(mostWaiting), ...to.giveUp(mostWaiting));
    const tookMs = options.clock.monotonic() - startedAt;
    if (suspects.length >= suspectsAtOnce) await check();
    if (!from.ended || !to.ended) await options.clock.sleep(share.restMs(ofFrom.length + ofTo.length, tookMs), signal);
  }
  suspects.push(...from.giveUp(0), ...to.giveUp(0));
  await check();
}

function count(tally: Tally, primary: SideName, { table, key, kind, column, fromValue, toValue }: RowDifference): void {
  tally.differences += 1;
  if (tally.sample.length >= sampleSize) return;
  const what = kind === 'cell' ? column : `missing in ${kind === 'missing in from' ? primary : otherSide(primary)}`;
  const [sourceValue, targetValue] = primary === 'source' ? [fromValue, toValue] : [toValue, fromValue];
  tally.sample.push({ table, key, what, sourceValue, targetValue });
}

interface WaitingRow {
  readonly key: readonly Cell[];
  readonly row: readonly Cell[];
}

/** Reads one side's table from begin to end and keeps the rows whose like has not come yet. */
class SideReader {
  readonly #store: ReplicationStore;
  readonly #table: TableSchema;
  readonly #clock: Clock;
  readonly #indexes: readonly number[];
  readonly #waiting = new Map<string, WaitingRow>();
  #after: readonly Cell[] | null = null;
  readonly #size = new ChunkSize();
  #ended = false;

  constructor(store: ReplicationStore, table: TableSchema, clock: Clock) {
    this.#store = store;
    this.#table = table;
    this.#clock = clock;
    this.#indexes = keyIndexes(table);
  }

  get ended(): boolean {
    return this.#ended;
  }

  async read(signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    if (this.#ended) return [];
    const limit = this.#size.rows;
    const rows = await this.#size.timed(this.#clock, () => this.#store.readChunk(this.#table, this.#after, limit, signal));
    const last = rows.at(-1);
    if (last !== undefined) this.#after = keyOf(this.#indexes, last);
    this.#ended = rows.length < limit;
    return rows;
  }

  /** Pairs these rows of this side with waiting ones of the other; the rest waits. Returns the keys of unequal pairs. */
  pair(rows: readonly (readonly Cell[])[], other: SideReader): readonly (readonly Cell[])[] {
    const unequal: (readonly Cell[])[] = [];
    for (const row of rows) {
      const key = keyOf(this.#indexes, row);
      const text = keyText(key);
      const like = other.#waiting.get(text);
      if (like === undefined) this.#waiting.set(text, { key, row });
      else {
        other.#waiting.delete(text);
        if (!cellsEqual(row, like.row)) unequal.push(key);
      }
    }
    return unequal;
  }

  /** Forgets the rows that have waited longest until at most `keep` wait; returns their keys. */
  giveUp(keep: number): readonly (readonly Cell[])[] {
    const keys: (readonly Cell[])[] = [];
    for (const [text, { key }] of this.#waiting) {
      if (this.#waiting.size <= keep) break;
      this.#waiting.delete(text);
      keys.push(key);
    }
    return keys;
  }
}

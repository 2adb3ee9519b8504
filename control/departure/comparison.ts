import type { Cell } from '../../core/cell.ts';
import { cellsEqual } from '../../core/cell.ts';
import { type Attempt, attempt, type Position, position, type StreamToken } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { shapeDifferenceBetweenKinds, type TableSchema } from '../../core/table-schema.ts';
import { COMPARED, type Departure, streamOf } from './departure.ts';
import { compareKeys, OrderedRows, sourcePages, targetPages, type WholeRow } from './ordered-rows.ts';

/** What one pass over a table has found and mended. */
export interface Compared {
  readonly rows: number;
  readonly different: number;
  /** Key of the first row that differed. */
  readonly first: readonly Cell[] | null;
}

const pageRows = 500;
const batchRows = 500;

/**
 * Makes the target's tables like the source's by comparing them row by row, as the one player of the departure's stream. Nothing is remembered between passes but the token: whoever takes the stream over begins anew, and finds alike what is alike.
 */
export class Comparison {
  readonly #departure: Departure;
  readonly #token: StreamToken;
  readonly #position: Position = position(COMPARED);
  /** Highest number of each column that the target numbers, as the last pass has seen it. */
  readonly #highest = new Map<string, bigint>();

  private constructor(departure: Departure, token: StreamToken) {
    this.#departure = departure;
    this.#token = token;
  }

  /** Takes the stream: every earlier comparison of the departure is refused from here on. */
  static async begin(departure: Departure, signal: AbortSignal): Promise<Comparison> {
    const { token } = await departure.target.player.takeStream(streamOf(departure), signal);
    return new Comparison(departure, token);
  }

  /**
   * One pass over a table; `onRows` is told of rows that are done and may end it by throwing. STREAM_TAKEN: somebody else has taken the stream, or the target is not closed any more. SCHEMA_CHANGED: the target cannot take the source's
   * rows as they are.
   */
  async pass(table: string, signal: AbortSignal, onRows: (rows: number) => void = () => {}): Promise<Compared> {
    const { source, target } = this.#departure;
    const { from, to } = await this.#schemas(table, signal);
    const ofSource = new OrderedRows(sourcePages(source.store, from), from, pageRows);
    const ofTarget = new OrderedRows(targetPages(target.player, to), to, pageRows);
    const numbered = to.columns.flatMap(({ name, hasDefault }, index) => (hasDefault ? [{ place: `${table}.${name}`, index }] : []));
    const copied: WholeRow[] = [];
    const deleted: (readonly Cell[])[] = [];
    let steps = 0;
    let rows = 0;
    let different = 0;
    let first: readonly Cell[] | null = null;
    const flush = async (): Promise<void> => {
      if (copied.length + deleted.length > 0) await this.#apply(to, copied.splice(0), deleted.splice(0), rows, signal);
      onRows(rows);
    };
    for (;;) {
      const [there, here] = [await ofSource.peek(signal), await ofTarget.peek(signal)];
      if (there === null && here === null) break;
      const order = there === null ? 1 : here === null ? -1 : compareKeys(ofSource.keyOf(there), ofTarget.keyOf(here));
      if (there !== null && order <= 0) {
        ofSource.take();
        rows += 1;
        for (const { place, index } of numbered) this.#see(place, there[index] ?? null);
      }
      if (here !== null && order >= 0) ofTarget.take();
      const alike = there !== null && here !== null && order === 0 && there.every((cell, index) => cellsEqual(cell, here[index] ?? null));
      if (!alike) {
        different += 1;
        if (there !== null && order <= 0) {
          copied.push(there);
          first ??= ofSource.keyOf(there);
        } else if (here !== null) {
          deleted.push(ofTarget.keyOf(here));
          first ??= ofTarget.keyOf(here);
        }
      }
      steps += 1;
      if (copied.length + deleted.length >= batchRows || steps % pageRows === 0) await flush();
    }
    await flush();
    return { rows, different, first };
  }

  /** Highest number that a pass has seen in the column; null: none. */
  highest(table: string, column: string): bigint | null {
    return this.#highest.get(`${table}.${column}`) ?? null;
  }

  /** Writes down in the target that all is alike as of this attempt, which is what `ready` asks for. */
  async mark(marked: Attempt, signal: AbortSignal): Promise<void> {
    const batch = { changes: [], copied: null, requests: { records: [], progress: null }, position: this.#position, marker: attempt(marked) };
    await this.#departure.target.player.apply(streamOf(this.#departure), new Map(), this.#token, batch, signal);
  }

  #see(place: string, cell: Cell): void {
    if (typeof cell !== 'bigint' && typeof cell !== 'number') return;
    if (!Number.isInteger(Number(cell))) return;
    const number = BigInt(cell);
    if (number > (this.#highest.get(place) ?? 0n)) this.#highest.set(place, number);
  }

  async #apply(table: TableSchema, rows: readonly WholeRow[], keys: readonly (readonly Cell[])[], done: number, signal: AbortSignal): Promise<void> {
    const { name } = table;
    const changes = keys.map((key) => ({ kind: 'delete' as const, table: name, key }));
    const copied = rows.length === 0 ? null : { table: name, rows, contiguous: false, progress: { lastKey: null, rows: done, done: false } };
    const batch = { changes, copied, requests: { records: [], progress: null }, position: this.#position, marker: null };
    await this.#departure.target.player.apply(streamOf(this.#departure), new Map([[name, table]]), this.#token, batch, signal);
  }

  async #schemas(table: string, signal: AbortSignal): Promise<{ readonly from: TableSchema; readonly to: TableSchema }> {
    const { source, target } = this.#departure;
    const [from, to] = await Promise.all([source.store.describe(table, signal), target.player.describe(table, signal)]);
    if (from === null || to === null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} does not exist in ${from === null ? source.keyspace : target.keyspace}`);
    const difference = shapeDifferenceBetweenKinds(from, to);
    if (difference !== null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} differs between ${source.keyspace} and ${target.keyspace}: ${difference}`);
    return { from, to };
  }
}

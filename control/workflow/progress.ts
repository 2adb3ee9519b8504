import type { CopyProgress } from '../../backends/backend.ts';
import { REQUESTS } from '../../core/request-record.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';

type TableProgress = WorkflowDocument['progress'][number];
/** Of the last minute. */
export type CopyPace = NonNullable<WorkflowDocument['pace']>;

/** Older looks say nothing of what is ahead. */
const windowMs = 60_000;
/** A shorter one says little: a copy begins slowly. */
const leastWindowMs = 5_000;

/** How far the copy of each table has come, as committed on the target. The records of requests, copied last, count for the end only: to people they are no table. */
export class CopyTally {
  readonly #tables: Map<string, TableProgress>;
  #requestsDone = false;
  /** Rows and bytes that this process has copied, at each look. */
  #looks: { readonly atMs: number; readonly rows: number; readonly bytes: number }[] = [];
  #rows = 0;
  #bytes = 0;

  constructor(document: Pick<WorkflowDocument, 'tables' | 'progress'>) {
    this.#tables = new Map(
      document.tables.map((table) => [table, document.progress.find((entry) => entry.table === table) ?? { table, rowsCopied: 0, rowsTotal: 0, bytesCopied: 0, done: false }]),
    );
  }

  get tables(): readonly TableProgress[] {
    return [...this.#tables.values()];
  }

  get done(): boolean {
    return this.#requestsDone && this.tables.every((table) => table.done);
  }

  /** The store's estimate; never shown as less than what is copied. */
  estimate(table: string, rows: number): void {
    const entry = this.#tables.get(table);
    if (entry !== undefined) this.#tables.set(table, { ...entry, rowsTotal: Math.max(entry.rowsCopied, Math.round(rows)) });
  }

  /** `bytes`: of the rows that have been copied since the last time; 0 where that is only read from the target. */
  record(table: string, { rows, done }: CopyProgress, bytes: number): void {
    if (table === REQUESTS) this.#requestsDone = done;
    const entry = this.#tables.get(table);
    if (entry === undefined) return;
    if (bytes > 0) this.#rows += rows - entry.rowsCopied;
    this.#bytes += bytes;
    this.#tables.set(table, { table, rowsCopied: rows, rowsTotal: done ? rows : Math.max(entry.rowsTotal, rows), bytesCopied: entry.bytesCopied + bytes, done });
  }

  /** How fast the copy goes, and how long it will take where that can be said; to be asked every second or so. Null: too early to say, or done. */
  pace(nowMs: number): CopyPace | null {
    if (this.done) return null;
    this.#looks = [...this.#looks.filter(({ atMs }) => atMs >= nowMs - windowMs), { atMs: nowMs, rows: this.#rows, bytes: this.#bytes }];
    const [first] = this.#looks;
    if (first === undefined || nowMs - first.atMs < leastWindowMs) return null;
    const perSecond = (count: number): number => (count * 1_000) / (nowMs - first.atMs);
    const rowsPerSecond = perSecond(this.#rows - first.rows);
    const secondsLeft = this.#secondsLeft(rowsPerSecond);
    return { rowsPerSecond: Math.round(rowsPerSecond), bytesPerSecond: Math.round(perSecond(this.#bytes - first.bytes)), ...(secondsLeft === null ? {} : { secondsLeft }) };
  }

  /** Null: nothing moves, or a table has more rows than its store has thought, so that nobody knows how many. */
  #secondsLeft(rowsPerSecond: number): number | null {
    const open = this.tables.filter(({ done }) => !done);
    if (rowsPerSecond <= 0 || open.some(({ rowsCopied, rowsTotal }) => rowsCopied > 0 && rowsCopied >= rowsTotal)) return null;
    return Math.ceil(open.reduce((sum, { rowsCopied, rowsTotal }) => sum + rowsTotal - rowsCopied, 0) / rowsPerSecond);
  }
}

/** What a document says of a copy and of the stream behind it. */
export interface Progress {
  readonly tables: readonly TableProgress[];
  readonly pace: CopyPace | null;
  readonly lagMs: number | null;
}

/** The document with this progress; null when it says so already. */
export function withProgress(document: WorkflowDocument, { tables, pace, lagMs }: Progress): WorkflowDocument | null {
  const { lagMs: shownLag, pace: shownPace, ...rest } = document;
  const lag = lagMs === null ? undefined : Math.round(lagMs);
  const isShown = JSON.stringify([document.progress, shownPace, shownLag]) === JSON.stringify([tables, pace ?? undefined, lag]);
  return isShown ? null : { ...rest, progress: [...tables], ...(pace === null ? {} : { pace }), ...(lag === undefined ? {} : { lagMs: lag }) };
}

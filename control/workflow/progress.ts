import type { CopyProgress } from '../../backends/backend.ts';
import { REQUESTS } from '../../core/request-record.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';

type TableProgress = WorkflowDocument['progress'][number];

/** How far the copy of each table has come, as committed on the target. The records of requests, copied last, count for the end only: to people they are no table. */
export class CopyTally {
  readonly #tables: Map<string, TableProgress>;
  #requestsDone = false;

  constructor(document: Pick<WorkflowDocument, 'tables' | 'progress'>) {
    this.#tables = new Map(
      document.tables.map((table) => [table, document.progress.find((entry) => entry.table === table) ?? { table, rowsCopied: 0, rowsTotal: 0, done: false }]),
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

  record(table: string, { rows, done }: CopyProgress): void {
    if (table === REQUESTS) this.#requestsDone = done;
    const entry = this.#tables.get(table);
    if (entry === undefined) return;
    this.#tables.set(table, { table, rowsCopied: rows, rowsTotal: done ? rows : Math.max(entry.rowsTotal, rows), done });
  }
}

/** The document with this progress and lag; null when it says so already. */
export function withProgress(document: WorkflowDocument, progress: readonly TableProgress[], lagMs: number | null): WorkflowDocument | null {
  const { lagMs: shown, ...rest } = document;
  const lag = lagMs === null ? undefined : Math.round(lagMs);
  if (JSON.stringify(document.progress) === JSON.stringify(progress) && shown === lag) return null;
  return { ...rest, progress: [...progress], ...(lag === undefined ? {} : { lagMs: lag }) };
}

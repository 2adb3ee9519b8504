import { type FenceRow, mayWrite } from '../../../core/fence.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { isUnprepared } from '../errors.ts';
import { FENCE_TABLE } from '../names.ts';
import { besideFence, checkState, fenceColumn, fenceColumns, fencedRows, fenceRow } from '../read-fence.ts';
import type { Session, Statement } from '../session.ts';
import { type Read, type ReadValues, readOn, readUnfenced, selected, statementOf } from './read.ts';
import { padded } from './values.ts';

/** So often rows may come and go between two looks. */
const LOOKS_LIMIT = 10;

/** What a look at the row of a key tells. */
export interface Look {
  readonly exists: boolean;
  /** Whether the only column of the read is 1. */
  readonly met: boolean;
}

/**
 * Reads under the fence, on connections that the caller holds: the table's fence row is of the same statement and snapshot. A store that has no fence's table is one that was not prepared when the call had begun: nobody has moved the table by then, so that its
 * rows may be read. A login without a right on that table is told the same as if it were not there; whoever has seen it once takes that for what it is.
 */
export class FencedReads {
  #isSeen = false;

  /** FENCED: gateways may not read the table. */
  async read(session: Session, read: Read, signal: AbortSignal): Promise<ReadValues> {
    return await this.#orUnprepared(
      async () => {
        for (let looks = 0; looks < LOOKS_LIMIT; looks += 1) {
          const found = read.isPoint === true ? await pointOf(session, read, signal) : await rowsOf(session, read, signal);
          if (found !== null) return found;
        }
        const { name } = read.table;
        throw new SwitchyardError('SERIALIZATION_FAILURE', `rows of "${name}" come and go faster than they can be read: try again`, { metadata: { table: name } });
      },
      () => readUnfenced(session, read, signal),
    );
  }

  /** FENCED: gateways may not write the table. The triggers refuse whatever touches a row; this is for what touched none: "no such row" is no answer of a store that others have gone on from. */
  async lookToWrite(session: Session, read: Read, signal: AbortSignal): Promise<Look> {
    return await this.#orUnprepared(
      async () => {
        const [[state = null, found = null, met = null] = []] = (await readOn(session, statementOf(read, around(read, besideFence)), signal, read.table)).rows;
        checkState(read.table.name, state, mayWrite);
        return { exists: found !== null, met: met === 1 };
      },
      () => lookUnfenced(session, read, signal),
    );
  }

  /** The fence rows of these tables; none where the store was never prepared. */
  async rows(session: Session, tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
    if (tables.length === 0) return [];
    return await this.#orUnprepared(
      async () => (await readOn(session, fenceStatement(tables), signal)).rows.map(fenceRow),
      async () => [],
    );
  }

  async #orUnprepared<T>(work: () => Promise<T>, unprepared: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#isSeen = true;
      return result;
    } catch (error) {
      if (!(error instanceof SwitchyardError) || !isUnprepared(error.cause) || (this.#isSeen && error.reason === 'STORE_DENIED')) throw error;
      // What is not there, or may not be read, may be the read's own table: then this fails as well.
      return await unprepared();
    }
  }
}

/** A look without the fence. */
export async function lookUnfenced(session: Session, read: Read, signal: AbortSignal): Promise<Look> {
  const [row] = (await readUnfenced(session, read, signal)).rows;
  return { exists: row !== undefined, met: row?.[0] === 1 };
}

/** Texts that the first reads of a table will need: those of its fence, and with which these begin. */
export const warmTexts = (reads: readonly Read[]): readonly string[] => [fenceStatement(['', '']).text, ...reads.map(textOf)];

function fenceStatement(tables: readonly string[]): Statement {
  const names = padded(tables);
  return { text: `SELECT ${fenceColumns} FROM ${FENCE_TABLE} WHERE table_name IN (${names.map(() => '?').join(', ')})`, values: names, form: 'kept' };
}

/** What a key's row is, in a form whose one row tells of the fence also where there is none. */
async function pointOf(session: Session, read: Read, signal: AbortSignal): Promise<ReadValues> {
  const { rows } = await readOn(session, statementOf(read, textOf(read)), signal, read.table);
  const [row] = rows;
  checkState(read.table.name, row?.[0] ?? null);
  return row?.[1] === null ? { rows: [], cut: false } : { rows, cut: false, first: 2 };
}

/** Null: there were no rows, and now there are. A statement without rows has told nothing of the fence; the one that does costs too much where there are many. */
async function rowsOf(session: Session, read: Read, signal: AbortSignal): Promise<ReadValues | null> {
  const { rows, cut } = await readOn(session, statementOf(read, textOf(read)), signal, read.table);
  const [row] = rows;
  if (row !== undefined) {
    checkState(read.table.name, row[0] ?? null);
    return { rows, cut, first: 1 };
  }
  const [told] = (await readOn(session, statementOf(read, `${around(read, fencedRows)} LIMIT 1`), signal, read.table)).rows;
  checkState(read.table.name, told?.[0] ?? null);
  return told?.[1] === null ? { rows, cut } : null;
}

const textOf = (read: Read): string => (read.isPoint === true ? around(read, fencedRows) : selected(read, [fenceColumn(read.table.name), ...read.columns]));

const around = (read: Read, form: (table: string, inner: string, columns: number) => string): string =>
  form(read.table.name, selected(read, ['1 AS found', ...read.columns.map((column, i) => `${column} AS c${i}`)]), read.columns.length);

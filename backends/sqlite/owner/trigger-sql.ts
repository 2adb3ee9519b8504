import type { TableSchema } from '../../../core/table-schema.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import { FENCED_PREFIX } from '../errors.ts';
import { nowMs } from './store-sql.ts';

export interface Trigger {
  readonly name: string;
  readonly sql: string;
}

/** A unique index besides the primary key: what REPLACE deletes rows by, and says so to no trigger. */
export interface UniqueIndex {
  readonly columns: readonly { readonly name: string; readonly collation: string }[];
  /** On a part of the rows: a column of its condition decides too whether a row is in the way. */
  readonly partial: boolean;
}

const isPlayer = '(SELECT player FROM switchyard_session) = 1';
const isNoPlayer = '(SELECT player FROM switchyard_session) = 0';

/** A trigger's name, which is one in the whole file. */
export const triggerName = (purpose: string, table: string): string => `switchyard_${purpose}_${table}`;
export const fencePurposes = ['fence_insert', 'fence_update', 'fence_delete'] as const;

/**
 * The write fence: reads the row's state in the writer's own transaction, which holds the file's write lock or is refused it, so it never admits by an old snapshot. BEFORE, so that no conflict clause of the
 * writer's comes first.
 */
export function fenceTriggers(table: string): readonly Trigger[] {
  return fencePurposes.map((purpose) => {
    const name = triggerName(purpose, table);
    const event = purpose.slice('fence_'.length).toUpperCase();
    const state = `(SELECT state FROM switchyard_fence WHERE table_name = ${quoteText(table)})`;
    return {
      name,
      sql: `CREATE TRIGGER ${quoteIdentifier(name)} BEFORE ${event} ON ${quoteIdentifier(table)} WHEN ${state} IS NOT 'OPEN' AND NOT ${isPlayer}
BEGIN SELECT RAISE(ABORT, ${quoteText(`${FENCED_PREFIX}: ${table}`)}); END`,
    };
  });
}

/**
 * The log's triggers. Every row that a statement inserts, updates or deletes is one row of the log, whoever writes; a player's are left out. The rows that REPLACE deletes fire no trigger of their own: before each
 * write the rows that hold one of its unique keys are noted, and those that are gone after it are logged as deleted, in front of it. (A noted row that stays, because the write was ignored or became an update, is of no
 * consequence: only rows that are really gone are ever logged.)
 * Actions of foreign keys write rows in the middle of a write, even rows that it has noted. So each write's notes lie on those of the writes around it, behind a mark of its own, and go when it ends. A write that is ignored does not
 * end, and leaves its notes below whatever comes then.
 * The cells are read from the table, not from NEW: an action of a foreign key may have changed the very same row in between, and its change is in the log already.
 */
export function logTriggers(table: TableSchema, uniques: readonly UniqueIndex[]): readonly Trigger[] {
  const keys = (row: 'NEW' | 'OLD' | 't'): readonly string[] => table.primaryKey.map((name) => `${row}.${quoteIdentifier(name)}`);
  const wholeRow = table.columns.map(({ name }) => `t.${quoteIdentifier(name)}`);
  const present = `FROM ${quoteIdentifier(table.name)} t WHERE ${keys('t')
    .map((cell, at) => `${cell} = ${keys('NEW')[at]}`)
    .join(' AND ')}`;
  const log = (kind: string, cells: readonly string[], from: string): string =>
    `INSERT INTO switchyard_change (at, kind, name, ${places(cells.length).join(', ')}) SELECT ${nowMs}, '${kind}', ${quoteText(table.name)}, ${cells.join(', ')} ${from};`;
  const trigger = (purpose: string, when: string, statements: readonly string[]): Trigger => {
    const name = triggerName(purpose, table.name);
    return { name, sql: `CREATE TRIGGER ${quoteIdentifier(name)} ${when} ON ${quoteIdentifier(table.name)} WHEN ${isNoPlayer}\nBEGIN\n  ${statements.join('\n  ')}\nEND` };
  };
  const notes = new Notes(table);
  const before = (isUpdate: boolean): readonly string[] => [notes.begin, ...uniques.map((unique) => notes.note(unique, isUpdate))];
  const after = [notes.logGone, notes.end];
  const uniqueColumns = [...new Set(uniques.flatMap(({ columns }) => columns.map(({ name }) => name)))];
  // UPDATE OF asks for the columns that the statement sets. A generated column is never one of them, and what else a condition is about is not known here.
  const isGenerated = (name: string): boolean => table.columns.some((column) => column.name === name && column.generated);
  const ofColumns = uniques.some(({ partial }) => partial) || uniqueColumns.some(isGenerated) ? '' : ` OF ${uniqueColumns.map(quoteIdentifier).join(', ')}`;
  return [
    ...(uniques.length === 0 ? [] : [trigger('log_before_insert', 'BEFORE INSERT', before(false)), trigger('log_before_update', `BEFORE UPDATE${ofColumns}`, before(true))]),
    trigger('log_insert', 'AFTER INSERT', [...(uniques.length === 0 ? [] : after), log('insert', wholeRow, present)]),
    trigger('log_update', 'AFTER UPDATE', [
      ...(uniques.length === 0 ? [] : [notes.follow]),
      log('update', [...keys('OLD'), ...wholeRow], present),
      log('delete', keys('OLD'), `WHERE NOT EXISTS (SELECT 1 ${present})`),
    ]),
    trigger('log_delete', 'AFTER DELETE', [log('delete', keys('OLD'), '')]),
    // SQLite runs what was made last first: so the rows that are gone come in front of the update.
    ...(uniques.length === 0 ? [] : [trigger('log_after_update', `AFTER UPDATE${ofColumns}`, after)]),
  ];
}

/** How many cells of the log a table needs: an update has the old key and the whole row. */
export const logWidth = (table: TableSchema): number => table.primaryKey.length + table.columns.length;
/** How many cells of a noted row a table needs: its key. */
export const candidateWidth = (table: TableSchema): number => table.primaryKey.length;

/** What writes that were ignored have left is removed when so much lies on it: more than foreign keys can nest writes, and each of those notes. */
const mostNotes = 20_000;
const markNumber = -1;
const noteNumber = 0;

/** Statements about the rows that hold the same unique keys as the row that is being written. */
class Notes {
  readonly #table: TableSchema;
  readonly #name: string;
  readonly #key: readonly string[];
  readonly #places: readonly string[];

  constructor(table: TableSchema) {
    this.#table = table;
    this.#name = quoteText(table.name);
    this.#key = table.primaryKey.map(quoteIdentifier);
    this.#places = places(this.#key.length);
  }

  /** Sets a write's mark on top. */
  get begin(): string {
    return `DELETE FROM switchyard_candidate WHERE rowid < (SELECT max(rowid) FROM switchyard_candidate) - ${mostNotes};
  INSERT INTO switchyard_candidate (name, number) VALUES (${this.#name}, ${markNumber});`;
  }

  /** Of an update the row itself does not count. */
  note({ columns }: UniqueIndex, isUpdate: boolean): string {
    const same = columns.map(({ name, collation }) => `t.${quoteIdentifier(name)} = NEW.${quoteIdentifier(name)} COLLATE ${quoteIdentifier(collation)}`);
    const other = isUpdate ? [`NOT (${this.#key.map((name) => `t.${name} IS OLD.${name}`).join(' AND ')})`] : [];
    return `INSERT INTO switchyard_candidate (name, number, ${this.#places.join(', ')})
    SELECT ${this.#name}, ${noteNumber}, ${this.#key.map((name) => `t.${name}`).join(', ')} FROM ${quoteIdentifier(this.#table.name)} t WHERE ${[...same, ...other].join(' AND ')};`;
  }

  /** A noted row that gets another key, from an action of a foreign key, is noted under that. */
  get follow(): string {
    const set = this.#key.map((name, at) => `${this.#places[at]} = NEW.${name}`);
    const same = this.#key.map((name, at) => `${this.#places[at]} = OLD.${name}`);
    const isOther = `NOT (${this.#key.map((name) => `OLD.${name} IS NEW.${name}`).join(' AND ')})`;
    return `UPDATE switchyard_candidate SET ${set.join(', ')} WHERE ${[`name = ${this.#name}`, `number = ${noteNumber}`, ...same, isOther].join(' AND ')};`;
  }

  get logGone(): string {
    const there = this.#key.map((name, at) => `t.${name} = switchyard_candidate.${this.#places[at]}`);
    const gone = `NOT EXISTS (SELECT 1 FROM ${quoteIdentifier(this.#table.name)} t WHERE ${there.join(' AND ')})`;
    const cells = this.#places.join(', ');
    return `INSERT INTO switchyard_change (at, kind, name, ${cells})
    SELECT DISTINCT ${nowMs}, 'delete', ${this.#name}, ${cells} FROM switchyard_candidate WHERE rowid > ${topMark} AND ${gone};`;
  }

  /** Removes the notes on top with their mark. */
  get end(): string {
    return `DELETE FROM switchyard_candidate WHERE rowid >= ${topMark};`;
  }
}

const topMark = `(SELECT rowid FROM switchyard_candidate WHERE number = ${markNumber} ORDER BY rowid DESC LIMIT 1)`;

/** The names of this many cells. */
const places = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `c${i}`);

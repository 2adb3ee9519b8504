import type { QueryEvent } from './log-events.ts';
import { type SqlWord, sqlWords } from './sql-words.ts';

/** What a logged statement is to a stream. */
export type StatementMeaning =
  | { readonly kind: 'begin' | 'commit' | 'rollback' }
  | { readonly kind: 'savepoint' | 'rollbackTo'; readonly name: string }
  | { readonly kind: 'truncate'; readonly table: string }
  /** Defines a table of the stream anew, or takes it or its rows away. */
  | { readonly kind: 'definition'; readonly table: string }
  /** Writes rows that the log does not have. */
  | { readonly kind: 'unloggedRows' }
  /** Of no concern. */
  | { readonly kind: 'other' };

const other: StatementMeaning = { kind: 'other' };

/** They change no rows, whatever they name. */
const rowless: ReadonlySet<string> = new Set(
  'ANALYZE OPTIMIZE CHECK REPAIR FLUSH GRANT REVOKE SET RESET PURGE CHANGE KILL INSTALL UNINSTALL SHUTDOWN BACKUP CACHE LOCK UNLOCK USE XA RELEASE'.split(' '),
);
/** Whatever CREATE, ALTER and DROP make. */
const objects: ReadonlySet<string> = new Set(
  'TABLE TABLES INDEX VIEW TRIGGER PROCEDURE FUNCTION EVENT DATABASE SCHEMA USER ROLE SERVER SEQUENCE PACKAGE TABLESPACE LOGFILE CATALOG'.split(' '),
);

/**
 * What the statement is to a stream of these tables of a database. In doubt it is taken for worse than it is: a stream that ends for no reason can be begun anew, what it has passed over is lost.
 * A statement of another database that names neither this one nor its tables is of no concern.
 */
export function meaningOf(query: Pick<QueryEvent, 'database' | 'ansiQuotes' | 'noBackslashEscapes'>, text: string, database: string, tables: readonly string[]): StatementMeaning {
  const control = controlOf(text);
  if (control !== null) return control;
  return new Statement(withoutSettings(sqlWords(text, query)), query.database, database, tables).meaning();
}

/** The same of a text in a character set that we cannot read. What is ASCII in it is right, or a part of something else: so a table's name is a table's name wherever it stands, and one that is not ASCII may be anywhere. */
export function meaningOfUnread(
  query: Pick<QueryEvent, 'database' | 'ansiQuotes' | 'noBackslashEscapes'>,
  bytes: Buffer,
  database: string,
  tables: readonly string[],
): StatementMeaning {
  const text = bytes.toString('latin1').toLowerCase();
  const table = tables.find((name) => /[^ -~]/.test(name) || text.includes(name.toLowerCase()));
  const isHere = same(query.database, database) || /[^ -~]/.test(database) || text.includes(database.toLowerCase());
  return table !== undefined && isHere ? { kind: 'definition', table } : meaningOf(query, text, database, []);
}

/** The server's own texts. */
function controlOf(text: string): StatementMeaning | null {
  if (text === 'BEGIN') return { kind: 'begin' };
  if (text === 'COMMIT') return { kind: 'commit' };
  if (text === 'ROLLBACK') return { kind: 'rollback' };
  const [, verb = '', name = ''] = /^(SAVEPOINT|ROLLBACK TO) `((?:[^`]|``)*)`$/s.exec(text) ?? [];
  if (verb === '') return null;
  return { kind: verb === 'SAVEPOINT' ? 'savepoint' : 'rollbackTo', name: name.replaceAll('``', '`').toLowerCase() };
}

/** SET STATEMENT variable = value, … FOR statement. */
function withoutSettings(words: readonly SqlWord[]): readonly SqlWord[] {
  if (keyword(words[0]) !== 'SET' || keyword(words[1]) !== 'STATEMENT') return words;
  return words.slice(words.findIndex((word) => keyword(word) === 'FOR') + 1);
}

/** In front of a point they are no database: ".item" is a table of the current one. */
const beforeNames: ReadonlySet<string> = new Set('TABLE TABLES TRUNCATE EXISTS IGNORE TO ON WITH ,'.split(' '));

class Statement {
  readonly #words: readonly SqlWord[];
  /** Names without a database are of the stream's. */
  readonly #isCurrent: boolean;
  readonly #database: string;
  readonly #tables: readonly string[];
  /** Their names without regard to case. */
  readonly #folded: ReadonlySet<string>;

  constructor(words: readonly SqlWord[], currentDatabase: string, database: string, tables: readonly string[]) {
    this.#words = words;
    this.#database = database;
    this.#tables = tables;
    this.#folded = new Set(tables.map((table) => table.toLowerCase()));
    this.#isCurrent = same(currentDatabase, database);
  }

  meaning(): StatementMeaning {
    if (!this.#isCurrent && !this.#words.some(({ text }) => same(text, this.#database))) return other;
    const verb = keyword(this.#words[0]);
    if (rowless.has(verb)) return other;
    const named = this.#named(this.#words);
    if (verb === 'TRUNCATE') return named === null ? other : { kind: 'truncate', table: named };
    if (verb === 'RENAME') return named === null || keyword(this.#words[1]) === 'USER' ? other : { kind: 'definition', table: named };
    if (verb === 'CREATE' || verb === 'ALTER' || verb === 'DROP') return this.#define(verb, named);
    return { kind: 'unloggedRows' };
  }

  #define(verb: 'CREATE' | 'ALTER' | 'DROP', named: string | null): StatementMeaning {
    const at = this.#words.findIndex((word) => objects.has(keyword(word)));
    const object = keyword(this.#words[at]);
    const before = this.#words.slice(0, Math.max(at, 0)).map(keyword);
    const after = this.#words.slice(at + 1);
    if (object === 'DATABASE' || object === 'SCHEMA') return this.#defineDatabase(verb === 'DROP' || before.includes('REPLACE'));
    if (named === null || before.includes('TEMPORARY')) return other;
    if (object === 'INDEX') return verb === 'CREATE' && !before.includes('UNIQUE') ? other : { kind: 'definition', table: named };
    if (object === '') return { kind: 'definition', table: named };
    if (object !== 'TABLE' && object !== 'TABLES') return other;
    if (verb === 'CREATE') return this.#createTable(after, named);
    return verb === 'DROP' ? { kind: 'definition', table: named } : this.#alterTable(after, named);
  }

  /** All its tables go with it. */
  #defineDatabase(removes: boolean): StatementMeaning {
    const [table] = this.#tables;
    return removes && table !== undefined && this.#words.some(({ text }) => same(text, this.#database)) ? { kind: 'definition', table } : other;
  }

  /** One that names a table of the stream may only be made like it, or refer to it. IF NOT EXISTS does nothing to one that is there. */
  #createTable(after: readonly SqlWord[], named: string): StatementMeaning {
    if (keyword(after[0]) === 'IF') return other;
    return this.#named(after.slice(0, nameLength(after))) === null ? other : { kind: 'definition', table: named };
  }

  #alterTable(after: readonly SqlWord[], named: string): StatementMeaning {
    const rest = keyword(after[0]) === 'IF' ? after.slice(2) : after;
    const length = nameLength(rest);
    const clauses = rest.slice(length).map(keyword);
    // The next number may be raised for the way back.
    const raises = clauses[0] === 'AUTO_INCREMENT' && clauses.slice(1).every((word) => word === '=' || /^\d+$/.test(word));
    if (this.#named(rest.slice(0, length)) !== null) return raises ? other : { kind: 'definition', table: named };
    // Another table, which can only become this one or give it its rows.
    return clauses.includes('RENAME') || clauses.includes('EXCHANGE') ? { kind: 'definition', table: named } : other;
  }

  /** The first table of the stream that these words name. */
  #named(words: readonly SqlWord[]): string | null {
    const found = new Set<string>();
    for (const [i, { text }] of words.entries()) {
      const name = text.toLowerCase();
      if (this.#folded.has(name) && words[i + 1]?.text !== '.' && this.#isOurs(words, i)) found.add(name);
    }
    return this.#tables.find((table) => found.has(table.toLowerCase())) ?? null;
  }

  /** Whether a name of a table is one of the stream's database. */
  #isOurs(words: readonly SqlWord[], at: number): boolean {
    const database = words[at - 1]?.text === '.' ? words[at - 2] : undefined;
    return database === undefined || beforeNames.has(keyword(database)) ? this.#isCurrent : same(database.text, this.#database);
  }
}

/** The words of a name with or without its database. */
const nameLength = (words: readonly SqlWord[]): number => (words[1]?.text === '.' ? 3 : 1);

const keyword = (word: SqlWord | undefined): string => (word === undefined || word.quoted ? '' : word.text.toUpperCase());

/** Some servers take names without regard to case. */
const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

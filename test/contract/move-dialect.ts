import { test } from '@jest/globals';

/** What one kind of store calls what the suites of fence and replication do by hand, and what it has that another has not. The suites themselves are the same for every kind. */
export interface MoveDialect {
  readonly name: string;
  /** What the store answers a rejected write and a rejected read with. */
  readonly codes: {
    readonly write: string;
    /** Of a write of a gateway to a store that lets it read. */
    readonly writeOfReader: string;
    /** Of a writer whose snapshot is older than the fence. */
    readonly oldSnapshot: string;
    readonly read: string;
  };
  /** One of Switchyard's own tables. */
  own(table: string): string;
  /** A subquery with the numbers 1 to `count` as `i`. */
  series(count: number): string;
  /** An expression: a text of 32 characters for each `i`. */
  readonly textOfI: string;
  /** An expression: a text of so many times another. */
  repeated(text: string, times: number): string;
  /** Two rows of `item`, named "all" and "none", with every type of the store in its extremes. */
  readonly everyType: string;
  /** A position that a log of the store could have. */
  readonly somePosition: string;
  /** Columns of `item` and `line` that the store numbers, in order. */
  readonly numbered: readonly (readonly [table: string, column: string])[];
  /** Begins a transaction that keeps the snapshot of its first read, also in its strictest form. */
  readonly beginSnapshot: readonly [usual: string, strictest: string];
  /** A statement that the store keeps parsed: SQL that makes it, and SQL that inserts the name with it. */
  readonly warmInsert: { readonly prepare: string | null; use(name: string): string };
  /** SQL of a transaction that stays open and has taken what `apply` takes of a stream's row. */
  holdStream(id: string, token: number, position: string): string;
  /** Removes everything of Switchyard's own from the store. */
  readonly dropOwn: string;
  /** Makes a prepared store one that the release before the records of requests has prepared. */
  readonly withoutRequests: string;
  /** Every write that the fence must reject; tables have rows. */
  readonly fencedWrites: readonly string[];
  /** SQL of an administrator that makes the tables `item` and `line` unmovable, what the checks say of it, SQL that undoes it. */
  readonly traps: readonly (readonly [trap: string, message: RegExp, undo: string])[];
  readonly has: {
    /** Logins whose rights the fence gives and takes. */
    readonly rights: boolean;
    /** Writers of one store at the same time. */
    readonly manyWriters: boolean;
    /** Transactions that wait, prepared, for somebody to commit them; and a view of everybody's transactions. */
    readonly preparedTransactions: boolean;
    /** A log that tells where each transaction ends. */
    readonly transactionsInLog: boolean;
    /** Updates that leave out large values that did not change. */
    readonly unchangedCells: boolean;
    readonly truncate: boolean;
    /** Unique keys beside the primary one, and checks of values. */
    readonly constraints: boolean;
    readonly autovacuum: boolean;
    /** A caller's own function makes what a record keeps, within the transaction; left out: it does. */
    readonly ownEncoding?: false;
    /** Connections of a gateway's own, with the name that it goes by; left out: it does. */
    readonly ownConnections?: false;
  };
}

/** `test`, or a skipped one that says why. */
export const testWhere = (condition: boolean, reason: string) => (name: string, body: () => Promise<void>) =>
  condition ? test(name, body) : test.skip(`${name} [not here: ${reason}]`, body);

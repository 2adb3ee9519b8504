import { type FenceRow, type FenceState, mayRead, mayWrite } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Connection } from './connection.ts';

/** The fence's own table: one row per managed table, kept for ever. */
export const FENCE_TABLE = 'switchyard_fence';

const installedText = `SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '${FENCE_TABLE}'`;
const stateText = `SELECT state FROM main.${FENCE_TABLE} WHERE table_name = ?`;
const rowText = `SELECT table_name, state, attempt, peer, workflow FROM main.${FENCE_TABLE} WHERE table_name = ?`;
const allText = `SELECT table_name, state, attempt, peer, workflow FROM main.${FENCE_TABLE} ORDER BY table_name COLLATE BINARY`;

/**
 * What one connection sees of the fence. Every call belongs into a transaction, the one whose reads it guards: then state and rows are of one snapshot, and a store that is prepared a moment later is looked at from its first snapshot on.
 */
export class ReadFence {
  readonly #connection: Connection;
  /** What was found at which version of the file's schema; every DDL of anybody changes the version. */
  #known: { readonly version: bigint; readonly installed: boolean } | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Whether the store was prepared: has the fence's table. */
  isInstalled(): boolean {
    // The version is read from the file's first page, as the transaction sees it; cheaper than looking for the table.
    const version = this.#connection.all('PRAGMA main.schema_version')[0]?.[0];
    if (this.#known !== null && this.#known.version === version) return this.#known.installed;
    const installed = this.#connection.all(installedText).length > 0;
    this.#known = typeof version === 'bigint' ? { version, installed } : null;
    return installed;
  }

  /** FENCED when one of the tables may not be read by gateways. */
  check(tables: readonly string[]): void {
    this.#check(tables, mayRead);
  }

  /**
   * FENCED when one of the tables may not be written by gateways. The triggers refuse whatever touches a row; this is for what would touch none: "no such row" is no answer of a store that others have gone on from.
   */
  checkWrite(tables: readonly string[]): void {
    this.#check(tables, mayWrite);
  }

  /** The fence rows of these tables, or of all; a table without one is left out. */
  rows(tables: readonly string[] | null): readonly FenceRow[] {
    if (!this.isInstalled()) return [];
    const found = tables === null ? this.#connection.all(allText) : tables.flatMap((table) => this.#connection.all(rowText, [table]));
    return found.map(([table, state, number, peer, workflow]) => ({
      table: String(table),
      state: String(state) as FenceState,
      attempt: attempt(Number(number)),
      peer: String(peer),
      workflow: workflow === null || workflow === undefined ? null : String(workflow),
    }));
  }

  #check(tables: readonly string[], may: (state: FenceState) => boolean): void {
    if (!this.isInstalled()) return;
    for (const table of tables) {
      const [row] = this.#connection.all(stateText, [table]);
      if (row !== undefined && !may(String(row[0]) as FenceState)) {
        throw new SwitchyardError('FENCED', `the fence of table "${table}" is ${String(row[0])}`, { metadata: { table } });
      }
    }
  }
}

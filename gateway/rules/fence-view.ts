import type { Clock } from '../../core/clock.ts';
import { type FenceRow, mayRead } from '../../core/fence.ts';
import { placeOf, type TableRef } from '../../core/routing-table.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import type { Logger } from '../../runtime/logger.ts';
import { FencedTable } from './fenced-table.ts';
import { SharedLookUps } from './shared-look-ups.ts';

/** Reads the fence rows of these tables in one keyspace's store, in one snapshot. */
export type FenceRowReader = (keyspace: string, tables: readonly string[], signal: AbortSignal) => Promise<readonly FenceRow[]>;

/** Tables that are looked up together, with the keyspaces to begin with; peers named by their rows are followed. */
export interface LookSubject {
  readonly tables: readonly string[];
  readonly keyspaces: readonly string[];
}

/** What one look has seen; what it has learned is in the fence view. */
export interface Look {
  /** Rows by place. */
  readonly rows: ReadonlyMap<string, FenceRow>;
  readonly answered: ReadonlySet<string>;
  readonly failed: ReadonlyMap<string, unknown>;
}

export interface FenceViewOptions {
  readonly read: FenceRowReader;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Longest look-up in one store. */
const lookUpLimitMs = 1_000;
/** Keyspaces that one look follows from peer to peer. */
const mostKeyspaces = 8;

/**
 * What the stores say about tables that are or were under a workflow: shared look-ups of fence rows and the memory of what they said. The rows beat the rules. A table that was never seen with a row is not in here: for it the rules
 * decide alone.
 */
export class FenceView {
  readonly #options: FenceViewOptions;
  readonly #lookUps: SharedLookUps<readonly FenceRow[]>;
  readonly #byPlace = new Map<string, FencedTable>();

  constructor(options: FenceViewOptions) {
    this.#options = options;
    this.#lookUps = new SharedLookUps(options.clock, lookUpLimitMs);
  }

  /** The memory of a table under any of its places; null for a table without fence rows. */
  find(ref: TableRef): FencedTable | null {
    if (this.#byPlace.size === 0) return null;
    for (const place of ref.places) {
      const found = this.#byPlace.get(place);
      if (found !== undefined) return found;
    }
    return null;
  }

  /** Whether the table has been seen with fence rows under this place. */
  has(place: string): boolean {
    return this.#byPlace.has(place);
  }

  /** Keyspace that serves a table: what its fence rows say, else what the rules say. A source that cannot fence has no rows: until the target's lead there, the rules decide. */
  homeOf(ref: TableRef): string {
    const home = this.find(ref)?.home;
    const movement = ref.rule?.movement;
    return home === undefined || (movement?.barrier === true && home !== movement.target) ? ref.keyspace : home;
  }

  /** What to look up for these tables: every end that rules or rows name. */
  subjectOf(refs: readonly TableRef[]): LookSubject {
    const tables = new Set<string>();
    const keyspaces = new Set<string>();
    for (const ref of refs) {
      tables.add(ref.table);
      keyspaces.add(ref.keyspace);
      for (const place of ref.places) keyspaces.add(place.slice(0, place.indexOf('.')));
      for (const keyspace of this.find(ref)?.keyspaces ?? []) keyspaces.add(keyspace);
    }
    return { tables: [...tables].sort(), keyspaces: [...keyspaces].sort() };
  }

  /**
   * Reads the rows in all the subject's keyspaces at once, learns from them and follows their peers. Ends as soon as every table has been seen where the purpose asks for it (`write`: OPEN and no higher attempt known; `read`: readable; `all`: never
   * early), else when every store has answered or failed, or after `limitMs` with what there is (a store in neither set is slow). A look-up that was sent before this call does not count, so that what a bounced call learns is
   * younger than its bounce. Rejects only with the signal's reason.
   */
  async look(subject: LookSubject, purpose: 'read' | 'write' | 'all', limitMs: number, signal: AbortSignal): Promise<Look> {
    signal.throwIfAborted();
    const rows = new Map<string, FenceRow>();
    const answered = new Set<string>();
    const failed = new Map<string, unknown>();
    const look: Look = { rows, answered, failed };
    const { promise, resolve, reject } = Promise.withResolvers<Look>();
    const asked = new Set<string>();
    let pending = 0;
    const onAbort = (): void => reject(signal.reason);
    const ask = (keyspace: string): void => {
      if (asked.has(keyspace) || asked.size >= mostKeyspaces) return;
      asked.add(keyspace);
      pending += 1;
      this.#readRows(keyspace, subject.tables).then(
        (seen) => {
          answered.add(keyspace);
          for (const row of seen) rows.set(placeOf(keyspace, row.table), row);
          for (const row of seen) ask(row.peer);
          settle();
        },
        (error: unknown) => {
          failed.set(keyspace, error);
          settle();
        },
      );
    };
    const settle = (): void => {
      pending -= 1;
      if (pending === 0 || (purpose !== 'all' && this.#isDecided(subject, rows, purpose))) resolve(look);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const cancel = this.#options.clock.after(limitMs, () => resolve(look));
    for (const keyspace of subject.keyspaces) ask(keyspace);
    if (pending === 0) resolve(look);
    try {
      return await promise;
    } finally {
      cancel();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Whether this look has seen, of every table, the row of the keyspace that calls go to now, and that it allows what is wanted. */
  #isDecided(subject: LookSubject, rows: ReadonlyMap<string, FenceRow>, purpose: 'read' | 'write'): boolean {
    return subject.tables.every((table) => {
      for (const keyspace of subject.keyspaces) {
        const fenced = this.#byPlace.get(placeOf(keyspace, table));
        const row = fenced === undefined ? undefined : rows.get(placeOf(fenced.home, table));
        if (fenced !== undefined && row !== undefined && (purpose === 'read' ? mayRead(row.state) : row.state === 'OPEN' && row.attempt >= fenced.attempt)) return true;
      }
      return false;
    });
  }

  async #readRows(keyspace: string, tables: readonly string[]): Promise<readonly FenceRow[]> {
    const { read, clock } = this.#options;
    return await this.#lookUps.run(`${keyspace} ${tables.join(' ')}`, async (signal) => {
      const lookedAt = clock.monotonic();
      const rows = await read(keyspace, tables, signal);
      this.#learn(keyspace, tables, rows, lookedAt);
      return rows;
    });
  }

  #learn(keyspace: string, tables: readonly string[], rows: readonly FenceRow[], lookedAt: number): void {
    for (const row of rows) {
      const fenced = this.#memoryOf(keyspace, row);
      const home = fenced.home;
      fenced.learn(keyspace, row, lookedAt);
      if (row.state === 'OPEN' && row.attempt < fenced.attempt && fenced.home !== keyspace) {
        this.#options.log.error(
          { table: row.table, keyspace, attempt: row.attempt, highest: fenced.attempt },
          'a store shows a table OPEN at a lower attempt than was seen elsewhere: it is not followed',
        );
      }
      if (fenced.home !== home)
        this.#options.log.info({ table: row.table, from: home, to: fenced.home, attempt: fenced.attempt }, 'the fence rows lead the table to another keyspace');
    }
    const present = new Set(rows.map((row) => row.table));
    for (const table of tables) {
      if (!present.has(table)) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);
    }
  }

  /** The memory that this row belongs to; two memories that the row joins become one. */
  #memoryOf(keyspace: string, row: FenceRow): FencedTable {
    const here = this.#byPlace.get(placeOf(keyspace, row.table));
    const there = this.#byPlace.get(placeOf(row.peer, row.table));
    const fenced = here ?? there ?? new FencedTable(row.table, keyspace);
    if (there !== undefined && there !== fenced) fenced.absorb(there);
    fenced.expect(row.peer);
    fenced.expect(keyspace);
    for (const end of fenced.keyspaces) this.#byPlace.set(placeOf(end, row.table), fenced);
    return fenced;
  }
}

/** Whether a failed look-up says that the store is away, rather than slow or broken. */
export const isAway = (error: unknown): boolean => hasReason(error, 'STORE_UNAVAILABLE', 'STORE_LOGIN_REFUSED', 'KEYSPACE_UNKNOWN', 'KEYSPACE_INVALID');

import { type FenceRow, mayRead } from '../../core/fence.ts';

/** A fence row as one look-up saw it. */
interface SeenRow {
  readonly row: FenceRow | null;
  /** When the look-up began, on the monotonic clock: a later look-up's row replaces it, an earlier one's does not. */
  readonly lookedAt: number;
}

/**
 * What a gateway remembers of one table that has fence rows: the newest row of each keyspace, the highest attempt ever seen in one, and where calls go. It never follows an OPEN row of a lower attempt than it
 * has seen: such a row is an old copy. Once a table is remembered here the rows decide where it is served; rules are only a reason to look.
 */
export class FencedTable {
  readonly table: string;
  readonly #seen = new Map<string, SeenRow>();
  #attempt = 0;
  #home: string;
  #group: string;

  constructor(table: string, home: string) {
    this.table = table;
    this.#home = home;
    this.#group = `table ${home}.${table}`;
  }

  /** Keyspace that calls go to: the OPEN one, or while there is none the one that can be read, or while a workflow claims the table the source that has no row yet. */
  get home(): string {
    return this.#home;
  }

  /** Highest attempt seen in any row. */
  get attempt(): number {
    return this.#attempt;
  }

  /** What the table is held together with: the workflow that owned its rows last, else itself. */
  get group(): string {
    return this.#group;
  }

  /** Keyspaces that hold or should hold a row. */
  get keyspaces(): readonly string[] {
    return [...this.#seen.keys()];
  }

  /** Newest row known of this keyspace; null when it was seen to have none, undefined when nobody has looked. */
  row(keyspace: string): FenceRow | null | undefined {
    return this.#seen.get(keyspace)?.row;
  }

  /** The row that makes its keyspace the place for writes; null while writes are refused everywhere as far as is known. */
  get openRow(): FenceRow | null {
    const row = this.#seen.get(this.#home)?.row;
    return row !== undefined && row !== null && row.state === 'OPEN' && row.attempt >= this.#attempt ? row : null;
  }

  /** Whether some end is known to answer reads. */
  get readable(): boolean {
    const row = this.#seen.get(this.#home)?.row;
    return row !== undefined && row !== null && mayRead(row.state);
  }

  /** Takes in what a look-up saw in one keyspace; null: no row there. */
  learn(keyspace: string, row: FenceRow | null, lookedAt: number): void {
    const known = this.#seen.get(keyspace);
    if (known !== undefined && known.lookedAt > lookedAt) return;
    if (known !== undefined && known.row !== null && (row === null || row.attempt < known.row.attempt)) return;
    this.#seen.set(keyspace, { row, lookedAt });
    if (row === null) return;
    this.#attempt = Math.max(this.#attempt, row.attempt);
    if (row.workflow !== null) this.#group = row.workflow;
    this.#home = this.#findHome();
  }

  /** Remembers a keyspace that a row names as its peer, before anybody has looked there. */
  expect(keyspace: string): void {
    if (!this.#seen.has(keyspace)) this.#seen.set(keyspace, { row: null, lookedAt: Number.NEGATIVE_INFINITY });
  }

  /** Joins what another memory of the same table knows. */
  absorb(other: FencedTable): void {
    for (const [keyspace, { row, lookedAt }] of other.#seen) {
      this.expect(keyspace);
      this.learn(keyspace, row, lookedAt);
    }
  }

  #findHome(): string {
    let readable: { keyspace: string; attempt: number } | null = null;
    for (const [keyspace, { row }] of this.#seen) {
      if (row === null) continue;
      if (row.state === 'OPEN' && row.attempt >= this.#attempt) return keyspace;
      if (mayRead(row.state) && row.state !== 'OPEN' && (readable === null || row.attempt > readable.attempt)) readable = { keyspace, attempt: row.attempt };
    }
    const here = this.#seen.get(this.#home)?.row;
    if (here !== undefined && here !== null && mayRead(here.state)) return this.#home;
    return readable?.keyspace ?? this.#besideTheClaim() ?? this.#home;
  }

  /**
   * A workflow claims its target first and its source after it. In between the target's row is CLOSED and the source, its peer, has none: calls go on there. A row once made is kept for ever, so that a peer without one has never been
   * under a workflow and serves the table as it always did; when it is claimed, its own fence stands in the way of whoever has not noticed.
   */
  #besideTheClaim(): string | null {
    for (const { row } of this.#seen.values()) if (row?.state === 'CLOSED' && this.#seen.get(row.peer)?.row === null) return row.peer;
    return null;
  }
}

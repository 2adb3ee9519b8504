/** What a write did; the number is its code in the record. */
export const writeKinds = ['add', 'insert', 'transaction'] as const;
export type WriteKind = (typeof writeKinds)[number];
/** Rows that a write of each kind writes: what is counted as writes a second. */
export const rowsOfWrite: readonly number[] = [1, 1, 4];

/** failed: whether it was done is unknown · refused: the answer said that it was not done and may be repeated. */
export const outcomes = ['pending', 'acknowledged', 'failed', 'refused'] as const;
export type Outcome = (typeof outcomes)[number];

/** Tables of which a read can see a row; counters are the first three. */
export const observedTables = ['pgbench_accounts', 'pgbench_tellers', 'pgbench_branches', 'pgbench_history'] as const;
export type ObservedTable = (typeof observedTables)[number];

/** Times everywhere are milliseconds since the epoch with a fraction, on the one clock of the clients' process. */
export interface WriteRow {
  /** Index into writeKinds. */
  readonly kind: number;
  readonly gateway: number;
  readonly scheduledMs: number;
  /** Taken right before the call was sent. */
  readonly issuedMs: number;
  /** Taken when the answer had come; 0 while pending. */
  readonly endedMs: number;
  /** Index into outcomes. */
  readonly outcome: number;
  readonly aid: number;
  readonly tid: number;
  readonly bid: number;
  /** Always positive: counters only grow. */
  readonly delta: number;
  /** Generated key of the history row as it was acknowledged; 0 where there is none. */
  readonly hid: number;
  /** How often it was sent. */
  readonly tries: number;
  /** Of those: answered with OUTCOME_UNKNOWN. */
  readonly unknown: number;
}

export interface ReadRow {
  readonly gateway: number;
  readonly scheduledMs: number;
  readonly issuedMs: number;
  readonly endedMs: number;
  readonly outcome: number;
  /** That were returned, or found missing. */
  readonly rows: number;
  /** How often it was sent. */
  readonly tries: number;
}

/** One row that a call returned. */
export interface Observation {
  /** Index into observedTables. */
  readonly table: number;
  readonly key: number;
  /** A counter's balance; for history the index of the write whose op_id the row bears, −1 where no row was found, −2 for a foreign op_id. */
  readonly value: number;
  readonly issuedMs: number;
  readonly endedMs: number;
}

export interface CallError {
  readonly call: 'read' | 'write';
  readonly index: number;
  readonly gateway: number;
  readonly endedMs: number;
  /** Reason of the answer's ErrorInfo, or the transport's own status. */
  readonly reason: string;
  readonly message: string;
}

/** One try of a call that failed, whatever became of the call. */
export interface FailedTry {
  readonly call: 'read' | 'write';
  readonly gateway: number;
  readonly issuedMs: number;
  readonly endedMs: number;
  readonly reason: string;
  readonly message: string;
}

/** A connection that was up and then was not. */
export interface Reconnect {
  readonly gateway: number;
  readonly atMs: number;
}

/** Rows as one typed array a field: ten million numbers are no burden. */
export type Columns<Row> = { readonly length: number } & { readonly [F in keyof Row]: Float64Array };

/** Everything that the clients know at the end. */
export interface LoadRecord {
  /** 22 hexadecimal digits that only the clients know; part of every op_id. */
  readonly secret: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly writes: Columns<WriteRow>;
  readonly reads: Columns<ReadRow>;
  readonly observations: Columns<Observation>;
  /** The first thousand. */
  readonly errors: readonly CallError[];
  readonly errorCount: number;
  /** Of calls that may be repeated: the first hundred thousand. */
  readonly failedTries: readonly FailedTry[];
  readonly reconnects: readonly Reconnect[];
}

export const writeFields = [
  'kind',
  'gateway',
  'scheduledMs',
  'issuedMs',
  'endedMs',
  'outcome',
  'aid',
  'tid',
  'bid',
  'delta',
  'hid',
  'tries',
  'unknown',
] as const satisfies readonly (keyof WriteRow)[];
export const readFields = ['gateway', 'scheduledMs', 'issuedMs', 'endedMs', 'outcome', 'rows', 'tries'] as const satisfies readonly (keyof ReadRow)[];
export const observationFields = ['table', 'key', 'value', 'issuedMs', 'endedMs'] as const satisfies readonly (keyof Observation)[];

/** Append-only columns that double their room when full. */
export class ColumnStore<Row extends { readonly [F in keyof Row]: number }> {
  readonly #fields: readonly (keyof Row & string)[];
  #columns: Record<keyof Row, Float64Array>;
  #length = 0;

  constructor(fields: readonly (keyof Row & string)[], room = 1024) {
    this.#fields = fields;
    this.#columns = Object.fromEntries(fields.map((field) => [field, new Float64Array(room)])) as Record<keyof Row, Float64Array>;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends a row and returns its index. */
  push(row: Row): number {
    const index = this.#length;
    const first = this.#columns[this.#fields[0] as keyof Row];
    if (index === first.length) this.#grow(index * 2);
    for (const field of this.#fields) this.#columns[field][index] = row[field];
    this.#length += 1;
    return index;
  }

  update(index: number, changed: Partial<Row>): void {
    for (const field of this.#fields) {
      const value = changed[field];
      if (value !== undefined) this.#columns[field][index] = value;
    }
  }

  get(field: keyof Row & string, index: number): number {
    return this.#columns[field][index] ?? Number.NaN;
  }

  /** The rows so far, cut to length; shares no memory with the store. */
  snapshot(): Columns<Row> {
    const columns = Object.fromEntries(this.#fields.map((field) => [field, this.#columns[field].slice(0, this.#length)]));
    return { length: this.#length, ...columns } as Columns<Row>;
  }

  #grow(room: number): void {
    for (const field of this.#fields) {
      const wider = new Float64Array(room);
      wider.set(this.#columns[field]);
      this.#columns[field] = wider;
    }
  }
}

/** The op_id of a write: a UUID that holds its index and the run's secret. */
export function opIdOf(secret: string, index: number): string {
  const text = index.toString(16).padStart(8, '0');
  return `${text}-${secret.slice(0, 4)}-4${secret.slice(4, 7)}-8${secret.slice(7, 10)}-${secret.slice(10, 22)}`;
}

/** Index of the write that made this op_id; −2 when none of this run did. */
export function indexOfOpId(secret: string, opId: string): number {
  const index = Number.parseInt(opId.slice(0, 8), 16);
  return opId === opIdOf(secret, index) ? index : -2;
}

/*
 * What clients did and were told, in the form in which the checker judges it. Rows are registers and counters, one key each; transactions append to lists and read them. Nothing in here is taken from the product: a history is
 * written down on the clients' side, on one clock.
 */

/** What a row holds, as clients see it: its value, or whatever else names its state, such as an etag. null: there is no such row. */
export type State = string | number | null;

/** An element of a list. No two appends to one key have the same. */
export type Element = string | number;

/**
 * ok: the answer came, and what it says is a claim to be judged · failed: the answer says that it was not done, and it tells nothing else · unknown: it may take effect at any instant from its invocation on, even after
 * everything else, or never.
 */
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface Call {
  /** Who called: only for people to read. */
  readonly process: string;
  /** When it was sent, in any unit: the times of one history are read from one clock that never goes back. */
  readonly invoked: number;
  /** When its answer came, or its caller gave up. Two operations are in order only where one was answered strictly before the other was invoked. */
  readonly responded: number;
  readonly outcome: Outcome;
}

export type RowAction =
  | { readonly kind: 'read'; readonly saw: State }
  | { readonly kind: 'write'; readonly value: State }
  /** Done whether or not there was a row. */
  | { readonly kind: 'delete' }
  /** A conditional write; an insert is one that expects null. Answered with ok it says whether its condition held; a failed one was turned away before its condition was looked at. */
  | { readonly kind: 'swap'; readonly expected: State; readonly value: State; readonly swapped?: boolean }
  /** By a whole number; sums stay below 2^53. A row that is not there counts as 0. `saw` is what the row held afterwards, where the answer tells. */
  | { readonly kind: 'increment'; readonly by: number; readonly saw?: number };

export type RowOperation = Call & { readonly key: string } & RowAction;

export type Step =
  | { readonly kind: 'append'; readonly key: string; readonly value: Element }
  /** `saw` is null where the answer did not come. */
  | { readonly kind: 'read'; readonly key: string; readonly saw: readonly Element[] | null };

/** Steps on lists that take effect at one instant; the product promises that within one keyspace. A mere read is a transaction of one step. */
export interface Transaction extends Call {
  readonly kind: 'transaction';
  readonly keyspace: string;
  readonly steps: readonly Step[];
}

export type Operation = RowOperation | Transaction;

/** Until when an operation may have taken effect. */
export function end(call: Call): number {
  return call.outcome === 'unknown' ? Number.POSITIVE_INFINITY : call.responded;
}

export function precedes(earlier: Call, later: Call): boolean {
  return end(earlier) < later.invoked;
}

function keep<T>(kept: Map<string, T[]>, place: string, operation: T): void {
  const there = kept.get(place);
  if (there === undefined) kept.set(place, [operation]);
  else there.push(operation);
}

/** Operations in any order, kept by what they touch: some hundred bytes each. */
export class History {
  readonly rows = new Map<string, RowOperation[]>();
  readonly transactions = new Map<string, Transaction[]>();
  readonly initial: (key: string) => State;
  #size = 0;
  #ended = Number.NEGATIVE_INFINITY;

  /** Rows hold `initial(key)` before the first operation, by default nothing; lists are empty. */
  constructor(initial: (key: string) => State = () => null) {
    this.initial = initial;
  }

  get size(): number {
    return this.#size;
  }

  /** Throws where the times make no sense: a NaN would be in order with nothing and hide what it touches. */
  add(operation: Operation): void {
    if (!(operation.invoked <= operation.responded)) throw new RangeError(`invoked at ${operation.invoked} and answered at ${operation.responded}`);
    if (operation.kind === 'transaction') keep(this.transactions, operation.keyspace, operation);
    else keep(this.rows, operation.key, operation);
    this.#size += 1;
    if (Number.isFinite(operation.responded)) this.#ended = Math.max(this.#ended, operation.responded);
  }

  /** The rows of a store once everything has ended, as reads of every key that it has or should have. A write of unknown outcome may still come after them. */
  addFinalRows(rows: ReadonlyMap<string, State>): void {
    const final = this.#afterwards();
    for (const key of new Set([...this.rows.keys(), ...rows.keys()])) this.add({ ...final, key, kind: 'read', saw: rows.get(key) ?? null });
  }

  /** The same for the lists of one keyspace. */
  addFinalLists(keyspace: string, lists: ReadonlyMap<string, readonly Element[]>): void {
    const touched = (this.transactions.get(keyspace) ?? []).flatMap(({ steps }) => steps.map(({ key }) => key));
    const final = this.#afterwards();
    for (const key of new Set([...touched, ...lists.keys()])) this.add({ ...final, keyspace, kind: 'transaction', steps: [{ kind: 'read', key, saw: lists.get(key) ?? [] }] });
  }

  #afterwards(): Call {
    const at = Number.isFinite(this.#ended) ? this.#ended + 1 : 0;
    return { process: 'store', invoked: at, responded: at, outcome: 'ok' };
  }
}

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Clock } from '../core/clock.ts';
import { attempt } from '../core/ids.ts';
import type { TableRef } from '../core/routing-table.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { type EventPlace, isBehind, type TableEvent, type TableEvents } from '../core/table-event.ts';
import { Change_Kind, type WatchRequest, type WatchResponseSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { rowEncoder } from './codec/encode.ts';
import type { TableHandle } from './codec/table-handle.ts';
import { decodeWatchToken, encodeWatchToken } from './codec/watch-token.ts';
import type { Call } from './flow/call.ts';
import type { FenceView } from './rules/fence-view.ts';
import type { Routing } from './rules/routing.ts';
import type { Schemas } from './schemas.ts';
import type { Stores } from './stores.ts';

export interface WatchParts {
  readonly routing: Routing;
  readonly fenceView: FenceView;
  readonly schemas: Schemas;
  readonly stores: Stores;
  readonly clock: Clock;
}

type Answer = MessageInitShape<typeof WatchResponseSchema>;
type Unreadable = NonNullable<TableEvents['unreadable']>;
type Found = Pick<TableEvent, 'kind' | 'before' | 'after' | 'changedAtMicros'> & EventPlace & { readonly handle: TableHandle };

/** Events of one answer, and what they come to: callers take messages of 4 MiB unless they are told otherwise. */
const most = 500;
const leastAtOnce = 10;
const answerBytes = 512 * 1_024;
const quickMs = 10;
const slowestMs = 100;
const lookLimitMs = 1_000;
const heartbeatMs = 10_000;

/** The table's changes, for as long as the caller takes them. */
export async function* watchTable(parts: WatchParts, call: Call, request: WatchRequest): AsyncGenerator<Answer> {
  if (request.table === '') throw new SwitchyardError('ARGUMENT_INVALID', 'table: missing; give "orders" or "keyspace.orders"');
  const watch = new TableWatch(parts, call, parts.routing.current().resolve(request.table), request.table);
  await watch.begin(request.token);
  yield watch.answer([]);
  let pauseMs = quickMs;
  for (let saidAt = parts.clock.monotonic(); ; ) {
    const found = await watch.next();
    if (found.length > 0 || parts.clock.monotonic() - saidAt >= heartbeatMs) {
      yield watch.answer(found);
      saidAt = parts.clock.monotonic();
    }
    pauseMs = found.length > 0 ? quickMs : Math.min(slowestMs, pauseMs * 1.5);
    if (!watch.hasMore) await parts.clock.sleep(pauseMs, call.signal).catch(() => call.signal.throwIfAborted());
  }
}

/**
 * One caller's way through the events of a table. All of them, in whichever store, are in order by attempt and number, for of one attempt only one store was ever open. As long as its own attempt is the table's, it reads the store that serves. When the fence rows are
 * further, it reads all stores that the table has been in, each to its end: those that serve no more were drained by the fence before the next one opened.
 */
class TableWatch {
  readonly #parts: WatchParts;
  readonly #call: Call;
  readonly #name: string;
  #ref: TableRef;
  #shape: TableHandle | null = null;
  /** Events to ask for: a store sends them all, also those that would be too many bytes. */
  #atOnce = most;
  /** Whether the last look left some out. */
  #hasMore = false;
  #place: EventPlace = { attempt: attempt(0), number: 0n };
  /** Of each store, the highest number that had been given when this attempt was first seen. */
  #ends: { readonly attempt: EventPlace['attempt']; readonly numbers: Map<string, bigint> } = { attempt: attempt(0), numbers: new Map() };

  constructor(parts: WatchParts, call: Call, ref: TableRef, name: string) {
    this.#parts = parts;
    this.#call = call;
    this.#ref = ref;
    this.#name = name;
  }

  get hasMore(): boolean {
    return this.#hasMore;
  }

  async begin(token: string): Promise<void> {
    const { home } = await this.#look();
    await this.#shapeIn(home.keyspace);
    await this.#requireWatched(home.keyspace);
    if (token !== '') this.#place = decodeWatchToken(this.#ref.table, token);
    else this.#place = { attempt: home.attempt, number: await this.#now(home.keyspace) };
  }

  answer(found: readonly Found[]): Answer {
    return {
      changes: found.map(({ kind, before, after, changedAtMicros, handle }) => {
        const encode = rowEncoder(handle);
        return {
          kind: kinds[kind],
          ...(before === null ? {} : { before: encode(before) }),
          ...(after === null ? {} : { after: encode(after) }),
          changedAtMicros,
        };
      }),
      token: encodeWatchToken(this.#ref.table, this.#place),
    };
  }

  /** The next changes, at most `most`; none where there are none yet. */
  async next(): Promise<readonly Found[]> {
    this.#hasMore = false;
    this.#ref = this.#parts.routing.current().resolve(this.#name);
    const home = this.#homeAsKnown();
    if (home !== null && home.attempt <= this.#place.attempt) {
      const { complete } = await this.#lineOf(home.keyspace);
      const { found, unreadable } = await this.#eventsOf(home.keyspace, complete);
      if (found.length === 0 && unreadable !== null) throw this.#stuck(unreadable);
      // Where nothing comes, the table may have moved: the rows tell, and what was remembered of them is looked at anew.
      if (found.length > 0 || this.#parts.fenceView.find(this.#ref) === null) return this.#take(found);
    }
    const looked = await this.#look();
    if (looked.home.attempt <= this.#place.attempt) return [];
    return this.#take(await this.#acrossStores(looked));
  }

  /** Events of all stores that the table has been in, up to the one that serves. */
  async #acrossStores({ home, keyspaces }: Looked): Promise<readonly Found[]> {
    await this.#requireWatched(home.keyspace);
    if (this.#ends.attempt !== home.attempt) this.#ends = { attempt: home.attempt, numbers: new Map() };
    const found: Found[] = [];
    /** The last events of stores that have left some out: behind them nothing may be told yet. */
    const bounds: EventPlace[] = [];
    const stuck: Unreadable[] = [];
    for (const keyspace of keyspaces) {
      const { complete, last } = await this.#lineOf(keyspace);
      // What was written before this attempt was drained by the fence, so that it has a number by now; until the line is there too, some of it may be missing.
      const end = this.#ends.numbers.get(keyspace) ?? last;
      this.#ends.numbers.set(keyspace, end);
      // The store that serves has changes of earlier attempts too, where the table was in it before.
      if (complete < end) return [];
      const { found: here, isCut, unreadable } = await this.#eventsOf(keyspace, complete);
      found.push(...here);
      if (unreadable !== null) stuck.push(unreadable);
      const newest = unreadable ?? here.at(-1);
      if (isCut && newest !== undefined) bounds.push(newest);
    }
    found.sort((a, b) => (isBehind(a, b) ? 1 : -1));
    const first = found.filter((event) => !bounds.some((bound) => isBehind(event, bound))).slice(0, most);
    const [nearest] = stuck.toSorted((a, b) => (isBehind(a, b) ? 1 : -1));
    if (first.length === 0 && nearest !== undefined) throw this.#stuck(nearest);
    // Nothing is left of the attempts before: from here on the store that serves is enough.
    if (first.length === 0) this.#place = { attempt: home.attempt, number: 0n };
    return first;
  }

  /** What a watch ends with at a change that cannot be told: the token behind it lets the caller go on, who knows then what is missing. */
  #stuck({ error, ...place }: Unreadable): SwitchyardError {
    const { table } = this.#ref;
    const message = `a change of table "${table}" holds a value that cannot be told: ${error.message}. Read the row, and go on behind the change with the token in the failure's metadata`;
    return new SwitchyardError('VALUE_UNSUPPORTED', message, { metadata: { ...error.metadata, table, token: encodeWatchToken(table, place) }, cause: error });
  }

  #take(found: readonly Found[]): readonly Found[] {
    const last = found.at(-1);
    if (last !== undefined) this.#place = { attempt: last.attempt, number: last.number };
    return found;
  }

  /** Where the table is served, as far as is remembered; null where no store is open just now. */
  #homeAsKnown(): Home | null {
    const fenced = this.#parts.fenceView.find(this.#ref);
    if (fenced === null) return { keyspace: this.#ref.keyspace, attempt: attempt(0) };
    const { openRow } = fenced;
    return openRow === null ? null : { keyspace: fenced.home, attempt: openRow.attempt };
  }

  /** Looks at the fence rows until a store is open. */
  async #look(): Promise<Looked> {
    const { fenceView, clock } = this.#parts;
    for (;;) {
      await fenceView.look(fenceView.subjectOf([this.#ref]), 'write', lookLimitMs, this.#call.signal);
      const home = this.#homeAsKnown();
      if (home !== null) return { home, keyspaces: [...new Set([...(fenceView.find(this.#ref)?.keyspaces ?? []), home.keyspace])] };
      await clock.sleep(quickMs, this.#call.signal).catch(() => this.#call.signal.throwIfAborted());
    }
  }

  async #requireWatched(keyspace: string): Promise<void> {
    const { table } = this.#ref;
    this.#parts.stores.lease(keyspace, 'watching')[Symbol.dispose]();
    if (await this.#parts.stores.use(keyspace, (store) => store.isWatched(table, this.#call.signal))) return;
    throw new SwitchyardError(
      'TABLE_NOT_WATCHED',
      `nobody writes down the changes of table "${table}" in keyspace "${keyspace}": switchyard keyspace watch ${keyspace} --tables ${table}`,
      {
        metadata: { table, keyspace },
      },
    );
  }

  #lineOf(keyspace: string) {
    return this.#parts.stores.use(keyspace, (store) => store.eventLine(this.#call.signal));
  }

  /** Up to where everything is there that was given a number before now. */
  async #now(keyspace: string): Promise<bigint> {
    const { last } = await this.#lineOf(keyspace);
    for (;;) {
      const { complete } = await this.#lineOf(keyspace);
      if (complete >= last) return complete;
      await this.#parts.clock.sleep(quickMs, this.#call.signal).catch(() => this.#call.signal.throwIfAborted());
    }
  }

  async #eventsOf(keyspace: string, until: bigint): Promise<{ readonly found: readonly Found[]; readonly isCut: boolean; readonly unreadable: Unreadable | null }> {
    const { stores } = this.#parts;
    const { signal } = this.#call;
    const handle = await this.#shapeIn(keyspace);
    const limit = this.#atOnce;
    const { events, cut, unreadable } = await stores.use(keyspace, (store) => store.events(handle.schema, this.#place, until, limit, answerBytes, signal));
    const isCut = cut || events.length === limit;
    this.#hasMore ||= isCut;
    this.#atOnce = Math.min(most, Math.max(leastAtOnce, isCut ? 2 * events.length : this.#atOnce));
    return { found: events.map((event) => ({ ...event, handle })), isCut, unreadable };
  }

  /** Of the table in a store. A workflow that has ended drops it where it is served no more, but not its events: they have the shape that was last seen elsewhere. */
  async #shapeIn(keyspace: string): Promise<TableHandle> {
    try {
      this.#shape = await this.#parts.schemas.get(keyspace, this.#ref.table, this.#call.signal);
    } catch (error) {
      if (this.#shape === null || !hasReason(error, 'TABLE_UNKNOWN')) throw error;
    }
    return this.#shape;
  }
}

interface Home {
  readonly keyspace: string;
  readonly attempt: EventPlace['attempt'];
}
interface Looked {
  readonly home: Home;
  /** All that the table is or was in. */
  readonly keyspaces: readonly string[];
}

const kinds: Readonly<Record<TableEvent['kind'], Change_Kind>> = {
  insert: Change_Kind.INSERT,
  update: Change_Kind.UPDATE,
  delete: Change_Kind.DELETE,
  truncate: Change_Kind.TRUNCATE,
};

import { closestName, didYouMean } from '../core/closest-name.ts';
import type { Clock } from '../core/clock.ts';
import { placeOf } from '../core/routing-table.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Logger } from '../runtime/logger.ts';
import { type TableHandle, tableHandle } from './codec/table-handle.ts';
import type { Stores } from './stores.ts';

interface Cached {
  readonly handle: TableHandle;
  loadedAt: number;
}

const loadLimitMs = 5_000;
/** A shape older than this is read again in the background when it is used: the store is not asked to tell of its DDL. */
const staleAfterMs = 30_000;
/** A shape younger than this is not read again because of one caller's error. */
const youngForMs = 1_000;
/** Names that a wrong one is compared with. */
const mostCompared = 1_000;

/** Shapes of tables by keyspace: loaded once however many ask, read again after an error that a changed shape explains. A handle keeps its identity for as long as the shape does not change. */
export class Schemas {
  readonly #stores: Stores;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #cached = new Map<string, Cached>();
  readonly #loading = new Map<string, Promise<TableHandle>>();

  constructor(stores: Stores, clock: Clock, log: Logger) {
    this.#stores = stores;
    this.#clock = clock;
    this.#log = log;
  }

  /** The shape without waiting; null when it is not loaded yet. */
  peek(keyspace: string, table: string): TableHandle | null {
    const cached = this.#cached.get(placeOf(keyspace, table));
    if (cached === undefined) return null;
    if (this.#clock.monotonic() - cached.loadedAt > staleAfterMs) this.#refreshInBackground(keyspace, table, cached);
    return cached.handle;
  }

  isLoaded(keyspace: string, table: string): boolean {
    return this.#cached.has(placeOf(keyspace, table));
  }

  /** The shape, loaded if need be. TABLE_UNKNOWN, TABLE_UNSUPPORTED, or why the store does not answer. */
  async get(keyspace: string, table: string, signal: AbortSignal): Promise<TableHandle> {
    return this.peek(keyspace, table) ?? (await untilAborted(this.#load(keyspace, table), signal));
  }

  /** Reads the shape again, unless that was done within the last second. Returns the shape known then; the same handle when nothing changed. */
  async refresh(keyspace: string, table: string, signal: AbortSignal): Promise<TableHandle> {
    const cached = this.#cached.get(placeOf(keyspace, table));
    if (cached !== undefined && this.#clock.monotonic() - cached.loadedAt < youngForMs) return cached.handle;
    return await untilAborted(this.#load(keyspace, table), signal);
  }

  #refreshInBackground(keyspace: string, table: string, cached: Cached): void {
    cached.loadedAt = this.#clock.monotonic(); // one attempt, whatever comes of it; the next is due when that is stale again
    this.#load(keyspace, table).catch((error: unknown) => this.#log.warn({ keyspace, table, err: error }, 'the shape of a table could not be read again'));
  }

  /** With the name that may have been meant, where the store tells its tables. */
  async #unknown(keyspace: string, table: string, signal: AbortSignal): Promise<SwitchyardError> {
    const names = await this.#stores.use(keyspace, (store) => store.listTables(signal)).catch(() => []);
    const closest = closestName(table, names.slice(0, mostCompared));
    return new SwitchyardError('TABLE_UNKNOWN', `keyspace "${keyspace}" has no table "${table}"${didYouMean(closest)}`, {
      metadata: { table, keyspace, ...(closest === null ? {} : { closest }) },
    });
  }

  #load(keyspace: string, table: string): Promise<TableHandle> {
    const place = placeOf(keyspace, table);
    const loading = this.#loading.get(place);
    if (loading !== undefined) return loading;
    const load = this.#describe(keyspace, table).finally(() => this.#loading.delete(place));
    this.#loading.set(place, load);
    return load;
  }

  async #describe(keyspace: string, table: string): Promise<TableHandle> {
    const place = placeOf(keyspace, table);
    const controller = new AbortController();
    const cancel = this.#clock.after(loadLimitMs, () =>
      controller.abort(new SwitchyardError('STORE_UNAVAILABLE', `the store of keyspace "${keyspace}" did not describe table "${table}" within ${loadLimitMs} ms`)),
    );
    try {
      const schema = await this.#stores.use(keyspace, (store) => store.describe(table, controller.signal));
      if (schema === null) {
        this.#cached.delete(place);
        throw await this.#unknown(keyspace, table, controller.signal);
      }
      const cached = this.#cached.get(place);
      const handle = cached !== undefined && cached.handle.schema.fingerprint === schema.fingerprint ? cached.handle : tableHandle(keyspace, schema);
      if (cached !== undefined && cached.handle !== handle) this.#log.info({ keyspace, table }, 'the shape of a table has changed');
      this.#cached.set(place, { handle, loadedAt: this.#clock.monotonic() });
      return handle;
    } finally {
      cancel();
    }
  }
}

/** Waits for something shared, but no longer than the caller does. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {}); // a failure that nobody waits for any more must not end the process
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

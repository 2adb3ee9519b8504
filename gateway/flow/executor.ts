import type { DataStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { WriteOperation } from '../../core/operation.ts';
import type { TableRef } from '../../core/routing-table.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { TableHandle } from '../codec/table-handle.ts';
import type { FenceView } from '../rules/fence-view.ts';
import type { Routing } from '../rules/routing.ts';
import type { Schemas } from '../schemas.ts';
import type { Stores } from '../stores.ts';
import type { Barrier } from './barrier.ts';
import { type Bounce, Bounces, isBounce } from './bounces.ts';
import type { Ticket, WriteBuffer } from './buffer.ts';
import type { Call } from './call.ts';
import type { Holds } from './hold.ts';
import type { InFlight } from './in-flight.ts';
import { Repetition } from './repetition.ts';

export interface ExecutorOptions {
  readonly routing: Routing;
  readonly fenceView: FenceView;
  readonly holds: Holds;
  readonly buffer: WriteBuffer;
  readonly schemas: Schemas;
  readonly stores: Stores;
  readonly inFlight: InFlight;
  readonly barrier: Barrier;
  readonly clock: Clock;
  /** Told of every rejection by a fence. */
  readonly onFenced: (key: string, operation: 'read' | 'write') => void;
}

/** Writes validated against the shapes of the keyspace that serves their tables. */
export interface PreparedWrites {
  readonly schemas: ReadonlyMap<string, TableSchema>;
  readonly operations: readonly WriteOperation[];
  /** Text of every primary key written, each with its table; asked for only when something is held. */
  readonly orderKeys: () => readonly string[];
  /** Memory that the writes take, roughly; asked for only when they are held. */
  readonly bytes: () => number;
}

/** Turns the caller's writes into operations on tables of these shapes; called again when the route leads to another shape. */
export type PrepareWrites = (handles: ReadonlyMap<string, TableHandle>, refs: ReadonlyMap<string, TableRef>) => PreparedWrites;

/** Where a write goes; both by the names that the caller gave. */
export interface WritePlace {
  readonly refs: ReadonlyMap<string, TableRef>;
  readonly handles: ReadonlyMap<string, TableHandle>;
}

/** Writes to tables of one keyspace, all or none. */
export interface WriteCall<T> {
  /** Of the tables, as the caller gave them. */
  readonly names: readonly string[];
  readonly prepare: PrepareWrites;
  /** Hands the writes to the store; called again, elsewhere or with another shape, after a failure that says that nothing was applied. */
  readonly send: (store: DataStore, prepared: PreparedWrites, place: WritePlace) => Promise<T>;
  /** Whether `send` may be called again also when nobody knows whether the writes were applied. */
  readonly repeatable: boolean;
}

interface Plan {
  readonly handles: ReadonlyMap<string, TableHandle>;
  readonly prepared: PreparedWrites;
}

interface WriteRoute {
  readonly version: number;
  readonly refs: ReadonlyMap<string, TableRef>;
  readonly list: readonly TableRef[];
  readonly keyspace: string;
}

/** Errors with which a store says that the table has another shape than was thought; definitely not applied. */
const isShapeError = (error: unknown): boolean => hasReason(error, 'COLUMN_UNKNOWN', 'TABLE_UNKNOWN', 'SCHEMA_CHANGED');

/**
 * Brings one call to the store that serves its tables: takes the current routing table, finds the route, lets a held write wait and then looks the route up again, counts the call under the version that routed it, and calls the store. A bounce, by a
 * fence or off a store that has no such table, means that nothing was applied: the fence rows tell where to go, and the call goes there, a write through the buffer. Reads never wait for a hold. Everything is bounded by the call's signal.
 */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #bounces: Bounces;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#bounces = new Bounces(options);
  }

  /** Runs a read of one table where it is served. `run` may be called again, elsewhere or with another shape; it must only read. */
  async read<T>(call: Call, name: string, run: (store: DataStore, handle: TableHandle, ref: TableRef) => Promise<T>): Promise<T> {
    const { routing, fenceView, stores, inFlight, barrier, clock, onFenced } = this.#options;
    let last: Bounce | null = null;
    let reshaped = false;
    let barredSince: number | null = null;
    for (;;) {
      call.signal.throwIfAborted();
      const table = routing.current();
      const ref = table.resolve(name);
      const keyspace = fenceView.homeOf(ref);
      let handle: TableHandle | null = null;
      inFlight.enter(table.version);
      try {
        handle = this.#options.schemas.peek(keyspace, ref.table) ?? (await this.#options.schemas.get(keyspace, ref.table, call.signal));
        const shape = handle;
        if (barrier.bars(ref, keyspace)) {
          barredSince ??= clock.monotonic();
          await barrier.pause(ref, barredSince, call.signal);
          continue;
        }
        return await stores.use(keyspace, (store) => run(store, shape, ref));
      } catch (error) {
        const failure: unknown = reshaped || handle === null ? error : await this.#withNewShapes(error, [handle], call.signal);
        reshaped = failure === null;
        if (failure === null) continue;
        if (!isBounce(failure)) throw failure;
        if (failure.reason === 'FENCED') onFenced(ref.key, 'read');
        last = await this.#bounces.read(call.signal, ref, keyspace, last, failure);
      } finally {
        inFlight.leave(table.version);
      }
    }
  }

  /** Brings writes to the store that serves their tables; those that are repeatable as often as it takes to know what has become of them. */
  async write<T>(call: Call, writes: WriteCall<T>): Promise<T> {
    if (!writes.repeatable) return await this.#writeNow(call, writes);
    const repetition = new Repetition(this.#options.clock);
    const send: WriteCall<T>['send'] = (store, prepared, place) => repetition.judged(writes.send(store, prepared, place));
    return await repetition.run(call, () => this.#writeNow(call, { ...writes, send }));
  }

  async #writeNow<T>(call: Call, { names, prepare, send }: WriteCall<T>): Promise<T> {
    let ticket: Ticket | null = null;
    let plan: Plan | null = null;
    let last: Bounce | null = null;
    let reshaped = false;
    let barredSince: number | null = null;
    const { barrier, clock } = this.#options;
    try {
      for (;;) {
        const route = await this.#routeWrite(call, names);
        let handles: ReadonlyMap<string, TableHandle> | null = null;
        try {
          handles = await this.#shapesOf(route, call.signal);
          const place = { refs: route.refs, handles };
          if (plan === null || !sameShapes(plan.handles, handles)) plan = { handles, prepared: prepared(call, place, prepare) };
          const waitFor = this.#mustWaitFor(route, plan.prepared, ticket);
          if (waitFor !== null) {
            ticket = await this.#wait(call, waitFor, route, plan.prepared, ticket);
            continue;
          }
          // The look at what is held was one by the names of that version.
          if (barrier.isBehind(route.keyspace, route.version)) continue;
          const barred = route.list.find((ref) => barrier.bars(ref, route.keyspace));
          if (barred !== undefined) {
            barredSince ??= clock.monotonic();
            await barrier.pause(barred, barredSince, call.signal);
            continue;
          }
          return await this.#send(call, route, plan.prepared, place, send);
        } catch (error) {
          const failure: unknown = reshaped || handles === null ? error : await this.#withNewShapes(error, [...handles.values()], call.signal);
          reshaped = failure === null;
          if (failure === null) continue;
          if (!isBounce(failure)) throw failure;
          if (failure.reason === 'FENCED') for (const ref of route.list) this.#options.onFenced(ref.key, 'write');
          last = await this.#bounces.write(call.signal, route.list, route.keyspace, last, failure);
        }
      }
    } finally {
      ticket?.done();
    }
  }

  /** Validates writes as `write` would, without sending them. */
  async validate(call: Call, { names, prepare }: Pick<WriteCall<unknown>, 'names' | 'prepare'>): Promise<void> {
    let handles: ReadonlyMap<string, TableHandle> = new Map();
    const check = async (): Promise<void> => {
      const route = await this.#routeWrite(call, names);
      handles = await this.#shapesOf(route, call.signal);
      prepare(handles, route.refs);
    };
    try {
      await check();
    } catch (error) {
      const failure = await this.#withNewShapes(error, [...handles.values()], call.signal);
      if (failure !== null) await this.#lookForTables(call.signal, names, failure);
      await check();
    }
  }

  /** A table's shape where it is served, as far as the gateway knows: read from the store only where it has not been yet. */
  async shape({ signal }: Pick<Call, 'signal'>, name: string): Promise<TableHandle> {
    return await this.#whereServed(signal, name, (keyspace, table) => this.#options.schemas.get(keyspace, table, signal));
  }

  /** A table's shape where it is served, read from the store. */
  async describe({ signal }: Pick<Call, 'signal'>, name: string): Promise<TableHandle> {
    return await this.#whereServed(signal, name, (keyspace, table) => this.#options.schemas.refresh(keyspace, table, signal));
  }

  async #whereServed(signal: AbortSignal, name: string, load: (keyspace: string, table: string) => Promise<TableHandle>): Promise<TableHandle> {
    const { routing, fenceView } = this.#options;
    const loaded = (): Promise<TableHandle> => {
      const ref = routing.current().resolve(name);
      return load(fenceView.homeOf(ref), ref.table);
    };
    try {
      return await loaded();
    } catch (error) {
      await this.#lookForTables(signal, [name], error);
      return await loaded();
    }
  }

  /** Throws `error` unless it says that a store lacks a table, and the fence rows lead elsewhere. */
  async #lookForTables(signal: AbortSignal, names: readonly string[], error: unknown): Promise<void> {
    if (!hasReason(error, 'TABLE_UNKNOWN')) throw error;
    const { routing, fenceView } = this.#options;
    const refs = names.map((name) => routing.current().resolve(name));
    const homes = (): string => refs.map((ref) => fenceView.homeOf(ref)).join(' ');
    const before = homes();
    await this.#bounces.lookAgain(signal, refs);
    if (homes() === before) throw error;
  }

  async #routeWrite(call: Call, names: readonly string[]): Promise<WriteRoute> {
    const { routing } = this.#options;
    call.signal.throwIfAborted();
    const table = routing.current();
    const refs = new Map(names.map((name) => [name, table.resolve(name)]));
    const list = [...refs.values()];
    const keyspace = this.#commonHome(list) ?? (await this.#commonHomeNow(call, list));
    return { version: table.version, refs, list, keyspace };
  }

  async #shapesOf({ refs, keyspace }: WriteRoute, signal: AbortSignal): Promise<ReadonlyMap<string, TableHandle>> {
    const { schemas } = this.#options;
    const handles = new Map<string, TableHandle>();
    for (const [name, ref] of refs) handles.set(name, schemas.peek(keyspace, ref.table) ?? (await schemas.get(keyspace, ref.table, signal)));
    return handles;
  }

  #commonHome(refs: readonly TableRef[]): string | null {
    const { fenceView } = this.#options;
    let common: string | null = null;
    for (const ref of refs) {
      const home = fenceView.homeOf(ref);
      if (common !== null && home !== common) return null;
      common = home;
    }
    return common;
  }

  /** What is remembered may be older for one table than for another: asks the stores before it says that tables are apart. */
  async #commonHomeNow(call: Call, refs: readonly TableRef[]): Promise<string> {
    const { fenceView } = this.#options;
    await this.#bounces.lookAgain(call.signal, refs);
    const common = this.#commonHome(refs);
    if (common !== null) return common;
    const where = refs.map((ref) => `${ref.key} in ${fenceView.homeOf(ref)}`).join(', ');
    throw new SwitchyardError('TABLES_NOT_TOGETHER', `one Mutate can only write tables of one keyspace; just now these are served apart: ${where}`);
  }

  /** Group that the write has to wait for; null: it may go. */
  #mustWaitFor(route: WriteRoute, prepared: PreparedWrites, ticket: Ticket | null): string | null {
    const { holds, buffer } = this.#options;
    for (const ref of route.list) {
      const group = this.#bounces.groupOf(ref);
      if (group !== null && holds.isHeld(group)) return group;
    }
    return ticket === null && buffer.hasKeys ? buffer.isQueued(prepared.orderKeys()) : null;
  }

  async #wait(call: Call, group: string, route: WriteRoute, prepared: PreparedWrites, ticket: Ticket | null): Promise<Ticket> {
    const { buffer, holds, clock } = this.#options;
    const since = clock.monotonic();
    const hold = route.list.find((ref) => ref.rule?.hold !== undefined)?.rule?.hold ?? null;
    const { signal, deadline } = call;
    const write = { group, keys: prepared.orderKeys(), deadline, bytes: prepared.bytes(), signal };
    try {
      if (ticket === null) return await this.#watched(group, buffer.admit(write, holds.expectedMs(group)));
      await this.#watched(group, ticket.again(group));
      return ticket;
    } finally {
      call.onHeld(clock.monotonic() - since, hold);
    }
  }

  /** An entry waits now: somebody has to look at the rows. */
  #watched<T>(group: string, waiting: Promise<T>): Promise<T> {
    this.#options.holds.watch(group);
    return waiting;
  }

  async #send<T>(call: Call, route: WriteRoute, prepared: PreparedWrites, place: WritePlace, send: WriteCall<T>['send']): Promise<T> {
    const { inFlight, stores, barrier } = this.#options;
    call.signal.throwIfAborted();
    inFlight.enter(route.version);
    try {
      return await barrier.send(route.keyspace, route.version, () => stores.use(route.keyspace, (store) => send(store, prepared, place)));
    } finally {
      inFlight.leave(route.version);
    }
  }

  /** Null: one of the tables has another shape by now, with which to try again. Else the failure that counts. */
  async #withNewShapes(error: unknown, handles: readonly TableHandle[], signal: AbortSignal): Promise<unknown> {
    if (!isShapeError(error)) return error;
    const { schemas } = this.#options;
    try {
      const changed = await Promise.all([...new Set(handles)].map(async (handle) => (await schemas.refresh(handle.keyspace, handle.schema.name, signal)) !== handle));
      return changed.includes(true) ? null : error;
    } catch (failure) {
      return failure;
    }
  }
}

function prepared(call: Call, { handles, refs }: WritePlace, prepare: PrepareWrites): PreparedWrites {
  try {
    return prepare(handles, refs);
  } catch (error) {
    call.onUnfit(error);
    throw error;
  }
}

function sameShapes(a: ReadonlyMap<string, TableHandle>, b: ReadonlyMap<string, TableHandle>): boolean {
  for (const [name, handle] of a) if (b.get(name) !== handle) return false;
  return true;
}

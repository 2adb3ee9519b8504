import type { Clock } from '../core/clock.ts';
import { placeOf, type TableRef } from '../core/routing-table.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { TableSchema } from '../core/table-schema.ts';
import type { Logger } from '../runtime/logger.ts';
import type { FenceView } from './rules/fence-view.ts';
import type { Routing } from './rules/routing.ts';
import type { Schemas } from './schemas.ts';
import type { Stores } from './stores.ts';

export interface WarmUpOptions {
  readonly routing: Routing;
  readonly schemas: Schemas;
  readonly stores: Stores;
  readonly fenceView: FenceView;
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections to keep ready in each keyspace. */
  readonly connections: number;
}

const everyMs = 3_000;
const roundLimitMs = 2_500;

/** Keeps both ends of every table under a workflow ready: connections, shapes, statements and fence rows, from the first sight of the workflow and every few seconds, so that the first call after a switch is no slower than the others. */
export class WarmUp {
  readonly #options: WarmUpOptions;
  readonly #stop = new AbortController();
  #now = Promise.withResolvers<void>();
  #seen = '';

  constructor(options: WarmUpOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#run();
  }

  /** The rules have changed: begins at once where they name new movements. */
  rulesApplied(): void {
    const seen = JSON.stringify([...this.#ends()].map(([keyspace, refs]) => [keyspace, refs.map((ref) => ref.table)]));
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#now.resolve();
  }

  close(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { clock, log, stores } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await stores.retryBroken();
        await this.#round();
        const sleep = clock.sleep(everyMs, signal);
        await Promise.race([sleep, this.#now.promise]);
        sleep.catch(() => null); // lost the race; it rejects when the gateway ends
        this.#now = Promise.withResolvers();
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error }, 'warming up failed');
      }
    }
  }

  async #round(): Promise<void> {
    const { fenceView, clock } = this.#options;
    const ends = this.#ends();
    if (ends.size === 0) return;
    const limit = new AbortController();
    const cancel = clock.after(roundLimitMs, () => limit.abort(new SwitchyardError('STORE_UNAVAILABLE', `warming up took longer than ${roundLimitMs} ms`)));
    const signal = AbortSignal.any([limit.signal, this.#stop.signal]);
    try {
      const refs = [...new Set([...ends.values()].flat())];
      const look = fenceView.look(fenceView.subjectOf(refs), 'all', roundLimitMs, signal);
      await Promise.all([look, ...[...ends].map(([keyspace, tables]) => this.#warm(keyspace, tables, signal))]);
    } finally {
      cancel();
    }
  }

  async #warm(keyspace: string, refs: readonly TableRef[], signal: AbortSignal): Promise<void> {
    const { schemas, stores, connections, log } = this.#options;
    try {
      const shapes = await Promise.all(refs.map((ref) => this.#shapeOf(keyspace, ref, schemas, signal)));
      const tables = shapes.filter((shape) => shape !== null);
      if (tables.length > 0) await stores.use(keyspace, (store) => store.warmUp(tables, connections, signal));
    } catch (error) {
      if (!this.#stop.signal.aborted) log.warn({ keyspace, err: error }, 'a keyspace could not be warmed up');
    }
  }

  async #shapeOf(keyspace: string, ref: TableRef, schemas: Schemas, signal: AbortSignal): Promise<TableSchema | null> {
    try {
      return (await schemas.get(keyspace, ref.table, signal)).schema;
    } catch (error) {
      if (hasReason(error, 'TABLE_UNKNOWN')) return null; // a target's table does not exist before its workflow makes it
      throw error;
    }
  }

  /** Tables under a workflow by keyspace, both ends. */
  #ends(): ReadonlyMap<string, readonly TableRef[]> {
    const ends = new Map<string, TableRef[]>();
    for (const ref of this.#options.routing.table?.refs() ?? []) {
      const movement = ref.rule?.movement;
      if (movement === undefined) continue;
      for (const keyspace of [movement.source, movement.target]) {
        const tables = ends.get(keyspace);
        if (tables === undefined) ends.set(keyspace, [ref]);
        else if (!tables.some((other) => placeOf(keyspace, other.table) === placeOf(keyspace, ref.table))) tables.push(ref);
      }
    }
    return ends;
  }
}

import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import { buildRoutingTable, type RoutingTable, type TableRef } from '../../../core/routing-table.ts';
import { rulesDocumentSchema } from '../../../core/rules-document.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { Bounces } from '../../../gateway/flow/bounces.ts';
import { WriteBuffer } from '../../../gateway/flow/buffer.ts';
import { type HoldEnd, Holds } from '../../../gateway/flow/hold.ts';
import { FenceView } from '../../../gateway/rules/fence-view.ts';
import { Routing } from '../../../gateway/rules/routing.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { HandClock } from './hand-clock.ts';

export const never = new AbortController().signal;
export const away = new SwitchyardError('STORE_UNAVAILABLE', 'away');
export const keyspaces: ReadonlySet<string> = new Set(['old', 'new', 'third']);
export const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' };

/** A fence row of workflow "move". */
export const row = (table: string, state: FenceState, at: number, peer: string, workflow: string | null = 'move'): FenceRow => ({
  table,
  state,
  attempt: attempt(at),
  peer,
  workflow,
});

/** Rules as a gateway routes by them. */
export function routingOf(version: number, rest: object, previous: RoutingTable | null = null): RoutingTable {
  const document = rulesDocumentSchema.parse({ version, nonce: 'n', changedBy: 't', changedAt: 'now', defaultKeyspace: 'old', ...rest });
  const { routing } = buildRoutingTable(document, keyspaces, previous);
  if (routing === null) throw new Error('the rules are refused');
  return routing;
}

/** What stores answer when they are asked for fence rows, by keyspace: rows, an error, or nothing at all. */
export type StoreAnswers = Record<string, readonly FenceRow[] | Error | 'silent'>;

/** The parts of a gateway that decide where calls go and what waits, over stores that are played. */
export class GatewayRig {
  readonly clock = new HandClock();
  readonly stores: StoreAnswers = { old: [], new: [], third: [] };
  readonly asked: string[] = [];
  readonly ended: { readonly group: string; readonly heldMs: number; readonly how: HoldEnd }[] = [];
  readonly routing = new Routing();
  readonly buffer: WriteBuffer;
  readonly fenceView: FenceView;
  readonly holds: Holds;
  readonly bounces: Bounces;

  constructor(rules: object = { tables: { orders: { primary: 'old', movement }, lines: { primary: 'old', movement }, loose: { primary: 'third' } } }) {
    const log = createLogger('test', 'silent');
    const { clock, routing } = this;
    this.buffer = new WriteBuffer({ clock, maxEntries: 10, maxBytes: 1_000, windowMs: 5_000, drainConcurrency: 2 });
    this.fenceView = new FenceView({ read: (keyspace, tables) => this.#read(keyspace, tables), clock, log });
    const onEnd = (group: string, heldMs: number, how: HoldEnd): number => this.ended.push({ group, heldMs, how });
    this.holds = new Holds({ clock, log, fenceView: this.fenceView, buffer: this.buffer, tablesOf: (group) => routing.tablesOf(group), onBegin: () => {}, onEnd });
    this.bounces = new Bounces({ routing, fenceView: this.fenceView, holds: this.holds, clock });
    routing.swap(routingOf(1, rules));
  }

  ref(name: string): TableRef {
    return this.routing.current().resolve(name);
  }

  /** A look at everything that is known of these tables. */
  async look(...names: readonly string[]): Promise<void> {
    await this.fenceView.look(this.fenceView.subjectOf(names.map((name) => this.ref(name))), 'all', 100, never);
  }

  #read(keyspace: string, tables: readonly string[]): Promise<readonly FenceRow[]> {
    this.asked.push(keyspace);
    const answer = this.stores[keyspace];
    if (answer === 'silent') return new Promise(() => {});
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve((answer ?? []).filter(({ table }) => tables.includes(table)));
  }
}

import type { Clock } from '../../core/clock.ts';
import type { TableRef } from '../../core/routing-table.ts';
import type { RulesDocument, TableRule } from '../../core/rules-document.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Topology } from '../../topo/topology.ts';
import type { Routing } from '../rules/routing.ts';
import { InFlight } from './in-flight.ts';

export interface BarrierOptions {
  readonly topology: Topology;
  readonly routing: Routing;
  /** Which keyspaces are foreign services, whose stores cannot fence. */
  readonly stores: { isForeign(keyspace: string): boolean; hasForeign(): boolean };
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a service may still do a write whose connection has broken. */
  readonly settleMs: number;
  /** Told when `settledVersion` may have risen. */
  readonly onSettled: () => void;
}

/** Counted from before the rules were asked for. Control waits longer than this before a target takes writes. */
const leaseMs = 1_000;
const renewEveryMs = 250;
/** The first answer is waited for by calls. */
const firstEveryMs = 20;
/** Longest wait of a call for a lease, or for the gateway to be registered. */
const patienceMs = 5_000;
const lookEveryMs = 5;
const lastLookEveryMs = 50;

const isSource = ({ primary, movement }: TableRule): boolean => movement?.barrier === true && primary === movement.source;

/**
 * What a gateway owes to stores that cannot fence, so that tables can leave them. It sends them nothing before it is registered and has applied rules that it read after that, so that whoever counts the gateways counts it. It reads and writes a
 * table that is leaving under a lease alone: of rules, asked for less than a second ago, that still send it there. And it knows which version's writes have all settled: one of unknown outcome is under way until the service can have it no more.
 * Nothing here costs anything where no keyspace is a foreign service.
 */
export class Barrier {
  readonly #options: BarrierOptions;
  readonly #writes = new InFlight();
  readonly #stop = new AbortController();
  readonly #startedAt: number;
  #registered = false;
  #heard = false;
  #lease: { readonly until: number; readonly keys: ReadonlySet<string> } = { until: Number.NEGATIVE_INFINITY, keys: new Set() };
  #running = false;
  #stopTimer: (() => void) | null = null;

  constructor(options: BarrierOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
  }

  /** No write that an older version routed is under way in a foreign store; 0: not to be told yet. */
  get settledVersion(): number {
    const { routing, clock, settleMs } = this.#options;
    const { table } = routing;
    // What the process before this one has sent is settled as late as what this one has lost sight of.
    if (table === null || clock.monotonic() < this.#startedAt + settleMs) return 0;
    // A table that does not follow this version goes on as before.
    for (const [key, rule] of Object.entries(table.document.tables)) if (rule.movement?.barrier === true && table.ref(key)?.rule !== rule) return 0;
    return Math.min(table.version, this.#writes.oldestVersion ?? table.version);
  }

  /** The registration is written: every later look at the rules is one of a gateway that is known. */
  registered(): void {
    this.#registered = true;
    this.#renew();
  }

  rulesApplied(): void {
    const { clock, settleMs } = this.#options;
    this.#renew();
    if (!this.#isArmed || this.#stopTimer !== null) return;
    this.#stopTimer = clock.after(Math.max(0, this.#startedAt + settleMs - clock.monotonic()) + 1, () => this.#tell());
  }

  /** Whether nothing of the table may be sent to this keyspace's store just now. Nothing may be awaited between the answer and the sending. */
  bars(ref: TableRef, keyspace: string): boolean {
    if (!this.#options.stores.isForeign(keyspace)) return false;
    if (!this.#heard) return true;
    if (ref.rule?.movement?.barrier !== true || keyspace !== ref.rule.movement.source) return false;
    return this.#options.clock.monotonic() >= this.#lease.until || !this.#lease.keys.has(ref.key);
  }

  /** Waits a moment for what bars the call since then, which has sent nothing. GATEWAY_NOT_READY, TOPOLOGY_UNAVAILABLE: it has waited long enough. */
  async pause(ref: TableRef, since: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    this.#renew();
    if (clock.monotonic() - since < patienceMs) return await clock.sleep(lookEveryMs, signal);
    if (!this.#heard)
      throw new SwitchyardError('GATEWAY_NOT_READY', `the gateway is not registered in Consul yet, and sends nothing to a service that cannot fence before it is`, {
        retryAfterMs: 500,
      });
    throw new SwitchyardError(
      'TOPOLOGY_UNAVAILABLE',
      `table "${ref.key}" is leaving a store that cannot fence, and this gateway has not heard from Consul for ${leaseMs} ms that it is still there; nothing was sent`,
      { retryAfterMs: 500, metadata: { table: ref.key } },
    );
  }

  /** Whether a route of this version to the keyspace may be out of date, so that it has to be found again. */
  isBehind(keyspace: string, version: number): boolean {
    return this.#options.stores.isForeign(keyspace) && this.#options.routing.appliedVersion !== version;
  }

  /** Sends a write, counted under the version that routed it until it has settled. */
  async send<T>(keyspace: string, version: number, write: () => Promise<T>): Promise<T> {
    if (!this.#options.stores.isForeign(keyspace)) return await write();
    this.#writes.enter(version);
    let settlesLate = true;
    try {
      const result = await write();
      settlesLate = false;
      return result;
    } catch (error) {
      settlesLate = mayStillCome(error);
      throw error;
    } finally {
      if (settlesLate) this.#options.clock.after(this.#options.settleMs, () => this.#leave(version));
      else this.#leave(version);
    }
  }

  /** Resolves when every write has settled. No more may be sent. */
  async settled(): Promise<void> {
    while (this.#writes.total > 0) await this.#options.clock.sleep(lastLookEveryMs);
  }

  close(): void {
    this.#stop.abort();
    this.#stopTimer?.();
  }

  get #isArmed(): boolean {
    return Object.values(this.#options.routing.table?.document.tables ?? {}).some(({ movement }) => movement?.barrier === true);
  }

  get #needsAnswers(): boolean {
    const { routing, stores } = this.#options;
    if (!this.#registered || this.#stop.signal.aborted || !stores.hasForeign()) return false;
    return !this.#heard || Object.values(routing.table?.document.tables ?? {}).some(isSource);
  }

  #leave(version: number): void {
    this.#writes.leave(version);
    this.#tell();
  }

  #tell(): void {
    if (this.#isArmed) this.#options.onSettled();
  }

  /** Asks for the rules again and again for as long as somebody needs the answer. */
  #renew(): void {
    if (this.#running || !this.#needsAnswers) return;
    this.#running = true;
    void this.#ask().finally(() => {
      this.#running = false;
    });
  }

  async #ask(): Promise<void> {
    const { topology, clock, log } = this.#options;
    while (this.#needsAnswers) {
      const askedAt = clock.monotonic();
      const limit = new AbortController();
      const cancel = clock.after(leaseMs, () => limit.abort());
      try {
        const snapshot = await topology.readRules(AbortSignal.any([limit.signal, this.#stop.signal]));
        if (snapshot.kind === 'valid') this.#take(snapshot.document, askedAt);
      } catch (error) {
        if (!this.#stop.signal.aborted) log.warn({ err: error }, 'the rules could not be read: tables that leave a store that cannot fence are not served meanwhile');
      } finally {
        cancel();
      }
      await clock.sleep(this.#heard ? renewEveryMs : firstEveryMs, this.#stop.signal).catch(() => {}); // only an abort rejects, which ends the loop
    }
  }

  #take(document: RulesDocument, askedAt: number): void {
    if (this.#options.routing.appliedVersion >= document.version) this.#heard = true;
    const keys = new Set(Object.entries(document.tables).flatMap(([key, rule]) => (isSource(rule) ? [key] : [])));
    this.#lease = { until: askedAt + leaseMs, keys };
  }
}

/** Failures after which the service may do the write all the same. */
const mayStillCome = (error: unknown): boolean => !(error instanceof SwitchyardError) || hasReason(error, 'OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'CANCELLED', 'INTERNAL');

import type { Clock } from '../../core/clock.ts';
import type { Hold } from '../../core/rules-document.ts';
import type { TableRef } from '../../core/routing-table.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { FenceView } from '../rules/fence-view.ts';
import type { WriteBuffer } from './buffer.ts';

export interface HoldsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly fenceView: FenceView;
  readonly buffer: WriteBuffer;
  /** Tables that are held together with these: every table of the group that the current rules name. */
  readonly tablesOf: (group: string) => readonly TableRef[];
  /** Told of every hold that begins. */
  readonly onBegin: (group: string) => void;
  /** Told of every finished hold. */
  readonly onEnd: (group: string, heldMs: number, how: HoldEnd) => void;
}

/** Why a hold ended: the fence rows said so, the rules' time was over, or the rules said open. */
export type HoldEnd = 'rows' | 'expired' | 'rules' | 'unused';

type HoldState =
  | { readonly kind: 'open' }
  | { readonly kind: 'by-rule'; readonly attempt: number; readonly since: number; readonly lasts: boolean; readonly stopTimer: () => void }
  | { readonly kind: 'by-fence'; readonly since: number };

interface Group {
  readonly name: string;
  state: HoldState;
  /** Hold of the newest rules: seen once, it does not begin again when a later version repeats it. */
  seenRule: Hold | null;
  /** Tables that are held together: those that bounced, and those that the rules have named while the hold lasts. Rules that name them no longer, such as after the workflow's end, must not keep the rows from ending it. */
  readonly tables: Map<string, TableRef>;
  watching: boolean;
}

/** Between two looks at the fence rows while something is held. */
const pollMs = 5;
const lookLimitMs = 50;
/** What a hold is expected to last before any has been measured. */
const firstGuessMs = 30;

/**
 * Decides, per workflow, whether writes are held. A group is *open*; *held by rule* from the first sight of a rule that says so, until that rule's time is over on the monotonic clock, or without one (behind a barrier: no store would refuse the writes) until the rules or rows say otherwise; *held by fence* from a write that bounced off a store whose row is
 * not OPEN, for as long as the rows say so and somebody waits. Both end as soon as the rows of all its tables show an OPEN one that counts: of the hold's attempt or a higher one (aborted: the source; switched: the target). A hold by rule whose time is
 * over, or that newer rules take back, becomes a hold by fence if the rows known by then contradict, else it ends. While entries wait the rows are looked at every few ms, one look for all, so that neither Consul nor a
 * coordinator is needed to go on.
 */
export class Holds {
  readonly #options: HoldsOptions;
  readonly #groups = new Map<string, Group>();
  readonly #stop = new AbortController();
  #expectedMs = firstGuessMs;

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  isHeld(group: string): boolean {
    const found = this.#groups.get(group);
    return found !== undefined && found.state.kind !== 'open';
  }

  /** How long a write that arrives now will probably wait, by the holds of the past. */
  expectedMs(group: string): number {
    const state = this.#groups.get(group)?.state;
    if (state === undefined || state.kind === 'open') return 0;
    return Math.max(pollMs, this.#expectedMs - (this.#options.clock.monotonic() - state.since));
  }

  /** Begins the holds of a version of the rules, by group: at its first sight, before anything else of it is looked at. */
  beginHolds(holds: ReadonlyMap<string, Hold>): void {
    for (const [name, hold] of holds) this.#seeHold(this.#group(name), hold);
  }

  /** Ends the holds that this version of the rules takes back: once it is applied, so that what is let go takes its routes. */
  endOthers(holds: ReadonlyMap<string, Hold>): void {
    for (const group of this.#groups.values()) if (!holds.has(group.name)) this.#seeOpen(group);
  }

  /** A write bounced off a store and the rows show no place for writes: hold until they do. */
  bounced(name: string, refs: readonly TableRef[]): void {
    const group = this.#group(name);
    for (const ref of refs) group.tables.set(ref.key, ref);
    if (group.state.kind !== 'open') return;
    group.state = { kind: 'by-fence', since: this.#options.clock.monotonic() };
    this.#options.buffer.hold(name);
    this.#options.onBegin(name);
  }

  /** Somebody waits now: the rows are watched until nobody does or the hold is over. */
  watch(name: string): void {
    const group = this.#groups.get(name);
    if (group === undefined || group.watching || group.state.kind === 'open') return;
    group.watching = true;
    void this.#watch(group);
  }

  /** Something new is known of the rows (a look that somebody else made): ends the holds that it ends. */
  rowsLearned(): void {
    for (const group of this.#groups.values()) if (this.#rowsSayGo(group)) this.#end(group, 'rows');
  }

  close(): void {
    this.#stop.abort();
    for (const group of this.#groups.values()) if (group.state.kind === 'by-rule') group.state.stopTimer();
  }

  #seeHold(group: Group, hold: Hold): void {
    const { clock, buffer } = this.#options;
    if (group.seenRule?.attempt === hold.attempt) {
      group.seenRule = hold;
      return;
    }
    group.seenRule = hold;
    if (group.state.kind === 'by-rule') group.state.stopTimer();
    const since = group.state.kind === 'open' ? clock.monotonic() : group.state.since;
    const { attempt, holdMs } = hold;
    const stopTimer = holdMs === undefined ? () => {} : clock.after(holdMs, () => this.#ruleIsOver(group, 'expired'));
    group.state = { kind: 'by-rule', attempt, since, lasts: holdMs === undefined, stopTimer };
    buffer.hold(group.name);
    this.#options.onBegin(group.name);
    this.watch(group.name);
  }

  #seeOpen(group: Group): void {
    group.seenRule = null;
    if (group.state.kind === 'by-rule') this.#ruleIsOver(group, 'rules');
  }

  #ruleIsOver(group: Group, how: 'expired' | 'rules'): void {
    const { state } = group;
    if (state.kind !== 'by-rule') return;
    state.stopTimer();
    // Behind a barrier the rules decide: the source has no row that could say more.
    const contradicted = !state.lasts && this.#fencedTables(group).some((fenced) => fenced.openRow === null);
    if (contradicted && this.#options.buffer.waiting(group.name) > 0) group.state = { kind: 'by-fence', since: state.since };
    else this.#end(group, how);
  }

  #end(group: Group, how: HoldEnd): void {
    const { state } = group;
    if (state.kind === 'open') return;
    if (state.kind === 'by-rule') state.stopTimer();
    const { clock, buffer, onEnd } = this.#options;
    const heldMs = clock.monotonic() - state.since;
    group.state = { kind: 'open' };
    group.tables.clear();
    if (how !== 'unused') this.#expectedMs += (Math.min(heldMs, 1_000) - this.#expectedMs) * 0.2;
    buffer.release(group.name);
    onEnd(group.name, heldMs, how);
  }

  async #watch(group: Group): Promise<void> {
    const { clock, fenceView, buffer, log } = this.#options;
    const { signal } = this.#stop;
    try {
      while (group.state.kind !== 'open' && buffer.waiting(group.name) > 0) {
        await fenceView.look(fenceView.subjectOf(this.#refs(group)), 'write', lookLimitMs, signal);
        if (this.#rowsSayGo(group)) this.#end(group, 'rows');
        else await clock.sleep(pollMs, signal);
      }
      // Nobody waits any more: the next write finds out for itself, and begins a new hold when it bounces.
      if (group.state.kind === 'by-fence') this.#end(group, 'unused');
    } catch (error) {
      if (!signal.aborted) log.error({ group: group.name, err: error }, 'watching the fence rows of a hold failed');
    } finally {
      group.watching = false;
    }
  }

  /** Whether every table of the group that has rows shows one that ends the hold. */
  #rowsSayGo(group: Group): boolean {
    const { state } = group;
    if (state.kind === 'open') return false;
    const least = state.kind === 'by-rule' ? state.attempt : 0;
    const fenced = this.#fencedTables(group);
    return fenced.length > 0 && fenced.every(({ openRow }) => openRow !== null && openRow.attempt >= least);
  }

  #fencedTables(group: Group): readonly { readonly openRow: { readonly attempt: number } | null }[] {
    return this.#refs(group).flatMap((ref) => this.#options.fenceView.find(ref) ?? []);
  }

  /** Of a group that is held. */
  #refs(group: Group): readonly TableRef[] {
    for (const ref of this.#options.tablesOf(group.name)) group.tables.set(ref.key, ref);
    return [...group.tables.values()];
  }

  #group(name: string): Group {
    const existing = this.#groups.get(name);
    if (existing !== undefined) return existing;
    const group: Group = { name, state: { kind: 'open' }, seenRule: null, tables: new Map(), watching: false };
    this.#groups.set(name, group);
    return group;
  }
}

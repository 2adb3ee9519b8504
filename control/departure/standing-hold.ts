import type { ControlDeps } from '../move.ts';

/** Longer than any hold that somebody runs. */
const standsMs = 4_000;

/**
 * Sees, in a process that stands by, whether a departure's hold has stood unchanged for so long that nobody runs it any more: its writes wait in every gateway, and no store would tell anybody. A hold before a fence is no affair of it: that one
 * ends by itself.
 */
export class StandingHold {
  readonly #deps: ControlDeps;
  readonly #workflow: string;
  #seen: { readonly text: string; readonly since: number } | null = null;

  constructor(deps: ControlDeps, workflow: string) {
    this.#deps = deps;
    this.#workflow = workflow;
  }

  async stands(signal: AbortSignal): Promise<boolean> {
    const { topology, clock } = this.#deps;
    const rules = await topology.readRules(signal);
    if (rules.kind !== 'valid') return false;
    const held = Object.values(rules.document.tables).find(({ movement, hold }) => movement?.workflow === this.#workflow && movement.barrier === true && hold !== undefined);
    if (held === undefined) {
      this.#seen = null;
      return false;
    }
    const text = `${held.primary} ${held.hold?.attempt}`;
    if (this.#seen?.text !== text) this.#seen = { text, since: clock.monotonic() };
    return clock.monotonic() - this.#seen.since >= standsMs;
  }
}

import type { ControlDeps } from '../move.ts';

/**
 * Follows which rules version each gateway reports, from before the hold on, so that the hold can wait a moment for them. Nothing depends on it: a gateway that has not seen the hold bounces off the fence and
 * waits as well.
 */
export class GatewayVersions implements AsyncDisposable {
  readonly #deps: ControlDeps;
  readonly #ids: readonly string[];
  readonly #versions = new Map<string, number>();
  readonly #end = new AbortController();
  readonly #watch: Promise<void>;
  #wake: () => void = () => {};

  /** `ids` are the gateways worth waiting for. */
  constructor(deps: ControlDeps, ids: readonly string[]) {
    this.#deps = deps;
    this.#ids = ids;
    this.#watch = ids.length === 0 ? Promise.resolve() : this.#follow();
  }

  /** Waits until all have reported `version` or a later one, at most `limitMs`. Returns how many have. */
  async reached(version: number, limitMs: number): Promise<number> {
    const deadline = this.#deps.clock.monotonic() + limitMs;
    for (;;) {
      const count = this.#ids.filter((id) => (this.#versions.get(id) ?? 0) >= version).length;
      const leftMs = deadline - this.#deps.clock.monotonic();
      if (count === this.#ids.length || leftMs <= 0) return count;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const cancel = this.#deps.clock.after(leftMs, resolve);
      await promise;
      cancel();
    }
  }

  get expected(): number {
    return this.#ids.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#watch;
  }

  async #follow(): Promise<void> {
    try {
      for await (const registrations of this.#deps.topology.watchRegistrations(this.#end.signal)) {
        for (const registration of registrations) this.#versions.set(registration.id, registration.appliedVersion);
        this.#wake();
      }
    } catch (error) {
      if (!this.#end.signal.aborted) this.#deps.log.debug({ err: error }, 'the watch of the gateways ended');
    }
  }
}

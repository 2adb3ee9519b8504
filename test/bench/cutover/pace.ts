/**
 * A fixed schedule: calls come at a constant rate after a ramp at the beginning, on which cold processes get warm. Every few milliseconds those that are due since then come at once, as they do from a service that works off its own queue: that is harder on
 * latency than an even spread, and kinder to a machine that has clients, gateways and stores on the same few processors. Times are ms from the start.
 */
export class Pace {
  readonly #perMs: number;
  readonly #rampMs: number;
  readonly #burstMs: number;

  constructor(perSecond: number, rampMs: number, burstMs: number) {
    this.#perMs = perSecond / 1_000;
    this.#rampMs = rampMs;
    this.#burstMs = burstMs;
  }

  /** When call number `index` (from 0) is due. */
  timeOf(index: number): number {
    return Math.ceil(this.#evenTimeOf(index) / this.#burstMs) * this.#burstMs;
  }

  #evenTimeOf(index: number): number {
    const rampCalls = (this.#perMs * this.#rampMs) / 2;
    if (index >= rampCalls) return index / this.#perMs + this.#rampMs / 2;
    return Math.sqrt((2 * index * this.#rampMs) / this.#perMs);
  }
}

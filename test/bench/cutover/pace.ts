/**
 * A fixed schedule: calls come at a constant rate after a ramp at the beginning, on which cold processes get warm. Times are ms from the start.
 */
export class Pace {
  readonly #perMs: number;
  readonly #rampMs: number;

  constructor(perSecond: number, rampMs: number) {
    this.#perMs = perSecond / 1_000;
    this.#rampMs = rampMs;
  }

  /** When call number `index` (from 0) is due. */
  timeOf(index: number): number {
    const rampCalls = (this.#perMs * this.#rampMs) / 2;
    if (index >= rampCalls) return index / this.#perMs + this.#rampMs / 2;
    return Math.sqrt((2 * index * this.#rampMs) / this.#perMs);
  }
}

/** Calls under way in stores, by the version of the rules that routed them. */
export class InFlight {
  readonly #byVersion = new Map<number, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** Lowest version that some call under way was routed by; null when there is none. */
  get oldestVersion(): number | null {
    return this.#total === 0 ? null : Math.min(...this.#byVersion.keys());
  }

  enter(version: number): void {
    this.#total += 1;
    this.#byVersion.set(version, (this.#byVersion.get(version) ?? 0) + 1);
  }

  leave(version: number): void {
    this.#total -= 1;
    const left = (this.#byVersion.get(version) ?? 0) - 1;
    if (left > 0) this.#byVersion.set(version, left);
    else this.#byVersion.delete(version);
  }
}

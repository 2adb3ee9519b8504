const headerBytes = 8;
const mostBytes = 1 << 20;

/** Memory that two threads share: how many inputs were begun, and the one that is at work. Readable also when its writer hangs or is gone. */
export class Progress {
  readonly shared: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #input: Uint8Array;

  /** The memory of another thread's, or new memory. */
  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(headerBytes + mostBytes);
    this.#header = new Int32Array(this.shared, 0, 2);
    this.#input = new Uint8Array(this.shared, headerBytes);
    if (shared === undefined) Atomics.store(this.#header, 1, -1);
  }

  begin(input: Buffer): void {
    const shown = input.subarray(0, mostBytes);
    this.#input.set(shown);
    Atomics.store(this.#header, 1, shown.length);
    Atomics.add(this.#header, 0, 1);
  }

  /** Something goes on that is no input: opening, checking. */
  touch(): void {
    Atomics.add(this.#header, 0, 1);
  }

  get steps(): number {
    return Atomics.load(this.#header, 0);
  }

  /** Null before the first. */
  get input(): Buffer | null {
    const length = Atomics.load(this.#header, 1);
    return length < 0 ? null : Buffer.from(this.#input.slice(0, length));
  }
}

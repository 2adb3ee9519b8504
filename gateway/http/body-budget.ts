interface Waiter {
  readonly bytes: number;
  readonly start: () => void;
}

/** Memory that bodies may take together while they are read and understood. First come, first served: a large one is not passed for ever by small ones. */
export class BodyBudget {
  readonly #totalBytes: number;
  #usedBytes = 0;
  readonly #waiters: Waiter[] = [];

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  /** Resolves when there is room for `bytes` (never more than the total is waited for); rejects with the signal's reason when it aborts first. To be given back exactly once, by disposing. */
  async take(bytes: number, signal: AbortSignal): Promise<Disposable> {
    const wanted = Math.min(bytes, this.#totalBytes);
    signal.throwIfAborted();
    if (this.#waiters.length > 0 || this.#usedBytes + wanted > this.#totalBytes) await this.#wait(wanted, signal);
    else this.#usedBytes += wanted;
    return {
      [Symbol.dispose]: () => {
        this.#usedBytes -= wanted;
        this.#admit();
      },
    };
  }

  #wait(bytes: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      reject(signal.reason);
      this.#admit();
    };
    const waiter: Waiter = {
      bytes,
      start: () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      },
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiters.push(waiter);
    return promise;
  }

  #admit(): void {
    for (let next = this.#waiters[0]; next !== undefined && this.#usedBytes + next.bytes <= this.#totalBytes; next = this.#waiters[0]) {
      this.#waiters.shift();
      this.#usedBytes += next.bytes;
      next.start();
    }
  }
}

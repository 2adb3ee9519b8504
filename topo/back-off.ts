import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { abortError } from './consul-transport.ts';

export interface BackOffOptions {
  readonly clock: Clock;
  readonly newNonce: () => string;
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Growing pauses, each between half and all of its nominal length so that many waiters do not come back together. */
export class BackOff {
  readonly #options: BackOffOptions;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** Waits after the `failures`th failure in a row (from 1). Rejects with the signal's reason. */
  async pause(failures: number, signal: AbortSignal): Promise<void> {
    const { clock, firstMs, mostMs } = this.#options;
    const nominalMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
    try {
      await clock.sleep(nominalMs * (0.5 + this.#fraction() / 2), signal);
    } catch {
      throw abortError(signal);
    }
  }

  /** Nonces are the randomness that is passed in; they need not be evenly distributed, their hash is. */
  #fraction(): number {
    return createHash('sha256').update(this.#options.newNonce()).digest().readUInt32BE(0) / 2 ** 32;
  }
}

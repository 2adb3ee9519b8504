import { setTimeout as sleep } from 'node:timers/promises';
import type { ChangeFeed } from '../../../backends/backend.ts';
import type { ChangeTransaction } from '../../../core/change.ts';
import { altered } from './altered.ts';

/** The source's history goes on for so many transactions before the fence; all of them are lost where nobody waits for its end. */
const wantedTransactions = 10;
const wantedWithinMs = 500;
const lookMs = 5;
/** The player comes when the coordinator has asked so often for the end of the history and was told that it is not there. */
const vainLooks = 20;
/** Whatever became of the cutover. */
const latestMs = 3_000;

/**
 * A player that brings nothing to its target from the hold on, while a gateway that knows nothing of the hold writes on, and comes when a coordinator waits for it. To one that does not wait it comes too late, however slow or busy the machine is.
 */
export class LatePlayer {
  #held: PromiseWithResolvers<void> | null = null;
  #transactions = 0;
  #looks = 0;

  /** The hold has begun. Resolves once the source has recorded writes that the target does not get, at most half a second later. */
  async begin(signal: AbortSignal): Promise<void> {
    this.come();
    this.#held = Promise.withResolvers();
    this.#transactions = 0;
    this.#looks = 0;
    const limit = performance.now() + wantedWithinMs;
    while (this.#transactions < wantedTransactions && performance.now() < limit) await sleep(lookMs, undefined, { signal });
  }

  /** The coordinator has looked for the end of the history in vain. */
  missed(): void {
    this.#looks += 1;
    if (this.#looks >= vainLooks) this.come();
  }

  come(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  /** Before an apply. */
  async delay(signal: AbortSignal): Promise<void> {
    if (this.#held === null) return;
    await Promise.race([this.#held.promise, sleep(latestMs, undefined, { signal })]);
  }

  /** The source's history as it arrives, counted. */
  listen(feed: ChangeFeed): ChangeFeed {
    const count = (transaction: ChangeTransaction): void => {
      if (transaction.events.some(({ kind }) => kind !== 'marker' && kind !== 'watermark')) this.#transactions += 1;
    };
    return altered(feed, {
      async *[Symbol.asyncIterator]() {
        for await (const group of feed) {
          group.forEach(count);
          yield group;
        }
      },
    });
  }
}

import type { ChangeTransaction } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import { Gate } from '../gate.ts';
import { eventBytes } from './cell-bytes.ts';

interface Received {
  readonly transaction: ChangeTransaction;
  readonly bytes: number;
  /** When it was committed on the source, on our monotonic clock. */
  readonly bornAt: number;
}

export interface QueueBounds {
  /** A batch ends with the transaction that reaches one of these. */
  readonly batchChanges: number;
  readonly batchBytes: number;
  /** How many batches' worth may wait; then the reader waits. */
  readonly batches: number;
  /** Two batches begin at least this far apart unless the second is urgent: a commit of the target for every single transaction would cost more than all the rows. Asked for each batch. */
  readonly gatherMs: () => number;
}

/** Transactions that have been received and are not yet committed on the target: the reader puts in, the applier takes batches out and settles them. */
export class ChangeQueue {
  readonly #clock: Clock;
  readonly #bounds: QueueBounds;
  #waiting: Received[] = [];
  /** Taken and not yet settled. */
  #taken: Received[] = [];
  #changes = 0;
  #bytes = 0;
  #takenAt = Number.NEGATIVE_INFINITY;
  readonly #arrival = new Gate();
  readonly #taking = new Gate();

  constructor(clock: Clock, bounds: QueueBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  push(transaction: ChangeTransaction): void {
    const bytes = transaction.events.reduce((sum, event) => sum + eventBytes(event), 0);
    this.#waiting.push({ transaction, bytes, bornAt: this.#clock.monotonic() - transaction.ageMs });
    this.#changes += transaction.events.length;
    this.#bytes += bytes;
    this.#arrival.wake();
  }

  /** Resolves when less than the bound waits. */
  async room(signal: AbortSignal): Promise<void> {
    const { batchChanges, batchBytes, batches } = this.#bounds;
    while (this.#changes > batchChanges * batches || this.#bytes > batchBytes * batches) {
      await this.#taking.wait(signal);
    }
  }

  /**
   * Takes what has arrived: whole transactions up to the batch's bounds, or up to one that `endsBatch`. One transaction larger than the bounds is a batch of its own. At once when a full batch or one that `endsBatch` is there, or
   * when the last batch was taken `gatherMs` ago.
   */
  async take(endsBatch: (transaction: ChangeTransaction) => boolean, signal: AbortSignal): Promise<readonly ChangeTransaction[]> {
    while (this.#waiting.length === 0) await this.#arrival.wait(signal);
    await this.#gather(endsBatch, signal);
    let changes = 0;
    let bytes = 0;
    let count = 0;
    for (const received of this.#waiting) {
      const events = received.transaction.events.length;
      if (count > 0 && (changes + events > this.#bounds.batchChanges || bytes + received.bytes > this.#bounds.batchBytes)) break;
      count += 1;
      changes += events;
      bytes += received.bytes;
      if (endsBatch(received.transaction)) break;
    }
    this.#taken = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#changes -= changes;
    this.#bytes -= bytes;
    this.#taking.wake();
    return this.#taken.map((received) => received.transaction);
  }

  async #gather(endsBatch: (transaction: ChangeTransaction) => boolean, signal: AbortSignal): Promise<void> {
    const { batchBytes, batchChanges, gatherMs } = this.#bounds;
    const isUrgent = (): boolean => this.#changes >= batchChanges || this.#bytes >= batchBytes || this.#waiting.some(({ transaction }) => endsBatch(transaction));
    const leftMs = this.#takenAt + gatherMs() - this.#clock.monotonic();
    if (leftMs > 0) {
      let over = false;
      const cancel = this.#clock.after(leftMs, () => {
        over = true;
        this.#arrival.wake();
      });
      try {
        while (!over && !isUrgent()) await this.#arrival.wait(signal);
      } finally {
        cancel();
      }
    }
    this.#takenAt = this.#clock.monotonic();
  }

  /** What was taken last is committed on the target. */
  settle(): void {
    this.#taken = [];
  }

  /** Age of the oldest transaction that is not settled, in ms; 0 when there is none. */
  lagMs(): number {
    const oldest = this.#taken[0] ?? this.#waiting[0];
    return oldest === undefined ? 0 : Math.max(0, this.#clock.monotonic() - oldest.bornAt);
  }
}

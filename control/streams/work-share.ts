import type { CutoverLimits } from '../../core/workflow-document.ts';

/** See the limits of a workflow. */
export type ShareBounds = Pick<CutoverLimits, 'leastCopyShare' | 'mostCopyShare'>;
const defaultBounds: ShareBounds = { leastCopyShare: 5, mostCopyShare: 100 };
const step = 0.02;
/** Work that takes this many times as long as at its best competes with somebody. */
const busyFactor = 2;
/** How much of what a row takes is learnt from the newest piece: a page that was not in memory is no competition. */
const learning = 0.25;
/** The best is forgotten this quickly: what a store could do an hour ago says little. */
const forgetting = 1.01;
const longestRestMs = 2_000;

/**
 * How large a share of the time work in the background takes, so that the calls of services, which share the stores with it, come first. It begins small, doubles, and is halved when rows take much longer than at their best: then somebody
 * else needs what it takes. From the first time on it grows step by step. (Slow start, additive increase, multiplicative decrease on delay, as TCP Vegas has them: Brakmo and Peterson, 1995.)
 */
export class WorkShare {
  readonly #bounds: () => ShareBounds;
  #share = 0;
  /** Nothing has been in its way yet: it doubles. */
  #isStarting = true;
  #msPerRow: number | null = null;
  #bestMsPerRow = Number.POSITIVE_INFINITY;

  /** `bounds` may change while it works. */
  constructor(bounds: () => ShareBounds = () => defaultBounds) {
    this.#bounds = bounds;
  }

  /** Learns from a piece of work, and says how long to rest before the next one. */
  restMs(rows: number, tookMs: number): number {
    const newest = tookMs / Math.max(1, rows);
    this.#msPerRow = this.#msPerRow === null ? newest : this.#msPerRow + (newest - this.#msPerRow) * learning;
    this.#bestMsPerRow = Math.min(this.#bestMsPerRow * forgetting, this.#msPerRow);
    const { leastCopyShare, mostCopyShare } = this.#bounds();
    const isBusy = this.#msPerRow > this.#bestMsPerRow * busyFactor;
    this.#isStarting &&= !isBusy;
    const more = this.#isStarting ? 2 * this.#share : this.#share + step;
    const asked = isBusy ? this.#share / 2 : more;
    this.#share = Math.min(mostCopyShare / 100, Math.max(leastCopyShare / 100, asked));
    return Math.min(longestRestMs, tookMs * (1 / this.#share - 1));
  }
}

/** What each of so many takes of a share that they have together; all of the time is without a rest, however many there are. */
export function partOf({ leastCopyShare, mostCopyShare }: ShareBounds, running: number): ShareBounds {
  const part = (share: number): number => (share === 100 ? share : share / Math.max(1, running));
  return { leastCopyShare: part(leastCopyShare), mostCopyShare: part(mostCopyShare) };
}

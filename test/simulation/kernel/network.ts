import type { Random } from './random.ts';
import type { Owner, Timeline } from './scheduler.ts';

interface Held {
  readonly from: string;
  readonly to: string;
  readonly owner: Owner;
  readonly deliver: () => void;
  readonly lost: () => void;
}

const meanMs = 0.3;
const leastMs = 0.1;
const spikeChance = 0.004;
const spikeMs = 120;

/**
 * Messages between places, each on a connection of its own: so any two may overtake each other, and none comes twice. A way that is cut, in one direction or both, keeps what is sent on it, as TCP does, until it is whole again; then it
 * arrives late, or its connection turns out to be gone.
 */
export class Network {
  readonly #scheduler: Timeline;
  readonly #random: Random;
  readonly #cuts = new Map<string, number>();
  #held: Held[] = [];
  #slowness = 1;

  constructor(scheduler: Timeline, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /** Brings a message from one place to another; `deliver` runs in the name of its owner, the receiving process. `lost` is called when it never will: its connection is gone. */
  send(from: string, to: string, owner: Owner, deliver: () => void, lost: () => void = () => {}): void {
    if (this.isCut(from, to)) {
      this.#held.push({ from, to, owner, deliver, lost });
      return;
    }
    this.#scheduler.schedule(this.#latencyMs(), owner, deliver);
  }

  isCut(from: string, to: string): boolean {
    return (this.#cuts.get(way(from, to)) ?? 0) > 0;
  }

  /** Cuts a way until the returned function is called; cuts of one way add up. */
  cut(from: string, to: string): () => void {
    const key = way(from, to);
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
    let isWhole = false;
    return () => {
      if (isWhole) return;
      isWhole = true;
      this.#cuts.set(key, (this.#cuts.get(key) ?? 1) - 1);
      this.#release();
    };
  }

  /** Makes every way slower by this factor until the returned function is called. */
  slow(factor: number): () => void {
    this.#slowness *= factor;
    return () => {
      this.#slowness /= factor;
    };
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const message of held) {
      if (this.isCut(message.from, message.to)) this.#held.push(message);
      else this.#scheduler.schedule(this.#latencyMs() + this.#random.exponential(50), message.owner, this.#random.chance(0.6) ? message.deliver : message.lost);
    }
  }

  #latencyMs(): number {
    const random = this.#random;
    const usual = leastMs + random.exponential(meanMs);
    return (random.chance(spikeChance) ? usual + random.exponential(spikeMs) : usual) * this.#slowness;
  }
}

const way = (from: string, to: string): string => `${from}>${to}`;

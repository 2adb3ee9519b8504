import { expect, test } from '@jest/globals';
import type { Visibility } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { UnseenTransactions } from './unseen-transactions.ts';

const never = new AbortController().signal;

/** A source whose readers see what has `ended`; every pause lets `next` happen. */
class Source {
  readonly running: number[];
  #nowMs = 0;
  readonly #next: (nowMs: number) => void;

  constructor(running: readonly number[], next: (nowMs: number, source: Source) => void = () => {}) {
    this.running = [...running];
    this.#next = (nowMs) => next(nowMs, this);
  }

  readonly clock = {
    monotonic: () => this.#nowMs,
    sleep: async (ms: number) => {
      this.#nowMs += ms;
      this.#next(this.#nowMs);
    },
  } as unknown as Clock;

  get nowMs(): number {
    return this.#nowMs;
  }

  end(id: number): void {
    this.running.splice(this.running.indexOf(id), 1);
  }

  async visibility(): Promise<Visibility> {
    const running = [...this.running];
    return { running, next: 1_000_000, hasEnded: (id) => !running.includes(id) };
  }
}

test('waits for what the log has shown and readers do not see, and for nothing else', async () => {
  const source = new Source([], (_, self) => self.end(7));
  const unseen = new UnseenTransactions(source, source.clock);
  await unseen.untilSeen([], never);
  source.running.push(7, 8);
  for (const id of [5, 7, null]) unseen.add(id);
  expect(unseen.shown).toEqual([5, 7]);
  await unseen.untilSeen(unseen.shown, never);
  expect(source.running).toEqual([8]);
  expect(unseen.shown).toEqual([]);
});

test('the first time it waits for all that is under way: a player of before may have been shown it', async () => {
  const source = new Source([3], (nowMs, self) => {
    if (nowMs > 500) self.end(3);
  });
  const unseen = new UnseenTransactions(source, source.clock);
  await unseen.untilSeen([], never);
  expect(source.nowMs).toBeGreaterThan(500);
  source.running.push(4);
  await unseen.untilSeen([], never);
  expect(source.running).toEqual([4]);
});

test('gives up after half a minute and names what it waits for', async () => {
  const source = new Source([3]);
  await expect(new UnseenTransactions(source, source.clock).untilSeen([], never)).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE', message: expect.stringContaining(': 3 (') });
});

test('forgets what is seen by now', async () => {
  const source = new Source([2]);
  const unseen = new UnseenTransactions(source, source.clock);
  for (const id of [1, 2]) unseen.add(id);
  await unseen.forgetSeen(never);
  expect(unseen.shown).toEqual([2]);
});

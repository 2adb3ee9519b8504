import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Clock } from '../../core/clock.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { type BufferedWrite, type Ticket, WriteBuffer } from './buffer.ts';

/** A clock that moves only when it is told to. */
class HandClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; act: () => void }>();
  now = (): number => this.#now;
  monotonic = (): number => this.#now;
  sleep = (ms: number): Promise<void> => new Promise((resolve) => this.after(ms, resolve));
  after = (ms: number, act: () => void): (() => void) => {
    const timer = { at: this.#now + ms, act };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };
  endOfTurn = (act: () => void): void => act();
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = due.at;
      due.act();
    }
    this.#now = until;
  }
}

/** Lets every promise that can go on do so; nothing here waits for anything else. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await null;
}

function open(limits: Partial<ConstructorParameters<typeof WriteBuffer>[0]> = {}) {
  const clock = new HandClock();
  const buffer = new WriteBuffer({ clock, maxEntries: 100, maxBytes: 10_000, windowMs: 1_000, drainConcurrency: 4, ...limits });
  const write = (keys: readonly string[], more: Partial<BufferedWrite> = {}): BufferedWrite => ({
    group: 'move',
    keys,
    deadline: clock.monotonic() + 500,
    bytes: 10,
    signal: new AbortController().signal,
    ...more,
  });
  const reasonOf = async (promise: Promise<unknown>): Promise<string> => {
    try {
      await promise;
      return 'admitted';
    } catch (error) {
      if (error instanceof SwitchyardError) return error.reason;
      throw error;
    }
  };
  return { clock, buffer, write, reasonOf };
}

const identity = ({ buffered, drained, waiting, evicted }: WriteBuffer['counts']): boolean =>
  buffered === drained + waiting + Object.values(evicted).reduce((sum, count) => sum + count, 0);

describe('admission', () => {
  test('only what can outlast the hold', async () => {
    const { buffer, write, reasonOf } = open();
    buffer.hold('move');
    expect(await reasonOf(buffer.admit(write(['a'], { deadline: 20 }), 30))).toBe('DEADLINE_TOO_SHORT');
    expect(buffer.counts).toMatchObject({ buffered: 0, refused: { deadline: 1 } });
  });

  test('no more than it can hold', async () => {
    const { buffer, write, reasonOf } = open({ maxEntries: 2, maxBytes: 100 });
    buffer.hold('move');
    void buffer.admit(write(['a']), 1);
    expect(await reasonOf(buffer.admit(write(['b'], { bytes: 95 }), 1))).toBe('BUFFER_FULL');
    void buffer.admit(write(['b']), 1);
    expect(await reasonOf(buffer.admit(write(['c']), 1))).toBe('BUFFER_FULL');
    expect(buffer.counts).toMatchObject({ waiting: 2, waitingBytes: 20, refused: { full: 2 } });
  });
});

describe('eviction', () => {
  test.each([
    ['at its deadline', { deadline: 300 }, 400, 'DEADLINE_TOO_SHORT', 'deadline'],
    ['after the window', { deadline: 5_000 }, 1_100, 'HELD_TOO_LONG', 'window'],
  ] as const)('%s', async (_, more, advanceMs, reason, counter) => {
    const { clock, buffer, write, reasonOf } = open();
    buffer.hold('move');
    const waiting = reasonOf(buffer.admit(write(['a'], more), 1));
    clock.advance(advanceMs);
    buffer.release('move');
    expect(await waiting).toBe(reason);
    expect(buffer.counts.evicted[counter]).toBe(1);
    expect(identity(buffer.counts)).toBe(true);
    expect(buffer.hasKeys).toBe(false);
  });

  test('when the caller leaves, and at shutdown', async () => {
    const { buffer, write, reasonOf } = open();
    buffer.hold('move');
    const caller = new AbortController();
    const left = reasonOf(buffer.admit(write(['a'], { signal: caller.signal }), 1));
    const stays = reasonOf(buffer.admit(write([]), 1));
    const behind = reasonOf(buffer.admit(write(['a']), 1));
    caller.abort(new SwitchyardError('CANCELLED', 'gone'));
    buffer.close();
    expect([await left, await stays, await behind]).toEqual(['CANCELLED', 'GATEWAY_NOT_READY', 'GATEWAY_NOT_READY']);
    expect(buffer.counts).toMatchObject({ buffered: 3, waiting: 0, waitingBytes: 0, evicted: { cancelled: 1, shutdown: 2 } });
  });
});

describe('order', () => {
  test('a new write of a key queues behind its entries, also while they drain', async () => {
    const { buffer, write } = open();
    buffer.hold('move');
    const first = buffer.admit(write(['a']), 1);
    buffer.release('move');
    const ticket = await first;
    expect([buffer.isQueued(['a']), buffer.isQueued(['b'])]).toEqual(['move', null]);
    let second: Ticket | null = null;
    const next = buffer.admit(write(['a', 'b']), 0).then((drained) => {
      second = drained;
      return drained;
    });
    await settled();
    expect(second).toBeNull();
    ticket.done();
    (await next).done();
    expect(buffer.isQueued(['a', 'b'])).toBeNull();
  });

  test('a write that is evicted does not let those behind it overtake those before it', async () => {
    const { buffer, write, reasonOf } = open();
    const first = await buffer.admit(write(['a']), 0);
    const caller = new AbortController();
    const middle = reasonOf(buffer.admit(write(['a'], { signal: caller.signal }), 0));
    let drained = false;
    const last = buffer.admit(write(['a']), 0).then((ticket) => {
      drained = true;
      return ticket;
    });
    caller.abort(new SwitchyardError('CANCELLED', 'gone'));
    expect(await middle).toBe('CANCELLED');
    expect(drained).toBe(false);
    first.done();
    (await last).done();
  });

  test('a write that bounces keeps its place', async () => {
    const { buffer, write } = open();
    const order: string[] = [];
    const first = await buffer.admit(write(['a']), 0);
    const second = buffer.admit(write(['a']), 0).then((ticket) => {
      order.push('second');
      ticket.done();
    });
    buffer.hold('move');
    const again = first.again('move').then(() => order.push('first'));
    buffer.release('move');
    await again;
    first.done();
    await second;
    expect(order).toEqual(['first', 'second']);
  });

  test('no more than drainConcurrency are under way at once', async () => {
    const { buffer, write } = open({ drainConcurrency: 3 });
    buffer.hold('move');
    const tickets: Ticket[] = [];
    const all = Array.from({ length: 10 }, (_, n) => buffer.admit(write([`${n}`]), 1).then((ticket) => tickets.push(ticket)));
    buffer.release('move');
    for (let done = 0; done < 10; done += 1) {
      await settled();
      expect(tickets.length).toBeLessThanOrEqual(done + 3);
      tickets[done]?.done();
    }
    await Promise.all(all);
    expect(buffer.counts).toMatchObject({ drained: 10, waiting: 0 });
  });
});

test('whatever happens: buffered = drained + evicted + waiting, everything settles, and keys keep their order', async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('admit' as const),
        keys: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
        group: fc.constantFrom('one', 'two'),
        ms: fc.integer({ min: 5, max: 200 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('hold' as const, 'release' as const), group: fc.constantFrom('one', 'two') }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('done' as const, 'again' as const, 'leave' as const), which: fc.nat(50) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 60 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { clock, buffer } = open({ maxEntries: 12, windowMs: 150, drainConcurrency: 2 });
      const running = new Map<number, { readonly ticket: Ticket; readonly keys: readonly string[] }>();
      const callers: AbortController[] = [];
      const lastDrained = new Map<string, number>();
      let outcomes = 0;
      let admitted = 0;
      const fail = (error: unknown): void => {
        if (!hasReason(error, 'DEADLINE_TOO_SHORT', 'HELD_TOO_LONG', 'BUFFER_FULL', 'CANCELLED', 'GATEWAY_NOT_READY')) throw error;
        outcomes += 1;
      };
      const drained = (n: number, keys: readonly string[], ticket: Ticket): void => {
        for (const key of keys) {
          for (const other of running.values()) expect(other.keys).not.toContain(key);
          expect(lastDrained.get(key) ?? -1).toBeLessThanOrEqual(n);
          lastDrained.set(key, n);
        }
        running.set(n, { ticket, keys });
      };
      for (const each of steps) {
        if (each.kind === 'admit') {
          const n = admitted;
          admitted += 1;
          const caller = new AbortController();
          callers.push(caller);
          buffer
            .admit({ group: each.group, keys: each.keys, deadline: clock.monotonic() + each.ms, bytes: 1, signal: caller.signal }, 1)
            .then((ticket) => drained(n, each.keys, ticket), fail);
        } else if ('group' in each) buffer[each.kind](each.group);
        else if (each.kind === 'advance') clock.advance(each.ms);
        else if (each.kind === 'leave') callers[each.which % Math.max(1, callers.length)]?.abort(new SwitchyardError('CANCELLED', 'gone'));
        else {
          const [n, found] = [...running][each.which % Math.max(1, running.size)] ?? [];
          if (n !== undefined && found !== undefined) {
            running.delete(n);
            if (each.kind === 'again') found.ticket.again('one').then(() => drained(n, found.keys, found.ticket), fail);
            else {
              found.ticket.done();
              outcomes += 1;
            }
          }
        }
        await settled();
        expect(identity(buffer.counts)).toBe(true);
      }
      for (let round = 0; round < 200 && outcomes < admitted; round += 1) {
        for (const group of ['one', 'two']) buffer.release(group);
        await settled();
        for (const [n, { ticket }] of [...running]) {
          running.delete(n);
          ticket.done();
          outcomes += 1;
        }
        await settled();
      }
      expect(outcomes).toBe(admitted);
      expect(buffer.counts).toMatchObject({ waiting: 0, waitingBytes: 0 });
      expect(buffer.hasKeys).toBe(false);
    }),
    { numRuns: 150 },
  );
});

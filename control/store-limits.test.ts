import { describe, expect, test } from '@jest/globals';
import type { OwnerStore, ReplicationStore } from '../backends/backend.ts';
import type { Clock } from '../core/clock.ts';
import { limitedOwner, limitedPlayer } from './store-limits.ts';

const never = new AbortController().signal;

/** A clock on which every limit is over at once, but not before the question was asked. */
class ImpatientClock implements Partial<Clock> {
  waitedMs = 0;

  after(ms: number, act: () => void): () => void {
    this.waitedMs = ms;
    queueMicrotask(act);
    return () => undefined;
  }
}

/** A store that never answers, and heeds no signal. Has private parts, as a store has. */
class SilentStore {
  readonly #asked: string[] = [];
  readonly signals: AbortSignal[] = [];

  get asked(): readonly string[] {
    return this.#asked;
  }

  fenceRows(tables: readonly string[], signal: AbortSignal): Promise<never> {
    return this.#ask(`fenceRows ${tables.join()}`, signal);
  }

  createLog(_stream: unknown, _by: unknown, signal: AbortSignal): Promise<never> {
    return this.#ask('createLog', signal);
  }

  describe(table: string, signal: AbortSignal): Promise<never> {
    return this.#ask(`describe ${table}`, signal);
  }

  takeStream(_stream: unknown, signal: AbortSignal): Promise<never> {
    return this.#ask('takeStream', signal);
  }

  #ask(what: string, signal: AbortSignal): Promise<never> {
    this.#asked.push(what);
    this.signals.push(signal);
    return Promise.withResolvers<never>().promise;
  }
}

function opened() {
  const store = new SilentStore();
  const clock = new ImpatientClock();
  const owner = limitedOwner(store as unknown as OwnerStore, 'new', clock as unknown as Clock);
  const player = limitedPlayer(store as unknown as ReplicationStore, 'new', clock as unknown as Clock);
  return { store, clock, owner, player };
}

describe('a store that is silent', () => {
  test('hangs nobody: the error names store and question, and can be tried again', async () => {
    const { owner, player, store } = opened();
    const error = { reason: 'STORE_UNAVAILABLE', retryable: true };
    await expect(owner.fenceRows(['t'], never)).rejects.toMatchObject({ ...error, message: '"new" did not answer within 10 s (fenceRows)' });
    await expect(player.describe('t', never)).rejects.toMatchObject({ ...error, message: '"new" did not answer within 10 s (describe)' });
    expect(store.asked).toEqual(['fenceRows t', 'describe t']);
  });

  test('is told that it is no longer waited for', async () => {
    const { owner, store } = opened();
    await expect(owner.fenceRows(['t'], never)).rejects.toThrow();
    expect(store.signals[0]?.aborted).toBe(true);
  });

  test('is left at once by whoever aborts', async () => {
    const { owner } = opened();
    await expect(owner.fenceRows(['t'], AbortSignal.abort())).rejects.toMatchObject({ reason: 'CANCELLED' });
  });

  test('may take as long as what it has to wait for by itself', async () => {
    const { clock, owner } = opened();
    await expect(owner.createLog({ id: 's', workflow: 'w', tables: ['t'] }, 1 as never, never)).rejects.toThrow('did not answer');
    expect(clock.waitedMs).toBeGreaterThan(20_000 + 5_000 + 30_000);
  });
});

test('what belongs to a stream is passed on as it is', () => {
  const { clock, player, store } = opened();
  void player.takeStream({ id: 's', workflow: 'w', tables: ['t'] }, never);
  expect(store.signals).toEqual([never]);
  expect(clock.waitedMs).toBe(0);
});

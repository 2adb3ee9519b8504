import { expect, test } from '@jest/globals';
import type { OwnerStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../runtime/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { PeerIndexBuilds } from './index-builds.ts';
import type { PeerStores } from './peer-stores.ts';

const never = new AbortController().signal;
const scope = { workflow: 'w', peer: 'old', tables: ['item'] };

/** A clock that the test turns forward. */
class HandClock implements Partial<Clock> {
  readonly #timers = new Map<symbol, { readonly at: number; readonly act: () => void }>();
  #now = 0;

  after(ms: number, act: () => void): () => void {
    const timer = Symbol('timer');
    this.#timers.set(timer, { at: this.#now + ms, act });
    return () => void this.#timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = this.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        stop();
        reject(signal.reason);
      });
    });
  }

  async forward(ms: number): Promise<void> {
    this.#now += ms;
    for (const [timer, { at, act }] of this.#timers) {
      if (at > this.#now) continue;
      this.#timers.delete(timer);
      act();
    }
    await turn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => systemClock.endOfTurn(resolve));

function opened() {
  const clock = new HandClock();
  const running: { readonly finish: () => void; readonly fail: (error: Error) => void; readonly signal: AbortSignal }[] = [];
  const createIndexes: OwnerStore['createIndexes'] = (_scope, _definitions, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => reject(signal.reason));
    running.push({ finish: resolve, fail: reject, signal });
    return promise;
  };
  const stores = { owner: async <T>(_: string, act: (store: OwnerStore) => Promise<T>) => await act({ createIndexes } as OwnerStore) } as PeerStores;
  const builds = new PeerIndexBuilds(stores, clock as unknown as Clock);
  return { clock, running, builds, ask: (signal = never) => builds.ask('shop', scope, [], signal) };
}

test('a build goes on between the calls that ask after it', async () => {
  const { clock, running, ask } = opened();
  for (let call = 0; call < 3; call += 1) {
    const asked = ask();
    await turn();
    await clock.forward(10_000);
    expect(await asked).toBe(false);
    await clock.forward(5_000);
  }
  const asked = ask();
  running[0]?.finish();
  expect(await asked).toBe(true);
  expect(running).toHaveLength(1);
  // What is there is asked of the store again, by whoever asks again.
  void ask();
  await turn();
  expect(running).toHaveLength(2);
});

test('a call that is lost does not end it; nobody asking any more does', async () => {
  const { clock, running, ask } = opened();
  const lost = new AbortController();
  const asked = ask(lost.signal);
  await turn();
  lost.abort(new SwitchyardError('CANCELLED', 'lost'));
  await expect(asked).rejects.toMatchObject({ reason: 'CANCELLED' });
  await clock.forward(14_000);
  const again = ask();
  await turn();
  await clock.forward(10_000);
  expect([await again, running.length, running[0]?.signal.aborted]).toEqual([false, 1, false]);
  await clock.forward(15_000);
  expect(running[0]?.signal.aborted).toBe(true);
});

test('a failure is told to whoever asks, and the next call begins anew', async () => {
  const { running, ask, builds } = opened();
  const asked = ask();
  await turn();
  running[0]?.fail(new SwitchyardError('PRECHECK_FAILED', 'no room'));
  await expect(asked).rejects.toMatchObject({ reason: 'PRECHECK_FAILED' });
  const again = ask();
  await turn();
  expect(running).toHaveLength(2);
  await builds[Symbol.asyncDispose]();
  await expect(again).rejects.toMatchObject({ reason: 'CANCELLED' });
});

test('what was made while nobody asked is asked of the store again: the tables may have been made anew', async () => {
  const { clock, running, ask } = opened();
  const first = ask();
  await turn();
  await clock.forward(10_000);
  expect(await first).toBe(false);
  running[0]?.finish();
  await turn();
  void ask();
  await turn();
  expect(running).toHaveLength(2);
});

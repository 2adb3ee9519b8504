import { expect, test } from '@jest/globals';
import type { OwnerStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/logger.ts';
import type { Move } from '../move.ts';
import { buildMessage, IndexBuild } from './index-build.ts';

type Build = (table: string, signal: AbortSignal) => Promise<void>;

/** A clock whose pauses end when the test says so. */
class PatientClock implements Partial<Clock> {
  readonly pauses: number[] = [];
  #wake = (): void => {};

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.pauses.push(ms);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    this.#wake = resolve;
    return promise;
  }

  wake(): void {
    this.#wake();
  }
}

function made(build: Build) {
  const clock = new PatientClock();
  const asked: string[] = [];
  const source = { owner: { define: async (tables: readonly string[]) => tables.map((name) => ({ schema: { name } })) } };
  const createIndexes: OwnerStore['createIndexes'] = async (scope, definitions, signal) => {
    asked.push(`${scope.workflow} ${scope.peer} ${scope.tables.join()} of ${definitions.map(({ schema }) => schema.name).join()}`);
    await build(scope.tables.join(), signal);
  };
  const move = { name: 'w', tables: ['a', 'b', 'adopted'], source: { keyspace: 'old', ...source }, target: { keyspace: 'new', owner: { createIndexes } } } as unknown as Move;
  const log = createLogger('test', 'silent');
  return { build: new IndexBuild(move, { clock: clock as unknown as Clock, log }), clock, asked };
}

const turn = (): Promise<void> => new Promise((resolve) => systemClock.endOfTurn(resolve));

test('asks for the indexes of the tables that were made, one after the other, with the definitions of all', async () => {
  const { build, asked } = made(async () => {});
  await build.begin({ createdTables: ['b', 'a'] });
  expect(asked).toEqual(['w old b of a,b,adopted', 'w old a of a,b,adopted']);
  expect(build.status).toEqual({ kind: 'done' });
});

test('of no table asks for nothing', async () => {
  const { build, asked } = made(async () => {});
  await build.begin({ createdTables: [] });
  expect([asked, build.status.kind]).toEqual([[], 'done']);
});

test('says what it does, and stops at once when it is told to, to be begun again', async () => {
  let isOver = false;
  const { build } = made(
    (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          isOver = true;
          reject(signal.reason);
        });
      }),
  );
  const ended = build.begin({ createdTables: ['a'] });
  await turn();
  expect(buildMessage(build.status)).toBe('building indexes of "a"');
  await build.stop();
  await ended;
  expect([isOver, build.status]).toEqual([true, { kind: 'stopped' }]);
  void build.begin({ createdTables: ['a'] });
  expect(build.status.kind).toBe('building');
  await build[Symbol.asyncDispose]();
});

test('a failure is said, and tried again: soon where it may pass, else every half minute', async () => {
  const failures = [new SwitchyardError('STORE_UNAVAILABLE', 'gone'), new SwitchyardError('PRECHECK_FAILED', 'no room')];
  const { build, clock, asked } = made(async () => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
  });
  const ended = build.begin({ createdTables: ['a'] });
  await turn();
  expect(buildMessage(build.status)).toBe('indexes of "a" could not be built, tried again: STORE_UNAVAILABLE: gone');
  clock.wake();
  await turn();
  expect(buildMessage(build.status)).toBe('indexes of "a" could not be built, tried again every 30 s, and the copy is kept: PRECHECK_FAILED: no room');
  clock.wake();
  await ended;
  expect([asked.length, clock.pauses, build.status.kind]).toEqual([3, [1_000, 30_000], 'done']);
});

test('a failure that is waited out ends with the build', async () => {
  const { build } = made(async () => {
    throw new SwitchyardError('PRECHECK_FAILED', 'no room');
  });
  const ended = build.begin({ createdTables: ['a'] });
  await turn();
  await build.stop();
  await ended;
  expect(build.status).toEqual({ kind: 'stopped' });
});

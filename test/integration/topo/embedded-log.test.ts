import { mkdtemp, open as openFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { ConfigError } from '../../../runtime/config-file.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { deleteKey, setKey } from '../../../topo/embedded/state/key-operations.ts';
import { TopologyStore } from '../../../topo/embedded/state/topology-store.ts';

/* The log of the embedded topology: what was answered is there after a crash at any byte, and nothing else is. */

let directory: string;
let torn: number[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-log-'));
  torn = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const logFile = (): string => join(directory, 'topology.log');
const open = (compactAtBytes = 1 << 20): Promise<TopologyStore> =>
  TopologyStore.open({ directory, clock: systemClock, compactAtBytes, onTorn: (bytes) => torn.push(bytes), onFailure: () => undefined });

async function put(store: TopologyStore, key: string, value: string): Promise<void> {
  store.write((draft) => setKey(draft, { key, value: Buffer.from(value).toString('base64'), flags: 0 }));
  await store.settled();
}

/** Everything that a client could see. */
const shown = (store: TopologyStore) => ({ entries: store.state.tree(''), sessions: store.state.sessions(), marks: store.state.marks() });

test('a log cut off at any byte gives back whole writes only, in order, and goes on with higher indexes', async () => {
  const states: ReturnType<typeof shown>[] = [];
  const sizes: number[] = [];
  {
    await using store = await open();
    for (let i = 0; i < 8; i += 1) {
      states.push(shown(store));
      sizes.push((await stat(logFile())).size);
      if (i % 3 === 2) {
        store.write((draft) => deleteKey(draft, 'b'));
        await store.settled();
      } else await put(store, i % 2 === 0 ? 'a' : 'b', `value ${i}`);
    }
    states.push(shown(store));
    sizes.push((await stat(logFile())).size);
  }
  const whole = await readFile(logFile());
  expect(sizes.at(-1)).toBe(whole.length);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: sizes[0] ?? 0, max: whole.length }), async (cutAt) => {
      await writeFile(logFile(), whole.subarray(0, cutAt));
      torn = [];
      const complete = sizes.filter((size) => size <= cutAt).length - 1;
      {
        await using store = await open();
        expect(shown(store)).toEqual(states[complete]);
        expect(torn).toEqual(cutAt === sizes[complete] ? [] : [cutAt - (sizes[complete] ?? 0)]);
        await put(store, 'after', 'x');
        expect(store.state.entry('after')?.modifyIndex).toBeGreaterThan(states[complete]?.marks.index ?? 0);
      }
      await using again = await open();
      expect(again.state.entry('after')).toBeDefined();
    }),
    { numRuns: 25 },
  );
});

test('a record with a wrong byte, be it the last one, and a file that is none of ours or empty are refused, and left as they are', async () => {
  {
    await using store = await open();
    for (const value of ['1', '2', '3']) await put(store, 'a', value);
  }
  const whole = await readFile(logFile());
  const withWrongByteAt = (at: number): Buffer => {
    const copy = Buffer.from(whole);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };
  // The last one was answered: it has its newline.
  for (const content of [withWrongByteAt(whole.length - 10), withWrongByteAt(Math.round(whole.length / 2)), Buffer.from('something else\n'), Buffer.alloc(0)]) {
    await writeFile(logFile(), content);
    const opened = open();
    await expect(opened).rejects.toThrow(/topology\.log is damaged at byte \d+/);
    await expect(opened).rejects.toThrow(ConfigError);
    expect(await readFile(logFile())).toEqual(content);
  }
  expect(torn).toEqual([]);
});

test('what a killed server has written is synced before anybody is told of it', async () => {
  {
    await using store = await open();
    await put(store, 'a', '1');
  }
  const handle = await openFile(logFile());
  const datasync = jest.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'datasync');
  await handle.close();
  try {
    await using _store = await open();
    expect(datasync).toHaveBeenCalledTimes(1);
  } finally {
    datasync.mockRestore();
  }
});

test('the log is compacted as it grows, and nothing is lost by that: entries, deletions, sessions, indexes', async () => {
  let before: ReturnType<typeof shown>;
  {
    await using store = await open(20_000);
    store.write((draft) => draft.putSession({ id: 's', name: 'one', behavior: 'release', ttl: '10s', ttlMs: 10_000, lockDelayMs: 0, createIndex: draft.index }));
    for (let i = 0; i < 300; i += 1) {
      // Several at once, so that a compaction comes while others wait.
      for (const key of ['a', 'b', `gone/${i}`]) store.write((draft) => setKey(draft, { key, value: Buffer.from(`${key} ${i} ${'x'.repeat(200)}`).toString('base64'), flags: i }));
      store.write((draft) => deleteKey(draft, `gone/${i}`));
      if (i % 5 === 0) await store.settled();
    }
    await store.settled();
    before = shown(store);
    expect((await stat(logFile())).size).toBeLessThan(200_000);
  }
  await using store = await open();
  expect(shown(store)).toEqual(before);
  expect(before.marks.tombstones).toHaveLength(300);
  expect(before.sessions).toHaveLength(1);
});

test('what is written while the disk is busy goes there as one record, and every writer waits for it', async () => {
  await using store = await open();
  const records = async (): Promise<number> => (await readFile(logFile(), 'utf8')).trim().split('\n').length;
  const before = await records();
  for (let i = 0; i < 50; i += 1) store.write((draft) => setKey(draft, { key: `k${i}`, value: '', flags: 0 }));
  await store.settled();
  expect(await records()).toBe(before + 1);
  expect(store.state.tree('k')).toHaveLength(50);
});

describe('a data directory', () => {
  test('has one owner at a time', async () => {
    const first = await open();
    await expect(open()).rejects.toThrow(/is in use by another topology server/);
    await first[Symbol.asyncDispose]();
    await using _second = await open();
  });
});

test('of more deletions than are remembered one by one, lists never go back to an older index', async () => {
  await using store = await open();
  const add = (key: string): void => void store.write((draft) => setKey(draft, { key, value: '', flags: 0 }));
  add('kept/a');
  let highest = 0;
  const look = (): void => {
    const index = store.state.treeIndex('kept/', store.state.tree('kept/'));
    expect(index).toBeGreaterThanOrEqual(highest);
    highest = index;
  };
  for (let i = 0; i < 9_000; i += 1) {
    const key = i % 100 === 0 ? `kept/${i}` : `other/${i}`;
    add(key);
    if (i % 100 === 0) look();
    store.write((draft) => deleteKey(draft, key));
    if (i % 100 === 0) look();
  }
  await store.settled();
});

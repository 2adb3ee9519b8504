import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import type { KeptLog } from '../../backends/backend.ts';
import { attempt, type Position } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { type StoresSource, useArmedStores } from './armed-stores.ts';
import { allRows, begin, catchUp, FORWARD, type MoveStores, never, play, type StoreUnderTest } from './move-stores.ts';

export const MIB = 2 ** 20;

export interface KeptLogsDialect {
  readonly name: string;
  /** Adds some 5 MiB to what the log of the moving tables keeps. */
  readonly grow: (store: StoreUnderTest) => Promise<unknown>;
  /** Lets the store notice now what is kept for nobody any more. */
  readonly settle: (store: StoreUnderTest) => Promise<unknown>;
}

/** The one log that the store of a suite has. */
export async function onlyLog({ owner }: StoreUnderTest): Promise<KeptLog> {
  const logs = await owner.keptLogs(never());
  expect(logs).toHaveLength(1);
  return logs[0] as KeptLog;
}

/** What is kept for logs, for kinds of stores that keep it for them: how much is told, and one that keeps too much can be let go without anybody going on behind the hole. */
export function keptLogsContract({ name, grow, settle }: KeptLogsDialect, start: () => Promise<StoresSource>): void {
  describe(`${name}: what logs keep`, () => {
    let stores: MoveStores;
    let schemas: ReadonlyMap<string, TableSchema>;
    useArmedStores(start, (armed) => {
      ({ stores, schemas } = armed);
    });

    const insert = (row: string): Promise<unknown> => stores.source.sql(`INSERT INTO item (name) VALUES ('${row}')`);
    const names = async (): Promise<readonly string[]> => {
      const item = schemas.get('item') as TableSchema;
      const at = item.columns.findIndex((column) => column.name === 'name');
      return (await allRows(stores.target, item)).map((row) => (row.split(' | ')[at] ?? '').replaceAll('"', ''));
    };
    const lost = {
      reason: 'STREAM_FAILED',
      metadata: { stream: FORWARD.id, problem: 'LOG_LOST' },
      message: expect.stringMatching(/no longer keeps the log from .* on: .*cancel it and create it anew.*no way back any more/),
    };

    test('grows while nobody reads, and shrinks when it is read', async () => {
      const before = await onlyLog(stores.source);
      expect(before).toMatchObject({ stream: FORWARD.id, bytes: expect.any(Number) });
      expect(before.followed).not.toBe(true);
      await grow(stores.source);
      const grown = await onlyLog(stores.source);
      expect(grown.bytes - before.bytes).toBeGreaterThan(4 * MIB);
      expect(grown.bytes - before.bytes).toBeLessThan(9 * MIB);
      for (let round = 1; (await onlyLog(stores.source)).bytes > MIB; round += 1) {
        expect(round).toBeLessThan(12);
        await settle(stores.source);
        await insert(`round ${round}`);
        // What has been confirmed is told the store within a second or two.
        const until = performance.now() + 2_500;
        await play(stores, schemas, () => performance.now() > until);
      }
    });

    test('one is dropped only while it keeps so much', async () => {
      const { name: log } = await onlyLog(stores.source);
      expect(await stores.source.owner.dropKeptLog(log, 4 * MIB, never())).toBe(false);
      await grow(stores.source);
      expect(await stores.source.owner.dropKeptLog(log, 40 * MIB, never())).toBe(false);
      expect(await stores.source.owner.dropKeptLog(`${log}_`, 0, never())).toBe(false);
      await insert('still there');
      await catchUp(stores, schemas, 1);
      await grow(stores.source);
      expect(await stores.source.owner.dropKeptLog(log, 4 * MIB, never())).toBe(true);
      expect(await stores.source.owner.keptLogs(never())).toEqual([]);
      expect(await stores.source.owner.dropKeptLog(log, 0, never())).toBe(false);
      await insert('the store serves');
    });

    test('its stream does not go on, neither without a log nor from one that is begun later', async () => {
      await insert('read');
      await catchUp(stores, schemas, 1);
      await grow(stores.source);
      const { name: log } = await onlyLog(stores.source);
      expect(await stores.source.owner.dropKeptLog(log, MIB, never())).toBe(true);
      await insert('in no log');
      const without = catchUp(stores, schemas, 2);
      await expect(without).rejects.toMatchObject(lost);
      await expect(without).rejects.toThrow('control drops a log that keeps more than logs.dropMiB');
      const later = await stores.source.owner.createLog(FORWARD, attempt(1), never());
      expect((await onlyLog(stores.source)).name).toBe(log);
      await insert('in the later log');
      await expect(catchUp(stores, schemas, 3)).rejects.toMatchObject(lost);
      expect(await names()).not.toContain('in the later log');
      // Only who begins the stream anew, and so copies anew, follows the later one.
      await begin(stores.target.owner, FORWARD, later);
      await catchUp(stores, schemas, 4);
      expect(await names()).toContain('in the later log');
    });

    test('an attempt that came before the one whose log was dropped cannot begin it', async () => {
      await stores.source.owner.createLog(FORWARD, attempt(5), never());
      await grow(stores.source);
      expect(await stores.source.owner.dropKeptLog((await onlyLog(stores.source)).name, MIB, never())).toBe(true);
      await expect(stores.source.owner.createLog(FORWARD, attempt(4), never())).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
      expect(await stores.source.owner.keptLogs(never())).toEqual([]);
    });

    test('its reader ends, and reads nothing of what is written later', async () => {
      const { position } = await stores.target.player.takeStream(FORWARD, never());
      const seen: string[] = [];
      const read = async (from: Position): Promise<void> => {
        await using feed = stores.source.player.follow(FORWARD, schemas, from, never());
        for await (const transactions of feed) seen.push(...transactions.flatMap(({ events }) => events.map((event) => inspect(event, { depth: 5 }))));
      };
      await insert('first');
      const reading = read(position);
      const ended = reading.then(
        () => null,
        (error: unknown) => error,
      );
      await waitUntil('the first change', { limitMs: 10_000 }, async () => (seen.length > 0 ? true : undefined));
      await grow(stores.source);
      expect(await stores.source.owner.dropKeptLog((await onlyLog(stores.source)).name, MIB, never())).toBe(true);
      await insert('after the end');
      // A reader whose connection was ended hears only then that there is nothing to come back to.
      expect(['STREAM_FAILED', 'STORE_UNAVAILABLE']).toContain(((await ended) as { reason: string }).reason);
      await expect(read(position)).rejects.toMatchObject(lost);
      expect(seen.some((event) => event.includes('after the end'))).toBe(false);
    });

    test('what is told for doing it by hand drops it as well', async () => {
      await stores.source.sql((await onlyLog(stores.source)).dropText, 'owner');
      expect(await stores.source.owner.keptLogs(never())).toEqual([]);
      await expect(catchUp(stores, schemas, 1)).rejects.toMatchObject(lost);
    });

    test('a store that was never prepared has none', async () => {
      expect(await stores.target.owner.keptLogs(never())).toEqual([]);
    });
  });
}

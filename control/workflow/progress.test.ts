import { describe, expect, test } from '@jest/globals';
import { REQUESTS } from '../../core/request-record.ts';
import { CopyTally } from './progress.ts';

const done = { lastKey: null, rows: 3, done: true };

describe('the tally of a copy', () => {
  test('is done when every table and the records of requests are; only the tables are shown', () => {
    const tally = new CopyTally({ tables: ['a', 'b'], progress: [] });
    tally.record('a', done, 1);
    tally.record('b', done, 1);
    expect(tally.done).toBe(false);
    tally.record(REQUESTS, { ...done, done: false }, 1);
    expect(tally.done).toBe(false);
    tally.record(REQUESTS, done, 1);
    expect(tally.done).toBe(true);
    expect(tally.tables.map(({ table }) => table)).toEqual(['a', 'b']);
  });

  test('is not done before every table is', () => {
    const tally = new CopyTally({ tables: ['a', 'b'], progress: [] });
    tally.record('a', done, 1);
    tally.record(REQUESTS, done, 1);
    expect(tally.done).toBe(false);
  });

  test('tells the pace of the last minute, and how long the copy takes at that pace', () => {
    const tally = new CopyTally({ tables: ['a', 'b'], progress: [{ table: 'a', rowsCopied: 400, rowsTotal: 0, bytesCopied: 4_000, done: false }] });
    tally.estimate('a', 1_000);
    tally.estimate('b', 200);
    // What an earlier process has copied is no pace of this one's.
    tally.record('a', { lastKey: [1n], rows: 500, done: false }, 0);
    expect(tally.pace(0)).toBeNull();
    tally.record('a', { lastKey: [2n], rows: 600, done: false }, 1_000);
    expect(tally.pace(1_000)).toBeNull();
    expect(tally.pace(10_000)).toEqual({ rowsPerSecond: 10, bytesPerSecond: 100, secondsLeft: 60 });
    expect(tally.tables[0]).toMatchObject({ rowsCopied: 600, bytesCopied: 5_000 });
    // Nothing for over a minute.
    for (let atMs = 11_000; atMs <= 71_000; atMs += 1_000) tally.pace(atMs);
    expect(tally.pace(72_000)).toEqual({ rowsPerSecond: 0, bytesPerSecond: 0 });
  });

  test('does not say how long where a table has more rows than was thought', () => {
    const tally = new CopyTally({ tables: ['a'], progress: [] });
    tally.estimate('a', 10);
    tally.pace(0);
    tally.record('a', { lastKey: [1n], rows: 20, done: false }, 100);
    expect(tally.pace(5_000)).toEqual({ rowsPerSecond: 4, bytesPerSecond: 20 });
  });
});

import { describe, expect, test } from '@jest/globals';
import { REQUESTS } from '../../core/request-record.ts';
import { CopyTally } from './progress.ts';

const done = { lastKey: null, rows: 3, done: true };

describe('the tally of a copy', () => {
  test('is done when every table and the records of requests are; only the tables are shown', () => {
    const tally = new CopyTally({ tables: ['a', 'b'], progress: [] });
    tally.record('a', done);
    tally.record('b', done);
    expect(tally.done).toBe(false);
    tally.record(REQUESTS, { ...done, done: false });
    expect(tally.done).toBe(false);
    tally.record(REQUESTS, done);
    expect(tally.done).toBe(true);
    expect(tally.tables.map(({ table }) => table)).toEqual(['a', 'b']);
  });

  test('is not done before every table is', () => {
    const tally = new CopyTally({ tables: ['a', 'b'], progress: [] });
    tally.record('a', done);
    tally.record(REQUESTS, done);
    expect(tally.done).toBe(false);
  });
});

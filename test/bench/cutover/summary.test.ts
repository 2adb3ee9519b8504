import { expect, test } from '@jest/globals';
import { ColumnStore, type LoadRecord, type Observation, observationFields, type ReadRow, readFields, type WriteRow, writeFields } from './load-record.ts';
import { type OrderedCutover, percentile, summarizeAll, summarizeRuns } from './summary.ts';

test('percentiles are values that were measured', () => {
  expect(percentile([], 0.5)).toBe(0);
  expect(percentile([3], 0.999)).toBe(3);
  expect(percentile([4, 1, 3, 2], 0.5)).toBe(2);
  expect(percentile([4, 1, 3, 2], 1)).toBe(4);
  expect(
    percentile(
      Array.from({ length: 1_000 }, (_, i) => i + 1),
      0.999,
    ),
  ).toBe(999);
});

/** A write every 10 ms for 1 s, the first one of four rows, each acknowledged after 2 ms; those scheduled from 300 to 340 wait until 350. One cutover from 290 to 360, another from 700 to 750 that nobody notices. */
function record(): LoadRecord {
  const writes = new ColumnStore<WriteRow>(writeFields, 4);
  const reads = new ColumnStore<ReadRow>(readFields, 4);
  for (let at = 0; at < 1_000; at += 10) {
    const endedMs = at >= 300 && at <= 340 ? 350 : at + 2;
    writes.push({ kind: at === 0 ? 2 : 0, gateway: 0, scheduledMs: at, issuedMs: at, endedMs, outcome: 1, aid: 1, tid: 1, bid: 1, delta: 1, hid: 0, tries: 1, unknown: 0 });
    reads.push({ gateway: 0, scheduledMs: at, issuedMs: at, endedMs: at + 1, outcome: 1, rows: 2, tries: 1 });
  }
  const observations = new ColumnStore<Observation>(observationFields, 4).snapshot();
  return { secret: '', startedMs: 0, endedMs: 1_000, writes: writes.snapshot(), reads: reads.snapshot(), observations, errors: [], errorCount: 0, failedTries: [], reconnects: [] };
}
const cutovers: OrderedCutover[] = [
  { direction: 'switch', orderedMs: 290, answeredMs: 360, attempts: 1, holdStartMs: 300, holdMs: 50, stepsMs: { fence: 2 } },
  { direction: 'reverse', orderedMs: 700, answeredMs: 750, attempts: 2, holdStartMs: 710, holdMs: 20, stepsMs: {} },
];

test('a run is divided between its cutovers', () => {
  const all = summarizeAll(
    record(),
    [
      { kind: 'missing', what: '', atMs: 320 },
      { kind: 'stale', what: '', atMs: 800 },
    ],
    cutovers,
    0,
  );
  expect(all).toMatchObject({ operations: 200, missing: 1, different: 1, staleReads: 1, slowestWriteMs: 50, slowestReadMs: 1, usualWriteMs: 2, usualReadMs: 1 });
  expect(all).toMatchObject({ holdMsMedian: 20, holdMsMax: 50, waitP99Ms: 50, writesPerSecond: 103, readsPerSecond: 200, callsPerSecond: 200 });
  const [first, second] = summarizeRuns(
    record(),
    [
      { kind: 'missing', what: '', atMs: 320 },
      { kind: 'stale', what: '', atMs: 800 },
    ],
    cutovers,
    0,
  );
  expect(first).toMatchObject({ direction: 'switch', missing: 1, different: 0, slowestWriteMs: 50, operations: 106, stepsMs: { fence: 2 } });
  expect(second).toMatchObject({ direction: 'reverse', attempts: 2, missing: 0, different: 1, slowestWriteMs: 2, operations: 94 });
});

test('the warm-up counts for no latency', () => {
  expect(summarizeAll(record(), [], cutovers, 500)).toMatchObject({ slowestWriteMs: 2, operations: 200 });
});

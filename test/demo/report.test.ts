import { expect, test } from '@jest/globals';
import type { Violation } from '../bench/cutover/judge.ts';
import type { RunSummary, Summary } from '../bench/cutover/summary.ts';
import { isClean, type Outcome, reportOf } from './report.ts';

const summary: Summary = {
  operations: 300,
  errors: 0,
  reconnects: 0,
  missing: 0,
  doubled: 0,
  different: 0,
  staleReads: 0,
  writesPerSecond: 100,
  readsPerSecond: 200,
  callsPerSecond: 250,
  slowestWriteMs: 61,
  slowestReadMs: 9,
  usualWriteMs: 8,
  usualReadMs: 7,
  holdMsMedian: 31,
  holdMsP99: 31,
  holdMsMax: 31,
  waitP99Ms: 60,
};
const run: RunSummary = { ...summary, direction: 'switch', attempts: 1, stepsMs: {} };
const clean: Outcome = { writes: 1_100, reads: 200, totals: summary, runs: [run], rowsCompared: 100_011, violations: [], problems: [] };
const lost: Violation = { kind: 'missing', what: 'write 17 was acknowledged and is not there', atMs: 0 };

test('a clean outcome says so, with its figures', () => {
  expect(isClean(clean)).toBe(true);
  const report = reportOf(clean);
  for (const part of ['1,100 writes', '100,011 rows', '1. switch', '61.0 ms', '31.0 ms', 'Nothing was lost']) expect(report).toContain(part);
});

test.each<[string, Partial<Outcome>, string]>([
  ['a lost write', { violations: [lost] }, 'VIOLATION missing: write 17'],
  ['a failed call', { violations: [{ kind: 'error', what: 'a read failed', atMs: 0 }] }, 'VIOLATION error: a read failed'],
  ['a refused cutover', { problems: ['switch: LAG_TOO_HIGH'] }, 'PROBLEM switch: LAG_TOO_HIGH'],
])('%s is never called clean', (_, change, line) => {
  const outcome = { ...clean, ...change };
  expect(isClean(outcome)).toBe(false);
  expect(reportOf(outcome)).toContain(line);
  expect(reportOf(outcome)).not.toContain('Nothing was lost');
});

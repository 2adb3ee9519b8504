import { describe, expect, test } from '@jest/globals';
import type { FaultReport } from './report.ts';
import { summaryOf } from './summary.ts';

const whole: FaultReport = {
  pieces: 2,
  minutes: 6,
  cutovers: 40,
  operations: 12_000,
  lost: 0,
  doubled: 0,
  stale: 0,
  differing: 0,
  unresolved: 0,
  longestWithoutFlowMs: 2_100,
  slowdown: 1.4,
  faults: {},
  errors: {},
  refusals: {},
  skipped: {},
  violations: [],
};

describe('the summary of a fault run', () => {
  const passed =
    'passed: 2 pieces, 6 minutes under strikes, 40 cutovers, 12,000 operations; nothing lost, doubled or stale, and everything flowed again 2,100 milliseconds after a healing at the latest';

  test('is one sentence when all passed', () => expect(summaryOf(whole, null)).toEqual({ text: passed, isWell: true }));

  test('says when the machine was too slow for its times', () => {
    const text = `${passed.replace('2,100', '6,000')}\npassed, but the machine was up to 3.4 times slower: its times are no evidence`;
    expect(summaryOf({ ...whole, longestWithoutFlowMs: 6_000, slowdown: 3.4 }, null)).toEqual({ text, isWell: true });
    expect(summaryOf({ ...whole, slowdown: 3.4 }, null)).toEqual({ text: passed, isWell: true });
  });

  test('counts violations', () => expect(summaryOf({ ...whole, violations: ['missing: a write'], lost: 1 }, null)).toEqual({ text: 'FAILED: 1 violation', isWell: false }));

  test('of the coordinator names steps and outage', () => {
    const report = { eachStep: 1, steps: ['fence', 'commit'], cases: 4, operations: 100, worstOutageMs: 900, slowestReadMs: 30, violations: [] };
    expect(summaryOf(report, null)).toEqual({
      text: "passed: each of 2 steps followed by 1 death and 1 pause, 4 cases; nothing lost, doubled or stale, and writes flowed again 900 milliseconds beyond the hold's budget at the latest",
      isWell: true,
    });
    expect(summaryOf({ ...report, violations: ['late'] }, null).isWell).toBe(false);
  });
});

describe('a run without a safeguard', () => {
  test('is well when it has found harm', () => {
    const report = { ...whole, lost: 3, stale: 2, violations: ['missing: a write'] };
    expect(summaryOf(report, 'marker')).toEqual({ text: 'found without the marker, as it has to be: 3 lost, 2 stale', isWell: true });
  });

  test.each([
    ['nothing', [], 'NOT NOTICED: nothing lost, doubled, stale or differing without the fence'],
    ['something else', ['late'], 'NOT NOTICED: nothing lost, doubled, stale or differing without the fence; 1 violation of other kinds'],
  ])('is not well when it has found %s', (_, violations, text) => {
    expect(summaryOf({ ...whole, violations }, 'fence')).toEqual({ text, isWell: false });
  });
});

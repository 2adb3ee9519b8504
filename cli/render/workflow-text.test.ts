import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { CutoverSchema, VerificationSchema, WorkflowSchema, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { cutoverText, verificationText, workflowLine, workflowText } from './workflow-text.ts';

test('the line of a copy: with its share once it is known, and without a stray blank before', () => {
  const copying = (rowsCopied: bigint, rowsTotal: bigint, message: string) =>
    create(WorkflowSchema, { name: 'w', state: WorkflowState.COPYING, message, progress: [{ table: 't', rowsCopied, rowsTotal, done: false }] });
  expect(workflowLine(copying(1_000n, 4_000n, ''))).toBe('w: copying, 1,000 of about 4,000 rows copied 25 %');
  const paced = create(WorkflowSchema, { name: 'w', state: WorkflowState.COPYING, pace: { rowsPerSecond: 41_000n, bytesPerSecond: 4_230_000n, secondsLeft: 7_260n } });
  expect(workflowLine(paced)).toBe('w: copying, 41,000 rows and 4.2 MB a second, about 2 h 1 min left');
  expect(workflowLine(copying(0n, 1n, ''))).toBe('w: copying, 0 of about 1 row copied 0 %');
  expect(workflowLine(copying(0n, 0n, 'STORE_UNAVAILABLE: away'))).toBe('w: copying, STORE_UNAVAILABLE: away');
});

test('a cutover of several attempts says why each came to nothing', () => {
  const lines = (cutover: MessageInitShape<typeof CutoverSchema>) => cutoverText(create(CutoverSchema, { to: 2, ...cutover })).split('\n');
  const aborted = [
    { attempt: 3n, reason: 'HOLD_BUDGET', message: 'too slow' },
    { attempt: 4n, reason: 'LAG_TOO_HIGH', message: '' },
  ];
  expect(lines({ outcome: 'switched', attempts: 1 })[0]).toMatch(/: switched$/);
  expect(lines({ outcome: 'switched', attempts: 3, aborted }).slice(0, 4)).toEqual([
    expect.stringMatching(/: switched after 3 attempts$/),
    'attempt 3 came to nothing: HOLD_BUDGET (too slow)',
    'attempt 4 came to nothing: LAG_TOO_HIGH',
    expect.stringContaining('writes were held'),
  ]);
  expect(lines({ outcome: 'aborted', attempts: 5, reason: 'LAG_TOO_HIGH', message: '80 ms' })[0]).toMatch(/: aborted after 5 attempts: LAG_TOO_HIGH \(80 ms\)$/);
});

test('how much of a table is copied is said of its rows, not of its bytes', () => {
  const progress = [
    { table: 'a', rowsCopied: 1_200n, rowsTotal: 2_000n, bytesCopied: 59_000n },
    { table: 'b', rowsCopied: 7n, rowsTotal: 7n, bytesCopied: 90n, done: true },
    { table: 'c' },
  ];
  const text = workflowText(create(WorkflowSchema, { name: 'w', tables: ['a', 'b', 'c'], progress }));
  expect(text.split('\n').map((line) => line.split(/ {2,}/))).toEqual(
    expect.arrayContaining([
      ['TABLE', 'ROWS COPIED', 'BYTES'],
      ['a', '1,200 of about 2,000', '59 kB'],
      ['b', '7', '90 B', 'done'],
      ['c', '0', '0 B'],
    ]),
  );
});

test('a verification says of how many differences it shows some, and one is one', () => {
  const one = (key: string, what: string) => ({ table: 't', key, what });
  const text = (differences: bigint, sample: readonly object[]) => verificationText(create(VerificationSchema, { rowsCompared: 1n, differences, sample: [...sample] }));
  expect(text(1n, [one('1', 'a'), one('1', 'b')])).toMatch(/: 1 row compared, 1 DIFFERENCE\nTABLE[^\n]*\nt[^\n]*\nt[^\n]*$/);
  expect(text(37n, [one('1', 'a'), one('1', 'b'), one('2', 'missing in target')])).toMatch(/1 row compared, 37 DIFFERENCES\n[\s\S]*\n2 of 37 differences shown$/);
});

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { CutoverSchema, WorkflowSchema, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { cutoverText, workflowLine } from './workflow-text.ts';

test('the line of a copy: with its share once it is known, and without a stray blank before', () => {
  const copying = (rowsCopied: bigint, rowsTotal: bigint, message: string) =>
    create(WorkflowSchema, { name: 'w', state: WorkflowState.COPYING, message, progress: [{ table: 't', rowsCopied, rowsTotal, done: false }] });
  expect(workflowLine(copying(1_000n, 4_000n, ''))).toBe('w: copying, 1,000 of about 4,000 rows copied 25 %');
  const paced = create(WorkflowSchema, { name: 'w', state: WorkflowState.COPYING, pace: { rowsPerSecond: 41_000n, bytesPerSecond: 4_230_000n, secondsLeft: 7_260n } });
  expect(workflowLine(paced)).toBe('w: copying, 0 of about 0 rows copied, 41,000 rows and 4.2 MB a second, about 2 h 1 min left');
  expect(workflowLine(copying(0n, 0n, 'STORE_UNAVAILABLE: away'))).toBe('w: copying, 0 of about 0 rows copied, STORE_UNAVAILABLE: away');
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

import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { CutoverSchema, WorkflowSchema, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { cutoverText, workflowLine } from './workflow-text.ts';

test('the line of a copy: with its share once it is known, and without a stray blank before', () => {
  const copying = (rowsCopied: bigint, rowsTotal: bigint, message: string) =>
    create(WorkflowSchema, { name: 'w', state: WorkflowState.COPYING, message, progress: [{ table: 't', rowsCopied, rowsTotal, done: false }] });
  expect(workflowLine(copying(1_000n, 4_000n, ''))).toBe('w: copying, 1,000 of about 4,000 rows copied 25 %');
  expect(workflowLine(copying(0n, 0n, 'STORE_UNAVAILABLE: away'))).toBe('w: copying, 0 of about 0 rows copied, STORE_UNAVAILABLE: away');
});

test('a cutover of several attempts says why the last one failed, and where the others are told of', () => {
  const firstLine = (cutover: { outcome: string; attempts: number; reason?: string; message?: string }) => cutoverText(create(CutoverSchema, { to: 2, ...cutover })).split('\n')[0];
  expect(firstLine({ outcome: 'switched', attempts: 1 })).toMatch(/: switched$/);
  expect(firstLine({ outcome: 'switched', attempts: 2 })).toMatch(/: switched after 2 attempts \(why the others came to nothing is in control's log\)$/);
  expect(firstLine({ outcome: 'aborted', attempts: 5, reason: 'LAG_TOO_HIGH', message: '80 ms' })).toMatch(/: aborted after 5 attempts: LAG_TOO_HIGH \(80 ms\)$/);
});

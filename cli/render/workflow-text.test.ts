import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { WorkflowSchema, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { workflowLine } from './workflow-text.ts';

test('the line of a copy: with its share once it is known, and without a stray blank before', () => {
  const copying = (rowsCopied: bigint, rowsTotal: bigint, message: string) =>
    create(WorkflowSchema, { name: 'w', state: WorkflowState.COPYING, message, progress: [{ table: 't', rowsCopied, rowsTotal, done: false }] });
  expect(workflowLine(copying(1_000n, 4_000n, ''))).toBe('w: copying, 1,000 of about 4,000 rows copied 25 %');
  expect(workflowLine(copying(0n, 0n, 'STORE_UNAVAILABLE: away'))).toBe('w: copying, 0 of about 0 rows copied, STORE_UNAVAILABLE: away');
});

import { expect, test } from '@jest/globals';
import { cutoverLimitsSchema, type WorkflowDocument } from '../../core/workflow-document.ts';
import { limitsWith, updateLimits } from './limits.ts';
import type { ServiceContext } from './service-context.ts';

const limits = cutoverLimitsSchema.parse({});
const set = (state: WorkflowDocument['state']) => {
  let document = { state, limits } as unknown as WorkflowDocument;
  const topology = {
    workflow: async () => ({ value: document, index: 1 }),
    updateWorkflow: async (_: string, change: (current: WorkflowDocument) => WorkflowDocument) => {
      document = change(document);
    },
  };
  const message = { ...limitsMessage, attempts: 7 };
  return updateLimits({ deps: { topology } } as unknown as ServiceContext, 'm1', message, new AbortController().signal);
};
const limitsMessage = {
  $typeName: 'switchyard.control.v1.CutoverLimits',
  holdBudgetMs: 0,
  attempts: 0,
  lagMs: 0,
  verificationAgeS: 0,
  transactionAgeMs: 0,
  leastCopyShare: 0,
  mostCopyShare: 0,
} as const;

test('limits are those of a workflow that goes on', async () => {
  expect((await set('copying')).limits).toEqual({ ...limits, attempts: 7 });
  await expect(set('completed')).rejects.toMatchObject({ reason: 'WORKFLOW_STATE', message: 'the workflow is completed: it has ended' });
  await expect(set('failed')).rejects.toMatchObject({ reason: 'WORKFLOW_STATE', message: expect.stringMatching(/^the workflow is failed: .*cancel it$/) });
});

test('what is out of range is refused by its field', () => {
  expect(() => limitsWith('limits', { ...limitsMessage, lagMs: -5 })).toThrow(/^limits\.lagMs: /);
  expect(() => limitsWith('limits', { ...limitsMessage, leastCopyShare: 50, mostCopyShare: 20 })).toThrow(
    'limits.leastCopyShare (--least-copy-share): 50 is more than limits.mostCopyShare (--most-copy-share), 20',
  );
});

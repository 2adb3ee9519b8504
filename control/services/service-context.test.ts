import { expect, test } from '@jest/globals';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import { createLogger } from '../../runtime/logger.ts';
import { type ServiceContext, waitForWorkflow } from './service-context.ts';

/** A topology that gives these answers one after the other, and a view in which something changes all the time. */
function contextOf(answers: readonly (SwitchyardError | Partial<WorkflowDocument> | null)[]): ServiceContext {
  const left = [...answers];
  const workflow = async () => {
    const answer = left.shift() ?? null;
    if (answer instanceof SwitchyardError) throw answer;
    return answer === null ? null : { value: answer, index: 1 };
  };
  return { deps: { topology: { workflow }, log: createLogger('test', 'silent') }, view: { changed: async () => {} } } as unknown as ServiceContext;
}

const away = new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no answer');
const wait = (context: ServiceContext, signal = new AbortController().signal) =>
  waitForWorkflow(context, 'move', signal, async ({ message }) => {
    if (message === 'failed') throw new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'so the cutover ended');
    return message === 'done' ? 'answer' : undefined;
  });

test('a topology that does not answer for a while keeps whoever waits waiting', async () => {
  expect(await wait(contextOf([{ message: '' }, away, away, { message: 'done' }]))).toBe('answer');
});

test('what the workflow has come to is told, whatever its reason, and so is one that is gone', async () => {
  await expect(wait(contextOf([away, { message: 'failed' }]))).rejects.toThrow('so the cutover ended');
  await expect(wait(contextOf([away, null]))).rejects.toMatchObject({ reason: 'WORKFLOW_UNKNOWN' });
});

test('the call ends with its signal all the same', async () => {
  await expect(wait(contextOf([away]), AbortSignal.abort())).rejects.toBe(away);
});

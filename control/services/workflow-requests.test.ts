import { expect, test } from '@jest/globals';
import { cutoverLimitsSchema, type WorkflowDocument, type WorkflowRequest } from '../../core/workflow-document.ts';
import { createLogger } from '../../runtime/logger.ts';
import type { ServiceContext } from './service-context.ts';
import { type RequestCall, requestAndWait } from './workflow-requests.ts';

const running = (request?: Partial<WorkflowRequest>): WorkflowDocument => ({
  nonce: '',
  name: 'move',
  source: 'old',
  target: 'new',
  tables: ['item'],
  limits: cutoverLimitsSchema.parse({}),
  state: 'running',
  message: '',
  createdAt: '',
  journal: [],
  createdTables: [],
  progress: [],
  cutovers: [],
  ...(request === undefined ? {} : { request: { kind: 'verify', id: 'first', at: '', keepData: false, repair: false, ...request } }),
});

/** A topology with this workflow, whose runner ends what is asked for as soon as somebody waits for it, unless `instead` does something else. */
function contextOf(begun: WorkflowDocument, instead?: (document: WorkflowDocument) => WorkflowDocument) {
  let document = begun;
  const ended = (current: WorkflowDocument): WorkflowDocument => {
    const { request, ...rest } = current;
    return request === undefined ? current : { ...rest, finished: { id: request.id } };
  };
  const topology = {
    workflow: async () => ({ value: document, index: 1 }),
    updateWorkflow: async (_: string, change: (current: WorkflowDocument) => WorkflowDocument | null) => {
      document = change(document) ?? document;
    },
  };
  const changed = async () => {
    document = (instead ?? ended)(document);
  };
  const deps = { topology, log: createLogger('test', 'silent'), newId: () => 'second', clock: { now: () => 0 } };
  return { context: { deps, view: { changed } } as unknown as ServiceContext, now: () => document };
}

const call = (kind: RequestCall['kind'], repair = false): RequestCall => ({ name: 'move', kind, keepData: false, repair, validateOnly: false });
const ask = ({ context }: ReturnType<typeof contextOf>, one: RequestCall) => requestAndWait(context, one, new AbortController().signal);

test.each([
  ['one like it', false, false],
  ['a repair', true, false],
  ['a repair like it', true, true],
])('a verification that is ordered while another runs waits for %s, and answers with its result', async (_, runs, ordered) => {
  const under = contextOf(running({ repair: runs }));
  expect((await ask(under, call('verify', ordered))).finished).toEqual({ id: 'first' });
});

test('a repair takes the place of a verification that repairs nothing, and whoever waits for that one is told', async () => {
  const under = contextOf(running({}));
  expect((await ask(under, call('verify', true))).finished).toEqual({ id: 'second' });

  const replaced = contextOf(running({}), (document) => running({ ...document.request, id: 'third', repair: true }));
  await expect(ask(replaced, call('verify'))).rejects.toMatchObject({
    reason: 'WORKFLOW_STATE',
    message: expect.stringContaining(
      'this verification was ended for one with --repair, which somebody has ordered since: ask for its result with: switchyard movetables verify move',
    ),
  });
});

test('what ends the workflow cuts a verification off, and nothing else may', async () => {
  expect((await ask(contextOf(running({})), call('cancel'))).finished).toEqual({ id: 'second' });
  await expect(ask(contextOf(running({ kind: 'cancel' })), call('verify'))).rejects.toMatchObject({ message: expect.stringContaining('the workflow is busy with "cancel"') });
  const cut = contextOf(running({}), () => running({ kind: 'cancel', id: 'third' }));
  await expect(ask(cut, call('verify'))).rejects.toMatchObject({ message: expect.stringContaining('"verify" gave way to "cancel"') });
});

import { describe, expect, test } from '@jest/globals';
import type { OwnerStore } from '../../backends/backend.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type WorkflowDocument, type WorkflowRequest, workflowDocumentSchema } from '../../core/workflow-document.ts';
import type { ControlDeps, Move, Side } from '../move.ts';
import { isArmed } from './armed-moves.ts';
import { cancelMove, completeMove, type EndingContext } from './ending.ts';
import { endingBegun, type Serving } from './machine.ts';
import { type RequestContext, runRequest } from './requests.ts';
import { WorkflowJournal } from './workflow-journal.ts';

const document = (journal: readonly string[] = ['install', 'claim-source']): WorkflowDocument =>
  workflowDocumentSchema.parse({
    nonce: 'n',
    name: 'w',
    source: 'old',
    target: 'new',
    tables: ['t'],
    limits: {},
    state: 'running',
    createdAt: '',
    journal: journal.map((step) => ({ step, at: '' })),
    createdTables: ['t'],
  });

/** What the ending does to both stores, in order; a call that `refuse` names is refused as by a fence row in another state. */
class Calls {
  readonly made: string[] = [];
  /** Whose the tables are in both stores. */
  owner: string | null = 'w';
  readonly #refuse: string | null;

  constructor(refuse: string | null) {
    this.#refuse = refuse;
  }

  context(serving: Serving, journal?: readonly string[]): EndingContext {
    const move = { name: 'w', tables: ['t'], source: this.#side('source', 'old'), target: this.#side('target', 'new') } as Move;
    const topology = { updateRules: () => this.#call('rules') };
    const deps = { topology, log: { warn: () => undefined }, controlId: 'c' } as unknown as ControlDeps;
    return { move, document: document(journal), deps, serving, stopStreams: async () => undefined, journal: async () => undefined };
  }

  #side(name: Side['name'], keyspace: string): Side {
    const owner = {
      dropLog: () => this.#call(`${name} dropLog`),
      dropStream: () => this.#call(`${name} dropStream`),
      dropTables: () => this.#call(`${name} dropTables`),
      fenceRows: async () => [{ table: 't', state: name === 'source' ? 'OPEN' : 'CLOSED', attempt: 1, peer: name === 'source' ? 'new' : 'old', workflow: this.owner }],
      relaxFence: () => this.#call(`${name} relaxFence`),
      disown: (_scope: unknown, state: unknown) => this.#call(`${name} disown ${String(state)}`),
    };
    return { name, keyspace, kind: 'sqlite', owner: owner as unknown as OwnerStore, player: {} as Side['player'] };
  }

  async #call(what: string): Promise<void> {
    if (what === this.#refuse) throw new SwitchyardError('FENCE_CONFLICT', `${what} is refused`);
    this.made.push(what);
  }
}

const signal = new AbortController().signal;

describe('an ending gives up the row that serves before it drops anything', () => {
  test('cancel', async () => {
    const calls = new Calls(null);
    await cancelMove(calls.context('source'), false, signal);
    expect(calls.made.indexOf('source disown OPEN')).toBeLessThan(calls.made.findIndex((call) => call.includes('drop')));
    expect(calls.made.slice(-3)).toEqual(['target dropTables', 'target disown CLOSED', 'rules']);
  });

  test('complete', async () => {
    const calls = new Calls(null);
    await completeMove(calls.context('target'), signal);
    expect(calls.made.indexOf('target disown OPEN')).toBeLessThan(calls.made.findIndex((call) => call.includes('drop')));
    expect(calls.made.slice(-2)).toEqual(['source disown CLOSED', 'rules']);
  });

  test('and drops nothing when a coordinator that was thought dead has fenced that row, or has switched', async () => {
    const cancelled = new Calls('source disown OPEN');
    await expect(cancelMove(cancelled.context('source'), false, signal)).rejects.toThrow('refused');
    expect(cancelled.made).toEqual(['source relaxFence']);
    const completed = new Calls('target disown OPEN');
    await expect(completeMove(completed.context('target'), signal)).rejects.toThrow('refused');
    expect(completed.made).toEqual([]);
  });
});

describe('an ending that is repeated although it was done, as after Consul was set back', () => {
  test('is done again to its end, and drops no table that it has given back', async () => {
    const calls = new Calls(null);
    calls.owner = null;
    await cancelMove(calls.context('source-given-back'), false, signal);
    expect(calls.made).not.toContain('target dropTables');
    expect(calls.made.at(-1)).toBe('rules');
    await completeMove(calls.context('target-given-back'), signal);
    expect(calls.made.at(-1)).toBe('rules');
  });

  test.each([
    ['cancel', 'target', ['install', 'claim-source']],
    ['cancel', 'target', ['install', 'claim-source', endingBegun('cancel')]],
    ['complete', 'source', ['install', 'claim-source']],
    ['complete', 'source', ['install', 'claim-source', endingBegun('complete')]],
  ] as const)('but no %s where the %s is open', async (kind, open, journal) => {
    const calls = new Calls(null);
    const context = calls.context(`${open}-given-back`, journal);
    for (const state of ['created', 'failed', 'running', 'switched'] as const) {
      const restored = { ...context, document: { ...context.document, state } };
      await expect(kind === 'cancel' ? cancelMove(restored, true, signal) : completeMove(restored, signal)).rejects.toMatchObject({ reason: 'WORKFLOW_STATE' });
    }
    expect(calls.made).toEqual([]);
  });
});

describe('an ending that a switch came before', () => {
  const begun = ['install', 'claim-source', endingBegun('cancel')];
  const request = { kind: 'cancel', id: 'r', at: '', keepData: false, repair: false } as const;

  test('is refused for good, and what it has begun is forgotten', async () => {
    const calls = new Calls(null);
    const { deps, ...context } = calls.context('target', begun);
    let stored = { ...document(begun), request } as WorkflowDocument;
    const updateWorkflow = async (_: string, change: (current: WorkflowDocument) => WorkflowDocument | null): Promise<void> => {
      stored = change(stored) ?? stored;
    };
    const topology = { updateWorkflow };
    const journal = new WorkflowJournal({ ...deps, clock: { now: () => 0 }, topology } as unknown as ControlDeps, 'w');
    const log = { info: () => undefined };
    await runRequest({ ...context, deps: { ...deps, log }, journal } as unknown as RequestContext, request, signal);
    expect(calls.made).toEqual([]);
    expect(stored.request).toBeUndefined();
    expect(stored.finished).toMatchObject({ id: 'r', error: { reason: 'WORKFLOW_STATE', message: expect.stringContaining('the target serves') } });
    expect(stored.journal.map(({ step }) => step)).toEqual(['install', 'claim-source']);
  });

  test('waits while that cutover is under way', async () => {
    const calls = new Calls('source disown OPEN');
    await expect(cancelMove(calls.context('between', begun), false, signal)).rejects.toThrow('refused');
  });
});

test.each([
  ['completed', ['aborted', 'repaired']],
  ['cancelled', ['repaired', 'aborted']],
] as const)('a workflow that is %s has no cutover that goes on: its coordinator has died before it wrote down how it ended', async (kind, outcomes) => {
  const left = (to: string) => ({ to, attempt: 3, attempts: 1, outcome: 'running', startedAt: to });
  let stored = { ...document(), state: 'switched', request: { kind: 'complete', id: 'r', at: '' }, cutovers: [left('source'), left('target')] } as unknown as WorkflowDocument;
  const updateWorkflow = async (_: string, change: (current: WorkflowDocument) => WorkflowDocument | null): Promise<void> => {
    stored = change(stored) ?? stored;
  };
  const journal = new WorkflowJournal({ clock: { now: () => 0 }, topology: { updateWorkflow } } as unknown as ControlDeps, 'w');
  await journal.finish({ kind: 'complete', id: 'r', at: '' } as WorkflowRequest, { error: null, event: { kind } }, signal);
  expect(stored.cutovers.map(({ outcome }) => outcome)).toEqual(outcomes);
});

test('a workflow is watched for repair until it has ended: an ending may come upon a cutover that nobody else would finish', () => {
  expect(isArmed(document(['install']))).toBe(false);
  for (const kind of ['complete', 'cancel'] as const) expect(isArmed(document(['install', 'claim-source', endingBegun(kind)]))).toBe(true);
  expect(isArmed({ ...document(), state: 'completed' })).toBe(false);
});

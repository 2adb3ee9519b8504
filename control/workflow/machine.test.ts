import { describe, expect, test } from '@jest/globals';
import { type WorkflowDocument, workflowDocumentSchema, type WorkflowState, workflowStates } from '../../core/workflow-document.ts';
import { endingBegun, INDEXES_STEP, nextAction, requestProblem, transition, type WorkflowView } from './machine.ts';

const request = { kind: 'complete', id: 'r', at: '', keepData: false, repair: false } as const;
const documentIn = (state: WorkflowState, more: Partial<WorkflowDocument> = {}): WorkflowDocument => ({
  ...workflowDocumentSchema.parse({ nonce: 'n', name: 'w', source: 'old', target: 'new', tables: ['t'], limits: {}, state, createdAt: '', journal: [] }),
  ...more,
});
const view = (state: WorkflowState, more: Partial<WorkflowView> = {}, document: Partial<WorkflowDocument> = {}): WorkflowView => ({
  document: documentIn(state, document),
  serving: 'source',
  want: 'source',
  copied: false,
  ...more,
});

describe('transition', () => {
  test('goes the way from created to completed', () => {
    expect(transition('created', { kind: 'prepared' })).toBe('copying');
    expect(transition('copying', { kind: 'copied' })).toBe('running');
    expect(transition('running', { kind: 'primary', side: 'target' })).toBe('switched');
    expect(transition('switched', { kind: 'primary', side: 'source' })).toBe('running');
    expect(transition('switched', { kind: 'completed' })).toBe('completed');
  });

  test('nothing after the switch fails or cancels it, and what has ended stays ended', () => {
    for (const kind of ['failed', 'cancelled'] as const) expect(transition('switched', { kind })).toBeNull();
    for (const state of ['completed', 'cancelled'] as const) {
      for (const kind of ['prepared', 'copied', 'failed', 'completed', 'cancelled'] as const) expect(transition(state, { kind })).toBeNull();
      expect(transition(state, { kind: 'primary', side: 'target' })).toBeNull();
    }
  });

  test('where the target serves it is switched, whatever was written down before', () => {
    for (const state of ['created', 'copying', 'running', 'switched', 'failed'] as const) expect(transition(state, { kind: 'primary', side: 'target' })).toBe('switched');
    for (const state of ['created', 'copying', 'failed'] as const) expect(transition(state, { kind: 'primary', side: 'source' })).toBeNull();
  });

  test('only a workflow whose source serves can be cancelled', () => {
    expect(workflowStates.filter((state) => transition(state, { kind: 'cancelled' }) !== null)).toEqual(['created', 'copying', 'running', 'failed']);
  });
});

describe('nextAction', () => {
  test('prepares, copies, builds indexes, and runs when these are there', () => {
    const journal = [{ step: INDEXES_STEP, at: '' }];
    expect(nextAction(view('created')).kind).toBe('prepare');
    expect(nextAction(view('copying')).kind).toBe('copy');
    expect(nextAction(view('copying', { copied: true })).kind).toBe('index');
    expect(nextAction(view('copying', { copied: true }, { journal }))).toEqual({ kind: 'become', event: { kind: 'copied' } });
    // A leader that has just taken over does not know yet how far the copy is.
    expect(nextAction(view('copying', {}, { journal })).kind).toBe('copy');
  });

  test('a request goes before the building of indexes', () => {
    expect(nextAction(view('copying', { copied: true }, { request: { ...request, kind: 'cancel' } })).kind).toBe('request');
  });

  test('a workflow that ran before there was such a step runs on', () => {
    for (const state of ['running', 'switched'] as const) {
      const serving = state === 'running' ? 'source' : 'target';
      expect(nextAction(view(state, { serving, want: serving, copied: true }))).toEqual({ kind: 'follow', primary: serving });
    }
  });

  test('follows the side that serves, and switches when another is wanted', () => {
    expect(nextAction(view('running'))).toEqual({ kind: 'follow', primary: 'source' });
    expect(nextAction(view('running', { want: 'target' }))).toEqual({ kind: 'switch', to: 'target' });
    expect(nextAction(view('switched', { serving: 'target', want: 'source' }))).toEqual({ kind: 'switch', to: 'source' });
    expect(nextAction(view('running', { want: null }))).toEqual({ kind: 'follow', primary: 'source' });
  });

  test('believes the fence rows, not the document', () => {
    expect(nextAction(view('running', { serving: 'target', want: 'target' }))).toEqual({ kind: 'become', event: { kind: 'primary', side: 'target' } });
    expect(nextAction(view('switched', { serving: 'source' }))).toEqual({ kind: 'become', event: { kind: 'primary', side: 'source' } });
  });

  test('touches nothing between two sides', () => {
    for (const serving of ['between', 'unknown', 'unclaimed'] as const) {
      expect(nextAction(view('running', { serving, want: 'target' })).kind).toBe('wait');
      expect(nextAction(view('switched', { serving }, { request })).kind).toBe('wait');
    }
  });

  test('a workflow whose tables have been given back can be ended again, and nothing else, by the side that is open', () => {
    expect(nextAction(view('switched', { serving: 'target-given-back' }, { request })).kind).toBe('request');
    expect(nextAction(view('switched', { serving: 'target-given-back', want: 'source' }))).toMatchObject({
      kind: 'wait',
      why: expect.stringMatching(/the target serves: .*complete it again/),
    });
    expect(nextAction(view('running', { serving: 'source-given-back' }, { request: { ...request, kind: 'cancel' } })).kind).toBe('request');
    expect(nextAction(view('running', { serving: 'source-given-back', want: 'target' }))).toMatchObject({
      kind: 'wait',
      why: expect.stringMatching(/the source serves: .*cancel it again/),
    });
    // A backup from before or after the switch that the ending came behind.
    expect(nextAction(view('running', { serving: 'target-given-back' }))).toEqual({ kind: 'become', event: { kind: 'primary', side: 'target' } });
    expect(nextAction(view('switched', { serving: 'source-given-back' }))).toEqual({ kind: 'become', event: { kind: 'primary', side: 'source' } });
  });

  test('what waits says for what', () => {
    for (const serving of ['between', 'unknown', 'unclaimed'] as const)
      expect(nextAction(view('running', { serving }))).toMatchObject({ kind: 'wait', why: expect.stringMatching(/^(waits|its tables)/) });
  });

  test('an ending that has begun goes on although the stores say nothing any more', () => {
    const journal = [{ step: endingBegun('complete'), at: '' }];
    expect(nextAction(view('switched', { serving: 'unclaimed' }, { request, journal })).kind).toBe('request');
  });

  test('a failed workflow waits to be cancelled', () => {
    expect(nextAction(view('failed')).kind).toBe('nothing');
    expect(nextAction(view('failed', {}, { request: { ...request, kind: 'cancel' } })).kind).toBe('request');
  });

  test('a workflow that failed, or has to be prepared, while the target serves is switched: so it can be completed, or reversed', () => {
    for (const state of ['created', 'copying', 'failed'] as const) {
      for (const serving of ['target', 'target-given-back'] as const) {
        expect(nextAction(view(state, { serving }, { request: { ...request, kind: 'cancel' } }))).toEqual({ kind: 'become', event: { kind: 'primary', side: 'target' } });
      }
    }
    // Tables that an earlier move has given back to their source are not in the way of another one.
    expect(nextAction(view('created', { serving: 'source-given-back' })).kind).toBe('prepare');
  });

  test('a request comes before a cutover', () => {
    expect(nextAction(view('switched', { serving: 'target', want: 'source' }, { request })).kind).toBe('request');
  });
});

test('a request that the state does not allow is told the next step', () => {
  expect(requestProblem('running', 'complete')).toBe('the workflow is running: switch its traffic first');
  expect(requestProblem('switched', 'cancel')).toBe('the workflow is switched: complete it, or reverse its traffic first');
  expect(requestProblem('switched', 'complete')).toBeNull();
});

import { describe, expect, test } from '@jest/globals';
import { type WorkflowDocument, workflowDocumentSchema, type WorkflowState, workflowStates } from '../../core/workflow-document.ts';
import { endingBegun, nextAction, requestProblem, transition, type WorkflowView } from './machine.ts';

const request = { kind: 'complete', id: 'r', at: '', keepData: false } as const;
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

  test('only a workflow whose source serves can be cancelled', () => {
    expect(workflowStates.filter((state) => transition(state, { kind: 'cancelled' }) !== null)).toEqual(['created', 'copying', 'running', 'failed']);
  });
});

describe('nextAction', () => {
  test('prepares, copies, and runs when all is copied', () => {
    expect(nextAction(view('created')).kind).toBe('prepare');
    expect(nextAction(view('copying')).kind).toBe('copy');
    expect(nextAction(view('copying', { copied: true }))).toEqual({ kind: 'become', event: { kind: 'copied' } });
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

  test('an ending that has begun goes on although the stores say nothing any more', () => {
    const journal = [{ step: endingBegun('complete'), at: '' }];
    expect(nextAction(view('switched', { serving: 'unclaimed' }, { request, journal })).kind).toBe('request');
  });

  test('a failed workflow waits to be cancelled', () => {
    expect(nextAction(view('failed')).kind).toBe('nothing');
    expect(nextAction(view('failed', {}, { request: { ...request, kind: 'cancel' } })).kind).toBe('request');
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

import { describe, expect, test } from '@jest/globals';
import { type CutoverRecord, type WorkflowDocument, workflowDocumentSchema } from '../../core/workflow-document.ts';
import { withRecord } from './journal.ts';
import { withRepair } from './repair-record.ts';

const record = (attempt: number, more: Partial<CutoverRecord> = {}): CutoverRecord => ({
  attempt,
  to: 'target',
  outcome: 'running',
  startedAt: `2026-01-01T00:00:${String(attempt).padStart(2, '0')}.000Z`,
  attempts: 1,
  holdMs: 0,
  steps: [],
  ...more,
});
const workflow = (cutovers: readonly CutoverRecord[], more: Partial<WorkflowDocument> = {}): WorkflowDocument =>
  workflowDocumentSchema.parse({
    nonce: 'n',
    name: 'move1',
    source: 'old',
    target: 'new',
    tables: ['orders'],
    limits: {},
    state: 'running',
    createdAt: '',
    journal: [],
    cutovers,
    ...more,
  });

describe('writing a record', () => {
  test('adds it once and replaces it from then on', () => {
    const begun = withRecord(workflow([]), record(1), true);
    expect(begun?.cutovers).toEqual([record(1)]);
    const next = record(1, { steps: [{ name: 'lock', startMs: 0, durationMs: 1 }] });
    expect(withRecord(workflow([record(1)]), next, false)?.cutovers).toEqual([next]);
  });

  test('sets the state with the outcome', () => {
    expect(withRecord(workflow([record(1)]), record(1, { outcome: 'switched' }), false)?.state).toBe('switched');
    expect(withRecord(workflow([record(1)]), record(1, { outcome: 'aborted' }), false)?.state).toBe('running');
    const back = record(2, { to: 'source' });
    expect(withRecord(workflow([back], { state: 'switched' }), { ...back, outcome: 'switched' }, false)?.state).toBe('running');
  });

  test('closes what dead coordinators left: nothing came of it, or a repair finished it', () => {
    const outcome = (to: 'source' | 'target'): string | undefined => withRecord(workflow([record(1)]), record(2, { to }), true)?.cutovers[0]?.outcome;
    expect(outcome('target')).toBe('aborted');
    expect(outcome('source')).toBe('repaired');
  });

  test('never makes a closed attempt run again, nor brings a forgotten record back', () => {
    const repaired = record(1, { outcome: 'repaired' });
    expect(withRecord(workflow([repaired]), record(1), false)).toBeNull();
    expect(withRecord(workflow([repaired]), record(1, { outcome: 'switched' }), false)?.cutovers[0]?.outcome).toBe('repaired');
    expect(withRecord(workflow([record(2)]), record(1, { outcome: 'aborted' }), false)).toBeNull();
  });

  test('a late end of an old cutover does not move the state', () => {
    const document = workflow([record(1), record(2, { to: 'source', outcome: 'switched' })]);
    expect(withRecord(document, record(1, { outcome: 'switched' }), false)?.state).toBe('running');
  });

  test('keeps 20', () => {
    const many = Array.from({ length: 20 }, (_, index) => record(index + 1, { outcome: 'aborted' }));
    const attempts = withRecord(workflow(many), record(30), true)?.cutovers.map((entry) => entry.attempt);
    expect(attempts).toHaveLength(20);
    expect(attempts?.at(-1)).toBe(30);
  });
});

describe('a repair', () => {
  test('closes the record of its attempt by where the tables are', () => {
    const document = workflow([record(4)]);
    const target = withRepair(document, { primary: 'target', attempts: [4], message: 'm' });
    expect([target?.cutovers[0]?.outcome, target?.state]).toEqual(['repaired', 'switched']);
    const source = withRepair(document, { primary: 'source', attempts: [4], message: 'm' });
    expect([source?.cutovers[0]?.outcome, source?.state]).toEqual(['aborted', 'running']);
  });

  test('leaves other attempts alone, and a document that says so already', () => {
    expect(withRepair(workflow([record(5)]), { primary: 'source', attempts: [4], message: '' })).toBeNull();
    expect(withRepair(workflow([], { state: 'completed' }), { primary: 'target', attempts: [4], message: '' })).toBeNull();
  });
});

import { describe, expect, test } from '@jest/globals';
import { cutoverLimitsSchema, type CutoverRecord, type WorkflowDocument } from '../../core/workflow-document.ts';
import { withoutWish } from './traffic.ts';

const record = (attempt: number, to: CutoverRecord['to'], outcome: CutoverRecord['outcome'], more: Partial<CutoverRecord> = {}): CutoverRecord => ({
  attempt,
  to,
  outcome,
  startedAt: `2026-01-01T00:00:0${attempt}Z`,
  attempts: 1,
  holdMs: 0,
  steps: [],
  ...more,
});
const workflow = (cutovers: readonly CutoverRecord[], state: WorkflowDocument['state'] = 'running'): WorkflowDocument => ({
  nonce: '',
  name: 'move',
  source: 'old',
  target: 'new',
  tables: ['item'],
  limits: cutoverLimitsSchema.parse({}),
  state,
  message: '',
  createdAt: '',
  journal: [],
  createdTables: [],
  progress: [],
  cutovers: [...cutovers],
});

describe('an order whose wish somebody has overwritten', () => {
  const at = (document: WorkflowDocument, wished = false) => ({ document, wished });
  const none = at(workflow([]));

  test('waits for a cutover that has begun', () => {
    expect(withoutWish(none, workflow([record(1, 'target', 'running')]), 'target')).toBeUndefined();
    expect(withoutWish(at(workflow([record(1, 'target', 'running')]), true), workflow([record(1, 'target', 'running')]), 'target')).toBeUndefined();
  });

  test.each(['switched', 'repaired'] as const)('is done where that one has %s', (outcome) => {
    const done = workflow([record(1, 'target', outcome)], 'switched');
    expect(withoutWish(none, done, 'target')).toBe(done);
    expect(() => withoutWish(none, workflow([record(1, 'target', outcome), record(2, 'source', 'switched')]), 'target')).toThrow(
      /served after attempt 1, and somebody has switched back/,
    );
  });

  test('fails as that one did, not as one of before', () => {
    const before = workflow([record(1, 'target', 'aborted', { reason: 'LAG_TOO_HIGH', message: 'long ago' })]);
    const now = workflow([...before.cutovers, record(2, 'target', 'aborted', { reason: 'PRECHECK_FAILED', message: 'just now' })]);
    expect(() => withoutWish(at(before), now, 'target')).toThrow('just now');
    expect(() => withoutWish(at(before), before, 'target')).toThrow('somebody took back the wish to switch to the target before the cutover began');
    // The order came when it had failed, and before the wish was taken back.
    expect(() => withoutWish(at(before, true), before, 'target')).toThrow('long ago');
  });
});

import { describe, expect, test } from '@jest/globals';
import { rulesDocumentSchema } from '../../core/rules-document.ts';
import { checkChange } from './rules-service.ts';

const known = new Set(['old', 'new']);
const movement = { workflow: 'w', source: 'old', target: 'new', want: 'source' } as const;
const current = rulesDocumentSchema.parse({
  version: 3,
  nonce: 'n',
  changedBy: '',
  changedAt: '',
  defaultKeyspace: 'old',
  tables: { owned: { primary: 'old', names: ['old.owned', 'new.owned'], movement }, free: { primary: 'old' } },
});
const { owned, free } = current.tables;
if (owned === undefined || free === undefined) throw new Error('the document lacks its tables');
const check = (tables: typeof current.tables, defaultKeyspace = 'old'): void => checkChange(current, { defaultKeyspace, keyspaces: {}, tables }, known);

describe('what an operator may change', () => {
  test('a free table as he likes, and which side a workflow should make primary', () => {
    expect(() => check({ owned, free: { ...free, primary: 'new' } })).not.toThrow();
    expect(() => check({ owned })).not.toThrow();
    expect(() => check({ owned: { ...owned, movement: { ...movement, want: 'target' } }, free })).not.toThrow();
  });

  test('nothing else of a table that a workflow owns', () => {
    for (const rule of [{ ...owned, primary: 'new' }, { ...owned, attempt: 9 }, { ...owned, names: [] }, { ...free }]) {
      expect(() => check({ owned: rule, free })).toThrow(expect.objectContaining({ reason: 'TABLE_OWNED' }));
    }
    expect(() => check({ free })).toThrow(expect.objectContaining({ reason: 'TABLE_OWNED' }));
    expect(() => check({ owned, free: { ...free, movement } })).toThrow(expect.objectContaining({ reason: 'TABLE_OWNED' }));
  });

  test('no keyspace that nobody knows', () => {
    expect(() => check({ owned, free: { ...free, primary: 'nowhere' } })).toThrow(expect.objectContaining({ reason: 'KEYSPACE_UNKNOWN' }));
    expect(() => check({ owned, free }, 'nowhere')).toThrow(expect.objectContaining({ reason: 'KEYSPACE_UNKNOWN' }));
  });
});

import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { Movement_Side, RoutingRulesSchema } from '../../gen/switchyard/control/v1/rules_pb.ts';
import { rolledBack } from '../commands/rules-change.ts';
import { rulesDifference } from './rules-text.ts';

const movement = { workflow: 'move', source: 'old', target: 'new', want: Movement_Side.SOURCE };
const rules = (fields: object) => create(RoutingRulesSchema, { version: 7n, defaultKeyspace: 'old', ...fields });

test('a table may have the name of something that every object has', () => {
  const [without, within] = [rules({}), rules({ tables: { constructor: { primary: 'old' } }, keyspaces: { toString: 'old' } })];
  expect(rulesDifference(without, within)).toEqual(['~ keyspace toString: served by itself → old', expect.stringContaining('+ table constructor')]);
  expect(Object.keys(rolledBack(within, without).rules.tables)).toEqual([]);
});

test('a difference names what is new, gone and changed, and nothing else', () => {
  const before = rules({ changedBy: 'a', tables: { gone: { primary: 'old' }, moved: { primary: 'old', movement }, same: { primary: 'old' } }, keyspaces: { a: 'old' } });
  const after = rules({
    changedBy: 'b',
    defaultKeyspace: 'new',
    tables: { moved: { primary: 'new', attempt: 3n, movement }, same: { primary: 'old' }, fresh: { primary: 'new' } },
  });
  expect(rulesDifference(before, before)).toEqual([]);
  expect(rulesDifference(before, after)).toEqual([
    '~ default keyspace old → new',
    '~ keyspace a: served by old → itself',
    '+ table fresh: primary new, attempt 0, writes open, movement none, names none',
    '- table gone (primary old)',
    '~ table moved: primary old → new',
    '~ table moved: attempt 0 → 3',
  ]);
});

test('a rollback leaves the rule of a move that is over as it is, though neither document shows the workflow', () => {
  const { rules: wanted, owned } = rolledBack(rules({ tables: { orders: { primary: 'new', attempt: 3n, names: ['new.orders'] } } }), rules({ version: 2n }));
  expect(owned).toEqual(['orders']);
  expect(wanted.tables).toMatchObject({ orders: { primary: 'new', attempt: 3n } });
});

test('a rollback leaves what a workflow moves, then or now, as it is', () => {
  const old = rules({ version: 2n, tables: { a: { primary: 'old' }, moving: { primary: 'old' }, moved: { primary: 'old', movement } } });
  const current = rules({ tables: { a: { primary: 'new' }, b: { primary: 'new' }, moving: { primary: 'new', movement }, moved: { primary: 'new', attempt: 9n } } });
  const { rules: wanted, owned } = rolledBack(current, old);
  expect(owned).toEqual(['moved', 'moving']);
  expect(wanted).toMatchObject({ version: 7n, tables: { a: { primary: 'old' }, moving: { primary: 'new' }, moved: { primary: 'new', attempt: 9n } } });
  expect(Object.keys(wanted.tables)).not.toContain('b');
});

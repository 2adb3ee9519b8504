import { expect, test } from '@jest/globals';
import { type RulesDocument, rulesDocumentSchema } from '../../core/rules-document.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { Departure } from './departure.ts';
import { doneRules, heldRules, movedRules, phaseOf, servingRules } from './phases.ts';

const departure = { name: 'leave', tables: ['ticket', 'note'], source: { keyspace: 'desk' }, target: { keyspace: 'own' } } as unknown as Departure;
const movement = { workflow: 'leave', source: 'desk', target: 'own', want: 'target', barrier: true };
const document = (tables: object): RulesDocument =>
  rulesDocumentSchema.parse({ version: 1, nonce: 'n', changedBy: 't', changedAt: 'now', defaultKeyspace: 'own', tables: { other: { primary: 'own' }, ...tables } });
const serving = document({ ticket: { primary: 'desk', movement }, note: { primary: 'desk', movement } });
const after = (change: RulesChange | null): RulesDocument => ({ ...serving, ...change });
const conflict = (act: () => unknown): void => {
  let failure: unknown = null;
  try {
    act();
  } catch (error) {
    failure = error;
  }
  expect(hasReason(failure, 'FENCE_CONFLICT')).toBe(true);
};

test('a departure serves, holds, has moved and is done, all its tables together and no other one', () => {
  expect(phaseOf(serving, departure)).toEqual({ kind: 'serving' });
  const holding = after(heldRules(serving, departure, { attempt: 7 }));
  expect(phaseOf(holding, departure)).toEqual({ kind: 'holding', attempt: 7 });
  expect(holding.tables.ticket).toMatchObject({ primary: 'desk', writes: 'held', hold: { attempt: 7 } });
  const moved = after(movedRules(holding, departure, 7));
  expect(phaseOf(moved, departure)).toEqual({ kind: 'moved', attempt: 7 });
  expect(moved.tables.note).toMatchObject({ primary: 'own', attempt: 7, writes: 'held', hold: { attempt: 7 } });
  const done = after(doneRules(moved, departure, 7));
  expect(phaseOf(done, departure)).toEqual({ kind: 'done', attempt: 7 });
  expect(done.tables.ticket).toEqual({ primary: 'own', attempt: 7, writes: 'open', movement, names: [] });
  for (const each of [holding, moved, done]) expect(each.tables.other).toEqual(serving.tables.other);
  expect(rulesDocumentSchema.safeParse(holding).success).toBe(true);
});

test('whoever is late changes nothing: a decision and its abort exclude each other, and an attempt means that one alone', () => {
  const holding = after(heldRules(serving, departure, { attempt: 7 }));
  const again = after(heldRules(after(servingRules(holding, departure, 7)), departure, { attempt: 8 }));
  conflict(() => heldRules(holding, departure, { attempt: 8 }));
  conflict(() => movedRules(serving, departure, 7));
  conflict(() => movedRules(again, departure, 7));
  const moved = after(movedRules(holding, departure, 7));
  conflict(() => movedRules(moved, departure, 7));
  conflict(() => heldRules(moved, departure, { attempt: 8 }));
  expect(servingRules(moved, departure, 7)).toBeNull();
  expect(servingRules(again, departure, 7)).toBeNull();
  expect(doneRules(holding, departure, 7)).toBeNull();
  expect(doneRules(moved, departure, 8)).toBeNull();
});

test('nothing is begun that is not wanted any more', () => {
  const source = { ...movement, want: 'source' };
  conflict(() => heldRules(document({ ticket: { primary: 'desk', movement: source }, note: { primary: 'desk', movement } }), departure, { attempt: 7 }));
});

test('rules that somebody has torn are no phase', () => {
  const torn = (tables: object): void => {
    expect(phaseOf(document(tables), departure).kind).toBe('torn');
    conflict(() => heldRules(document(tables), departure, { attempt: 7 }));
    conflict(() => movedRules(document(tables), departure, 7));
  };
  torn({ ticket: { primary: 'desk', movement } });
  torn({ ticket: { primary: 'desk', movement }, note: { primary: 'own', movement } });
  torn({ ticket: { primary: 'desk', movement }, note: { primary: 'desk', movement, writes: 'held', hold: { attempt: 7 } } });
  const { barrier: _, ...without } = movement;
  torn({ ticket: { primary: 'desk', movement }, note: { primary: 'desk', movement: without } });
});

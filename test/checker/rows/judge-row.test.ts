import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { check } from '../check.ts';
import { explain } from '../explain.ts';
import { History, type RowOperation, type State } from '../history.ts';
import { type Planted, type PlannedCall, plannedCalls, simulateRow } from '../simulated/simulated-row.ts';
import type { Violation } from '../violation.ts';

/*
 * One fault in a history that is right but for it. Where what was answered shows the fault beyond doubt (by rules that are not the checker's) it must be caught, and by its name; enough of the histories must show it.
 */

const seed = 20_261_128;
const tries = 600;
/** Histories that show the fault, of one kind. */
const enough = 60;

function judge(operations: readonly RowOperation[], initial: State = null): readonly Violation[] {
  const history = new History(() => initial);
  for (const operation of operations) history.add(operation);
  const verdict = check(history);
  expect(verdict.undecided).toEqual([]);
  return verdict.violations;
}

interface Case {
  readonly kinds: readonly PlannedCall['kind'][];
  readonly fault: Planted['fault'];
  /** The call in which it is planted. */
  readonly at: PlannedCall['kind'];
  readonly shows: (operations: readonly RowOperation[], culprit: RowOperation) => boolean;
  readonly name: Violation['kind'];
  /** Names that the fault may have besides, where what was seen of it is not enough to tell. */
  readonly or?: readonly Violation['kind'][];
}

const seen = (operation: RowOperation): State | undefined =>
  operation.outcome !== 'ok' ? undefined : operation.kind === 'read' ? operation.saw : operation.kind === 'increment' ? operation.saw : undefined;
const written = (operation: RowOperation): State | undefined => (operation.kind === 'write' || operation.kind === 'swap' ? operation.value : undefined);
const after = (earlier: RowOperation, later: RowOperation) => earlier.outcome === 'ok' && earlier.responded < later.invoked;

/** A read that began after the culprit was answered saw what a write had left that was answered before the culprit was sent. */
const missed = (operations: readonly RowOperation[], culprit: RowOperation) =>
  operations.some((read) => after(culprit, read) && operations.some((write) => written(write) !== undefined && written(write) === seen(read) && after(write, culprit)));
const readsOf = (operations: readonly RowOperation[], culprit: RowOperation) => operations.filter((read) => seen(read) !== undefined && seen(read) === written(culprit));
const sum = (operations: readonly RowOperation[]) => operations.reduce((total, operation) => total + (operation.kind === 'increment' ? operation.by : 0), 0);
const tooLow = (operations: readonly RowOperation[]) =>
  operations.some((read) => seen(read) !== undefined && Number(seen(read)) < sum(operations.filter((other) => after(other, read))));
const tooHigh = (operations: readonly RowOperation[]) =>
  operations.some((read) => seen(read) !== undefined && Number(seen(read)) > sum(operations.filter((other) => other.outcome !== 'failed' && other.invoked <= read.responded)));

const register = ['read', 'read', 'write'] as const;
const conditional = ['read', 'read', 'write', 'swap', 'swap'] as const;
const counter = ['read', 'increment'] as const;

const cases: Readonly<Record<string, Case>> = {
  'a write that was acknowledged and not done': { kinds: register, fault: 'not-applied', at: 'write', shows: missed, name: 'unapplied' },
  'a write that was done, seen and undone': {
    kinds: register,
    fault: 'undone',
    at: 'write',
    shows: (operations, culprit) => {
      const reads = readsOf(operations, culprit);
      return (
        reads.length > 0 &&
        operations.some(
          (read) => read.kind === 'read' && reads.every((each) => each.invoked < read.invoked) && missed([read, ...operations.filter(({ kind }) => kind === 'write')], culprit),
        )
      );
    },
    name: 'lost',
  },
  'a read of an old value': {
    kinds: register,
    fault: 'old-read',
    at: 'read',
    shows: (operations, culprit) =>
      operations.some(
        (write) =>
          after(write, culprit) &&
          missed([culprit, ...operations.filter(({ kind }) => kind === 'write')], write) &&
          readsOf(operations, write).some((read) => read.invoked > culprit.invoked),
      ),
    name: 'stale',
    // What it missed besides may never have been seen again.
    or: ['lost', 'unapplied'],
  },
  'a read of a value that nobody wrote': { kinds: register, fault: 'invented-read', at: 'read', shows: () => true, name: 'phantom' },
  'a write that was refused and done': {
    kinds: register,
    fault: 'done-though-refused',
    at: 'write',
    shows: (operations, culprit) => readsOf(operations, culprit).length > 0,
    name: 'phantom',
  },
  'a conditional write that was acknowledged and not done': {
    kinds: conditional,
    fault: 'not-applied',
    at: 'swap',
    shows: (operations, culprit) => culprit.kind === 'swap' && culprit.swapped === true && missed(operations, culprit),
    name: 'unapplied',
  },
  'a conditional write that was refused and done': {
    kinds: conditional,
    fault: 'done-though-refused',
    at: 'swap',
    shows: (operations, culprit) => readsOf(operations, culprit).length > 0,
    name: 'phantom',
  },
  'an increment that was acknowledged and not done': { kinds: counter, fault: 'not-applied', at: 'increment', shows: tooLow, name: 'unapplied' },
  'an increment that was done, seen and undone': { kinds: counter, fault: 'undone', at: 'increment', shows: tooLow, name: 'lost', or: ['unapplied'] },
  'an increment that was done twice': { kinds: counter, fault: 'twice', at: 'increment', shows: tooHigh, name: 'doubled' },
  'an increment that was refused and done': { kinds: counter, fault: 'done-though-refused', at: 'increment', shows: tooHigh, name: 'phantom' },
  'a read of an old sum': { kinds: counter, fault: 'old-read', at: 'read', shows: tooLow, name: 'stale', or: ['lost', 'unapplied'] },
};

describe('is caught and named', () => {
  test.each(Object.entries(cases))('%s', (_what, { kinds, fault, at, shows, name, or = [] }) => {
    const refuses = fault === 'done-though-refused';
    let [shown, named] = [0, 0];
    for (const calls of fc.sample(plannedCalls(kinds, { min: 20, max: 40 }), { numRuns: tries, seed })) {
      const index = calls.findIndex((call, place) => place >= 5 && call.kind === at);
      if (index === -1 || shown === enough) continue;
      // No other write is refused: with two that are, either may have been done.
      const plan = calls.map(
        (call, place): PlannedCall =>
          place === index ? { ...call, way: refuses ? 'refused' : 'answered', informed: true } : call.way === 'refused' ? { ...call, way: 'call-lost' } : call,
      );
      const operations = simulateRow(plan, null, { fault, index });
      const culprit = operations[index] as RowOperation;
      if (!shows(operations, culprit)) continue;
      shown += 1;
      const violations = judge(operations);
      // The few operations that are told show it by themselves.
      for (const { operations: few } of violations) expect(judge(few as RowOperation[]).length).toBeGreaterThan(0);
      const kindsFound = new Set(violations.map(({ kind }) => kind));
      if (kindsFound.has(name)) named += 1;
      if (kindsFound.size === 0 || !kindsFound.isSubsetOf(new Set([name, ...or])))
        throw new Error(
          `${[...kindsFound]} instead of ${name}, planted in the ${culprit.kind} at ${culprit.invoked}:\n${explain({ outcome: 'violated', violations, undecided: [], operations: operations.length })}\n${JSON.stringify(operations)}`,
        );
    }
    expect(shown).toBeGreaterThan(20);
    expect(named / shown).toBeGreaterThan(or.length === 0 ? 0.999 : 0.5);
  });
});

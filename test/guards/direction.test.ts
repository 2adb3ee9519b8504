import { describe, expect, test } from '@jest/globals';
import type { FenceRow, FenceState } from '../../core/fence.ts';
import { directionTo, isAt, isState, scopeOf, sideView, viewText } from '../../control/cutover/direction.ts';
import { CutoverRig } from './support/cutover-rig.ts';
import { row } from './support/gateway-rig.ts';

const { move } = new CutoverRig();
const both = (state: FenceState, at: number, second = at, secondState = state): readonly FenceRow[] => [row('orders', state, at, 'new'), row('lines', secondState, second, 'new')];
const view = (rows: readonly FenceRow[]) => sideView(move, 'source', rows);

test('a direction leaves one side for the other, its stream out of the one that is left', () => {
  const there = directionTo(move, 'target');
  expect([there.from.name, there.to.name, there.stream.id, there.reverse.id]).toEqual(['source', 'target', 'move.forward', 'move.reverse']);
  const back = directionTo(move, 'source');
  expect([back.from.name, back.to.name, back.stream.id, back.reverse.id]).toEqual(['target', 'source', 'move.reverse', 'move.forward']);
  expect([scopeOf(move, 'source').peer, scopeOf(move, 'target').peer]).toEqual(['new', 'old']);
});

describe('the rows of one side, taken together', () => {
  test('are of one state, with the highest attempt', () => {
    expect(view(both('OPEN', 3))).toEqual({ kind: 'rows', state: 'OPEN', attempt: 3, even: true });
    expect(view(both('OPEN', 3, 5))).toEqual({ kind: 'rows', state: 'OPEN', attempt: 5, even: false });
    expect(view(both('CLOSED', 5, 3))).toEqual({ kind: 'rows', state: 'CLOSED', attempt: 5, even: false });
    expect(view(both('READABLE', 3, 4))).toMatchObject({ kind: 'rows', even: false });
  });

  test('are mixed where a table lacks its row, states differ, or an undecided attempt is not of all', () => {
    const mixed = [both('OPEN', 3).slice(0, 1), both('OPEN', 3, 3, 'CLOSED'), both('FROZEN', 3, 4), both('SEALED', 3, 4)];
    expect(mixed.map((rows) => view(rows).kind)).toEqual(['mixed', 'mixed', 'mixed', 'mixed']);
    expect([view(both('FROZEN', 3)).kind, view(both('SEALED', 3)).kind]).toEqual(['rows', 'rows']);
    expect(viewText(view(both('OPEN', 3, 4, 'CLOSED')))).toBe('mixed: old: orders OPEN(3) of move, lines CLOSED(4) of move');
  });

  test('are those that the move owns towards this peer, of its own tables', () => {
    const foreign = [row('orders', 'OPEN', 9, 'new', 'another'), row('lines', 'OPEN', 9, 'new', null)];
    expect([view([]), view(foreign), view(both('OPEN', 3).map((one) => ({ ...one, peer: 'third' })))]).toEqual([{ kind: 'missing' }, { kind: 'missing' }, { kind: 'missing' }]);
    expect(view([...both('OPEN', 3), row('loose', 'CLOSED', 9, 'new')])).toMatchObject({ kind: 'rows', attempt: 3 });
    expect(view([both('OPEN', 3)[0] as FenceRow, row('lines', 'OPEN', 3, 'new', 'another')]).kind).toBe('mixed');
  });

  test('are at an attempt only when all of them are', () => {
    const even = view(both('OPEN', 3));
    expect([isAt(even, 'OPEN', 3), isAt(even, 'OPEN', 2), isAt(even, 'CLOSED', 3), isAt(view(both('OPEN', 2, 3)), 'OPEN', 3), isAt({ kind: 'missing' }, 'OPEN', 3)]).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
    expect([isState(even, 'CLOSED', 'OPEN'), isState(even, 'CLOSED'), isState({ kind: 'unreachable', message: 'm' }, 'OPEN')]).toEqual([true, false, false]);
  });

  test('read as people say it', () => {
    expect([viewText(view(both('OPEN', 3))), viewText({ kind: 'missing' }), viewText({ kind: 'unreachable', message: 'm' })]).toEqual(['OPEN(3)', 'no rows', 'unreachable: m']);
  });
});

import { describe, expect, test } from '@jest/globals';
import type { FenceRow, FenceState } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import type { Move, SideName } from '../move.ts';
import { openSide } from './machine.ts';
import { servingOf } from './serving.ts';

const move = { name: 'w', tables: ['t', 'u'], source: { keyspace: 'old' }, target: { keyspace: 'new' } } as unknown as Move;

/** "OPEN", "CLOSED of nobody", or "" for a store without rows. */
function rowsOf(side: SideName, text: string): readonly FenceRow[] {
  const [state, , owner] = text.split(' ');
  const peer = side === 'source' ? 'new' : 'old';
  const workflow = owner === undefined ? 'w' : owner === 'nobody' ? null : owner;
  return text === '' ? [] : move.tables.map((table) => ({ table, state: state as FenceState, attempt: attempt(3), peer, workflow }));
}

describe('servingOf', () => {
  test.each([
    ['OPEN', 'CLOSED', 'source', 'source'],
    ['OPEN', '', 'source', 'source'],
    ['CLOSED', 'OPEN', 'target', 'target'],
    ['SEALED', 'CLOSED', 'between', null],
    ['CLOSED', 'READABLE', 'between', null],
    ['', '', 'unclaimed', null],
    ['', 'CLOSED', 'unclaimed', null],
    ['', 'OPEN', 'between', null],
    // Cancelled, in its middle and at its end.
    ['OPEN of nobody', 'CLOSED', 'source-given-back', 'source'],
    ['OPEN of nobody', 'CLOSED of nobody', 'source-given-back', 'source'],
    // Completed, in its middle and at its end.
    ['CLOSED', 'OPEN of nobody', 'target-given-back', 'target'],
    ['CLOSED of nobody', 'OPEN of nobody', 'target-given-back', 'target'],
    // Another workflow has gone on with them.
    ['CLOSED of nobody', 'OPEN of other', 'target-given-back', 'target'],
    ['CLOSED of nobody', 'SEALED of other', 'unclaimed', null],
    ['CLOSED of nobody', 'CLOSED of nobody', 'unclaimed', null],
  ] as const)('source %s, target %s: %s', (source, target, serving, open) => {
    const found = servingOf(move, rowsOf('source', source), rowsOf('target', target));
    expect([found, openSide(found)]).toEqual([serving, open]);
  });

  test('no side is open while one of its tables is not', () => {
    const [first, second] = rowsOf('target', 'OPEN of nobody') as readonly [FenceRow, FenceRow];
    expect(servingOf(move, rowsOf('source', 'CLOSED of nobody'), [first, { ...second, state: 'CLOSED' }])).toBe('unclaimed');
    expect(servingOf(move, rowsOf('source', 'CLOSED of nobody'), [first])).toBe('unclaimed');
  });
});

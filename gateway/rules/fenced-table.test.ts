import { describe, expect, test } from '@jest/globals';
import type { FenceRow, FenceState } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import { FencedTable } from './fenced-table.ts';

const row = (state: FenceState, at: number, peer: string): FenceRow => ({ table: 'orders', state, attempt: attempt(at), peer, workflow: 'move' });

/** A table that was first seen in `first`, which names `peer`. */
function seen(first: string, peer: string, state: FenceState, at = 0): FencedTable {
  const table = new FencedTable('orders', first);
  table.expect(peer);
  table.expect(first);
  table.learn(first, row(state, at, peer), 1);
  return table;
}

describe('where a table with fence rows is served', () => {
  test('while its target is claimed and its source is not yet: by the source', () => {
    const table = seen('new', 'old', 'CLOSED');
    expect(table.home).toBe('old');
    table.learn('old', null, 2);
    expect(table.home).toBe('old');
    table.learn('old', row('OPEN', 0, 'new'), 3);
    expect(table.home).toBe('old');
    expect(table.openRow).not.toBeNull();
  });

  test('where it is OPEN at the highest attempt, whatever was seen first', () => {
    const table = seen('old', 'new', 'CLOSED', 4);
    expect(table.home).toBe('new');
    table.learn('new', row('OPEN', 4, 'old'), 2);
    expect(table.home).toBe('new');
  });

  test('during a switch: where it can be read, and where it was after a torn look at two stores', () => {
    const table = seen('old', 'new', 'OPEN');
    table.learn('new', row('CLOSED', 0, 'old'), 2);
    table.learn('old', row('SEALED', 1, 'new'), 3);
    expect(table.home).toBe('old');
    table.learn('old', row('CLOSED', 1, 'new'), 4);
    expect(table.home).toBe('old');
    table.learn('new', row('READABLE', 0, 'old'), 5);
    expect(table.home).toBe('new');
    table.learn('new', row('OPEN', 1, 'old'), 6);
    expect(table.home).toBe('new');
  });

  test('never by an OPEN row of a lower attempt', () => {
    const table = seen('old', 'new', 'CLOSED', 4);
    table.learn('new', row('OPEN', 4, 'old'), 2);
    table.learn('third', row('OPEN', 1, 'old'), 3);
    expect(table.home).toBe('new');
  });
});

import { describe, expect, test } from '@jest/globals';
import { fenceStates } from '../../core/fence.ts';
import { FencedTable } from '../../gateway/rules/fenced-table.ts';
import { row as rowOf } from './support/gateway-rig.ts';

const row = (state: Parameters<typeof rowOf>[1], at: number, peer: string, workflow: string | null = 'move') => rowOf('orders', state, at, peer, workflow);

function remembered(...rows: readonly (readonly [keyspace: string, ...Parameters<typeof row>])[]): FencedTable {
  const table = new FencedTable('orders', rows[0]?.[0] ?? 'old');
  rows.forEach(([keyspace, ...of], index) => {
    table.expect(of[2]);
    table.learn(keyspace, row(...of), index);
  });
  return table;
}

describe('what is remembered of a row', () => {
  test('the later look counts, an earlier one that comes late does not', () => {
    const table = remembered(['old', 'OPEN', 3, 'new']);
    table.learn('old', row('FROZEN', 4, 'new'), 20);
    table.learn('old', row('SEALED', 4, 'new'), 10);
    expect(table.row('old')?.state).toBe('FROZEN');
    table.learn('old', row('SEALED', 4, 'new'), 20); // of the same moment: the newer word
    expect(table.row('old')?.state).toBe('SEALED');
  });

  test('a row never goes back to a lower attempt, nor away', () => {
    const table = remembered(['old', 'SEALED', 4, 'new']);
    table.learn('old', row('OPEN', 3, 'new'), 9);
    table.learn('old', null, 10);
    expect([table.row('old')?.state, table.row('old')?.attempt]).toEqual(['SEALED', 4]);
    table.learn('old', row('CLOSED', 4, 'new'), 11);
    expect(table.row('old')?.state).toBe('CLOSED');
  });

  test('nobody looked, there is none, there is one: three answers', () => {
    const table = new FencedTable('orders', 'old');
    expect([table.row('old'), table.openRow, table.readable, table.keyspaces, table.attempt]).toEqual([undefined, null, false, [], 0]);
    table.learn('old', null, 1);
    expect([table.row('old'), table.openRow, table.readable, table.keyspaces]).toEqual([null, null, false, ['old']]);
    table.expect('old'); // what is known stays
    table.learn('old', row('OPEN', 0, 'new'), 2);
    table.expect('old');
    expect([table.row('old')?.state, table.openRow?.state, table.readable]).toEqual(['OPEN', 'OPEN', true]);
  });

  test('a peer that nobody has looked at is overtaken by any look', () => {
    const table = new FencedTable('orders', 'old');
    table.expect('new');
    expect([table.row('new'), table.keyspaces]).toEqual([null, ['new']]);
    table.learn('new', row('CLOSED', 0, 'old'), -5);
    expect(table.row('new')?.state).toBe('CLOSED');
  });

  test('the group is the workflow that owned the rows last', () => {
    const table = new FencedTable('orders', 'old');
    expect(table.group).toBe('table old.orders');
    table.learn('old', row('OPEN', 1, 'new', 'move'), 1);
    table.learn('old', row('OPEN', 1, 'new', null), 2);
    expect(table.group).toBe('move');
    table.learn('old', row('OPEN', 2, 'new', 'again'), 3);
    expect(table.group).toBe('again');
  });

  test('two memories become one, and the newer word of each store stays', () => {
    const table = remembered(['old', 'SEALED', 4, 'new']);
    const other = remembered(['new', 'READABLE', 3, 'old']);
    other.learn('old', row('OPEN', 3, 'new'), 50);
    table.absorb(other);
    expect([table.row('old')?.state, table.row('new')?.state, table.attempt, table.home]).toEqual(['SEALED', 'READABLE', 4, 'old']);
    expect(table.keyspaces.toSorted()).toEqual(['new', 'old']);
  });
});

test('of two ends of one attempt that can be read, the one that was seen first', () => {
  const table = remembered(['third', 'SEALED', 5, 'old'], ['old', 'READABLE', 3, 'new'], ['new', 'SEALED', 3, 'old']);
  table.learn('third', row('CLOSED', 5, 'old'), 9);
  expect(table.home).toBe('old');
});

test('absorbing remembers the ends that the other one only expects', () => {
  const table = remembered(['old', 'OPEN', 1, 'new']);
  const other = new FencedTable('orders', 'third');
  other.expect('third');
  table.absorb(other);
  expect([table.keyspaces.toSorted(), table.row('third')]).toEqual([['new', 'old', 'third'], null]);
});

describe('where writes go', () => {
  test('only to an OPEN row that is not older than anything seen', () => {
    for (const state of fenceStates) expect(remembered(['old', state, 2, 'new']).openRow === null).toBe(state !== 'OPEN');
    const table = remembered(['old', 'OPEN', 2, 'new']);
    table.learn('new', row('CLOSED', 3, 'old'), 9);
    expect([table.attempt, table.openRow, table.home]).toEqual([3, null, 'old']);
    expect(remembered(['old', 'CLOSED', 3, 'new'], ['new', 'OPEN', 3, 'old']).openRow?.attempt).toBe(3);
  });
});

describe('where reads go', () => {
  test('readable is what answers them', () => {
    const readable = fenceStates.filter((state) => remembered(['old', state, 2, 'new'], ['new', 'CLOSED', 2, 'old']).readable);
    expect(readable).toEqual(['OPEN', 'FROZEN', 'SEALED', 'READABLE']);
    expect(remembered(['old', 'CLOSED', 2, 'new'], ['new', 'READABLE', 1, 'old']).readable).toBe(true);
  });

  test('to the end that can be read, the higher attempt first, and they stay where they are as long as they can', () => {
    expect(remembered(['old', 'CLOSED', 4, 'new'], ['new', 'READABLE', 3, 'old']).home).toBe('new');
    expect(remembered(['third', 'CLOSED', 5, 'old'], ['old', 'SEALED', 4, 'new'], ['new', 'READABLE', 3, 'old']).home).toBe('old');
    for (const [old, other] of [
      [3, 4],
      [4, 3],
    ] as const) {
      const table = remembered(['third', 'SEALED', 5, 'old'], ['old', 'READABLE', old, 'new'], ['new', 'SEALED', other, 'old']);
      expect(table.home).toBe('third');
      table.learn('third', row('CLOSED', 5, 'old'), 9);
      expect(table.home).toBe(old > other ? 'old' : 'new');
    }
    expect(remembered(['old', 'SEALED', 3, 'new'], ['new', 'READABLE', 4, 'old']).home).toBe('old');
    expect(remembered(['third', 'CLOSED', 5, 'old'], ['old', 'SEALED', 4, 'new'], ['new', 'SEALED', 4, 'old']).home).toBe('old');
  });

  test('not to an OPEN row that is too old to be followed, unless they are there', () => {
    const table = remembered(['third', 'CLOSED', 5, 'new']);
    table.learn('new', row('CLOSED', 5, 'third'), 5);
    table.learn('old', row('OPEN', 1, 'new'), 6);
    expect([table.home, table.openRow]).toEqual([table.home, null]);
    expect(table.home).not.toBe('old');
    const here = remembered(['old', 'OPEN', 1, 'new'], ['new', 'CLOSED', 5, 'old']);
    expect([here.home, here.readable, here.openRow]).toEqual(['old', true, null]);
  });

  test('beside a claim that has reached the target only: to the source, which has no row yet', () => {
    const target = remembered(['new', 'CLOSED', 0, 'old']);
    expect(target.home).toBe('old');
    target.learn('new', row('CLOSED', 0, 'old'), 9);
    expect(target.home).toBe('old');
    // A target that is not CLOSED is no such claim; a source that has a row is none either.
    const claimed = new FencedTable('orders', 'new');
    claimed.learn('old', row('CLOSED', 1, 'new'), 1);
    claimed.learn('new', row('CLOSED', 1, 'old'), 2);
    expect(claimed.home).toBe('new');
    const unlooked = new FencedTable('orders', 'new');
    unlooked.learn('new', row('CLOSED', 0, 'old'), 1);
    expect(unlooked.home).toBe('new');
  });
});

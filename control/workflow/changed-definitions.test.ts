import { expect, test } from '@jest/globals';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Move } from '../move.ts';
import { endedText } from './changed-definitions.ts';

const table = (...names: readonly string[]): TableSchema => ({
  name: 'item',
  columns: names.map((name) => ({ name, kind: 'int64', nullable: false, hasDefault: false, generated: false, nativeType: 'bigint' })),
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: names.join(),
});

type Described = TableSchema | null | 'away';
const moveOf = (source: Described, target: Described): Move => {
  const side = (keyspace: string, now: Described) => ({
    keyspace,
    player: {
      describe: async () => {
        if (now === 'away') throw new SwitchyardError('STORE_UNAVAILABLE', 'no answer');
        return now;
      },
    },
  });
  return { name: 'm1', tables: ['item'], source: side('old', source), target: side('new', target) } as unknown as Move;
};
const before = table('id', 'size');
const schemas = { from: new Map([['item', before]]), to: new Map([['item', before]]) };
const text = (reason: 'COLUMN_UNKNOWN' | 'SCHEMA_CHANGED' | 'STORE_FAILED', move: Move) =>
  endedText(new SwitchyardError(reason, 'no "size"'), move, 'source', schemas, new AbortController().signal);

test('a stream that a change of a definition has ended names the keyspace, the table and the columns', async () => {
  expect(await text('COLUMN_UNKNOWN', moveOf(before, table('id', 'width')))).toBe(
    'COLUMN_UNKNOWN: no "size"; a table\'s definition was changed under the move: new.item: column "size" is missing; column "width" is extra',
  );
  expect(await text('SCHEMA_CHANGED', moveOf(table('id', 'size', 'weight'), before))).toMatch(/: old\.item: column "weight" is extra$/);
  expect(await text('COLUMN_UNKNOWN', moveOf(null, before))).toMatch(/: old\.item is gone$/);
});

test('without an answer of the stores it says where to look, and of other faults nothing of it', async () => {
  expect(await text('COLUMN_UNKNOWN', moveOf('away', before))).toMatch(/may have been changed under the move: look at item in "old" and "new"$/);
  expect(await text('SCHEMA_CHANGED', moveOf(before, before))).toBe('SCHEMA_CHANGED: no "size"');
  expect(await text('STORE_FAILED', moveOf(null, null))).toBe('STORE_FAILED: no "size"');
});

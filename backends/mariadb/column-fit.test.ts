import { expect, test } from '@jest/globals';
import type { Cell, ColumnKind } from '../../core/cell.ts';
import { labelsOf, requireFit } from './column-fit.ts';

test.each<[ColumnKind, string, readonly Cell[], readonly Cell[]]>([
  ['decimal', 'decimal(4,1)', ['1.5', '1.50', '-1', '.5', '100', '1.50e1', '15e-1', '1500e-3', '0', '0.0'], ['1.25', '0.01', '12.5e-1', '105e-2', '1e-2']],
  ['decimal', 'decimal(4)', ['1', '1.0', '10e-1'], ['1.5', '15e-1']],
  ['text', 'text', ['any length', 'blank '], []],
  ['text', 'varchar(3)', ['', 'abc', 'ab ', '😀😀😀', '😀😀 ', 'abcd'], ['abc ', '😀😀😀 ']],
  ['text', 'varchar(3) collate utf8mb4_general_ci', ['ab '], ['abc ']],
  ['text', 'char(3)', ['a', ''], ['a ', ' ']],
  ['text', 'tinytext', [`${'x'.repeat(254)} `], [`${'x'.repeat(255)} `]],
  ['bytes', 'binary(2)', [new Uint8Array(2)], [new Uint8Array(1), new Uint8Array(3), new Uint8Array()]],
  ['bytes', 'varbinary(2)', [new Uint8Array(), new Uint8Array(2)], []],
  ['time', 'time', [1_000_000n], [1n]],
  ['timestamptz', 'timestamp(3)', [1_000n, -1_000n], [1n, -1n]],
  ['timestamp', 'datetime(6)', [1n], []],
  ['enum', `enum('a','it''s','b,c',')','')`, ['a', "it's", 'b,c', ')', ''], ['A', 'b', '1', 'a ']],
  ['enum', `enum('back\\\\slash','two\\nlines','(?)')`, ['back\\slash', 'two\nlines', '(😀)', '(?)'], ['back\\\\slash', 'two\\nlines', '😀']],
  ['int32', 'int(11)', [1], []],
])('a %s for %s fits as it is or is refused', (kind, nativeType, fitting, refused) => {
  const column = { name: 'c', kind, nullable: true, hasDefault: false, generated: false, nativeType };
  for (const cell of [null, ...fitting]) expect(() => requireFit(column, cell)).not.toThrow();
  for (const cell of refused) expect(() => requireFit(column, cell)).toThrow(expect.objectContaining({ reason: 'VALUE_INVALID' }));
});

test('an enum has the labels that its type names', () => {
  expect([...labelsOf(`enum('a','b'',''c','d(''e'')') collate utf8mb4_bin`)]).toEqual(['a', "b','c", "d('e')"]);
});

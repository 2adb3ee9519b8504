import { expect, test } from '@jest/globals';
import type { Cell, ColumnKind } from '../../../core/cell.ts';
import { TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY } from '../date-text.ts';
import { requireFit } from './column-fit.ts';

test.each<[ColumnKind, string, readonly Cell[], readonly Cell[]]>([
  ['decimal', 'numeric', ['1.123456789'], []],
  ['decimal', 'numeric(4,1)', ['1.5', '1.50', '-1', 'NaN', '.5'], ['1.25', '0.01']],
  ['decimal', 'numeric(4,0)', ['1', '1.0'], ['1.5']],
  ['text', 'text', ['any length'], []],
  ['text', 'character varying(3)', ['', 'abc', '😀😀😀'], ['abcd', 'abc ']],
  ['text', 'character(3)', ['a'], ['abc ']],
  ['time', 'time(0) without time zone', [1_000_000n], [1n]],
  ['timestamptz', 'timestamp(3) with time zone', [1_000n, -1_000n, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY], [1n, -1n]],
  ['timestamp', 'timestamp without time zone', [1n], []],
  ['enum', '"mood(3)"', ['longer than three'], []],
])('a %s for %s fits as it is or is refused', (kind, nativeType, fitting, refused) => {
  const column = { name: 'c', kind, nullable: true, hasDefault: false, generated: false, nativeType };
  for (const cell of [null, ...fitting]) expect(() => requireFit(column, cell)).not.toThrow();
  for (const cell of refused) expect(() => requireFit(column, cell)).toThrow(expect.objectContaining({ reason: 'VALUE_INVALID' }));
});

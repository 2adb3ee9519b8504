import { expect, test } from '@jest/globals';
import type { Cell } from './cell.ts';
import { keyFromJson, keyToJson } from './cell-json.ts';

test('a key comes back as it was', () => {
  const key: readonly Cell[] = [
    1n,
    -9_223_372_036_854_775_808n,
    0,
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    'text "1"',
    '',
    true,
    null,
    new Uint8Array([0, 255]),
    [1n, null, ['x']],
  ];
  const back = keyFromJson(keyToJson(key));
  expect(back).toEqual(key);
  expect(Object.is(back[3], -0)).toBe(true);
  expect(() => keyFromJson('{}')).toThrow('no saved key');
});

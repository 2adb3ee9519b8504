import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { packRows, unpackRows } from './scan-rows.ts';

const value = fc.oneof(fc.constant(null), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.double(), fc.string(), fc.uint8Array({ maxLength: 8 }));

test('rows come out as they went in', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.array(value, { maxLength: 4 }), { maxLength: 4 }), { maxLength: 3 }), (statements) => {
      const packed = packRows(statements);
      expect(packed.rows.flat(2).some((cell) => cell instanceof Uint8Array)).toBe(false);
      expect(unpackRows(packed)).toEqual(statements);
    }),
  );
});

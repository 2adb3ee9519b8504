import { expect, test } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { RowSchema } from '../gen/switchyard/data/v1/value_pb.ts';
import type { TableType } from './table-type.ts';
import { programRow, wireRow, wireValue } from './values.ts';
import { filterOf } from './where.ts';
import { updateRequest } from './write-requests.ts';

/** Names that every object has something behind, and others. */
const columnNames = fc.uniqueArray(fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'then'), fc.string()), {
  minLength: 1,
  maxLength: 8,
});
const tableOf = (names: readonly string[]): TableType => ({ name: 't', columns: Object.fromEntries(names.map((name) => [name, { kind: 'text' }])), primaryKey: [] });
const rowOf = (names: readonly string[]) => Object.fromEntries(names.map((name, index) => [name, `value ${index}`]));

test('a row comes back through the wire whatever its columns are called', () => {
  fc.assert(
    fc.property(columnNames, (names) => {
      const row = rowOf(names);
      const onTheWire = fromBinary(RowSchema, toBinary(RowSchema, create(RowSchema, wireRow(tableOf(names), row))));
      const found = programRow(tableOf(names), onTheWire);
      expect(Object.entries(found).sort()).toEqual(Object.entries(row).sort());
      expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
    }),
  );
});

test('changes and conditions reach the wire whatever their columns are called', () => {
  fc.assert(
    fc.property(columnNames, (names) => {
      const [table, row] = [tableOf(names), rowOf(names)];
      expect(Object.keys(updateRequest(table, {}, row as never).row.cells ?? {}).sort()).toEqual(names.toSorted());
      const asked = JSON.stringify(filterOf(table, row as never));
      for (const index of names.keys()) expect(asked).toContain(`"value ${index}"`);
    }),
  );
});

test.each([
  ['int32', 5n, 'n: got the bigint 5n; must be an integer, as a number'],
  ['int64', 5, 'n: got 5; must be a bigint of 64 bits'],
  ['text', () => 'x', 'n: got [object Function]; must be a string'],
] as const)('an unfit value of a column of %s is told as it was written', (kind, value, message) => {
  expect(() => wireValue({ kind }, 'n', value)).toThrow(message);
});

test.each([[[]], [[{ n: 'a' }]], [new Map([['n', 'a']])], ['n'], [null]])('no condition is made of %p', (where) => {
  expect(() => filterOf(tableOf(['n']), where as never)).toThrow(/^where: got \[object /);
});

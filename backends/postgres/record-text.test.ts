import { expect, test } from '@jest/globals';
import { fieldsOfRecord } from './record-text.ts';

test('fields of a record: plain, NULL, empty, quoted', () => {
  expect(fieldsOfRecord('(1,"a, b",,"")')).toEqual(['1', 'a, b', null, '']);
  expect(fieldsOfRecord('(,)')).toEqual([null, null]);
  expect(fieldsOfRecord('("say ""hi""","back\\\\slash","(x)")')).toEqual(['say "hi"', 'back\\slash', '(x)']);
  expect(fieldsOfRecord('("{""a,b"",NULL}",t)')).toEqual(['{"a,b",NULL}', 't']);
  expect(() => fieldsOfRecord('("a')).toThrow('in the middle');
});

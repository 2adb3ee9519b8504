import { expect, test } from '@jest/globals';
import { inJsonWords } from './json-words.ts';

test.each([
  ['page_size: got 2000; must be 0 to 1000', 'pageSize: got 2000; must be 0 to 1000'],
  ['order_by[0].column: "page_size" is named twice', 'orderBy[0].column: "page_size" is named twice'],
  [
    'row.small: got int64_value 32768 (must be -32768 to 32767); expected int16 (smallint) as int64_value',
    'row.small: got 32768 (must be -32768 to 32767); expected int16 (smallint)',
  ],
  ['row.raw: got bytes_value of 3 bytes (no); expected bytes (bytea) as bytes_value', 'row.raw: got bytes of 3 bytes (no); expected bytes (bytea)'],
  ['row.tags: got array_value of 2 elements; expected array of text (text[]) as array_value of text_value', 'row.tags: got array of 2 elements; expected array of text (text[])'],
  ['row.at: got timestamp_micros 5 (no); expected timestamp (timestamp) as timestamp_micros', 'row.at: got 5 (no); expected timestamp (timestamp)'],
  ['row.page_size: got null_value; the column is NOT NULL, of type int32 (integer)', 'row.page_size: got null; the column is NOT NULL, of type int32 (integer)'],
  [
    'filter.and.filters[1].is_null.column: table "t" has no column "is_null"; did you mean "is_nul"?',
    'filter.and[1].isNull.column: table "t" has no column "is_null"; did you mean "is_nul"?',
  ],
  [
    'filter.compare.value.name: got null_value (a comparison with NULL is never true; use is_null); expected text (text) as text_value',
    'filter.compare.value.name: got null (a comparison with NULL is never true; use isNull); expected text (text)',
  ],
  [
    'mutations[3].update.update_mask[0]: row holds no "null_value"; give its value, null_value for NULL',
    'mutations[3].update.updateMask[0]: row holds no "null_value"; give its value, null for NULL',
  ],
  ['table "t" has no row with that primary key', 'table "t" has no row with that primary key'],
  ['the store: is as it is', 'the store: is as it is'],
])('%s', (message, said) => {
  expect(inJsonWords(message)).toBe(said);
});

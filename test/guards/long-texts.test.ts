import { expect, test } from '@jest/globals';
import { cellFromValue } from '../../backends/mariadb/cells.ts';
import { checkBodyHeaders } from '../../gateway/http/request-headers.ts';
import { inJsonWords } from '../../runtime/json/json-words.ts';

const call = { binding: { body: '*', httpMethod: 'POST', template: { text: '/v1:mutate' } } } as never;
const typed = (type: string) => checkBodyHeaders({ 'content-length': '2', 'content-type': type }, call);
const decimal = { name: 'c', kind: 'decimal', nullable: true, hasDefault: false, generated: false, nativeType: 'decimal(65,30)' } as const;

// Any caller may send such a text, and nothing else is served while it is looked at.
test.each<[string, () => unknown]>([
  ['a content type full of blanks', () => expect(() => typed(`a${' '.repeat(16_000)}b`)).toThrow('Content-Type')],
  ['a content type full of blanks behind its charset', () => expect(() => typed(`application/json; charset=utf-8${' '.repeat(16_000)}b`)).toThrow('Content-Type')],
  ['a name of quotes behind backslashes, and one at its end', () => inJsonWords(`columns[0]: table "item" has no column "${'\\"'.repeat(200_000)}\\"`)],
  ['a decimal of zeros that is none', () => expect(() => cellFromValue(decimal, `${'0'.repeat(200_000)}x`)).toThrow('the store sent')],
])('%s costs no more than its length', (_, judge) => {
  const before = process.cpuUsage();
  judge();
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(1_000);
});

test.each(['application/json', ' application/json ; charset=UTF-8 ; ', 'application/json;charset="utf-8"', 'application/json;', 'Application/JSON ;  '])(
  '"%s" is a content type that is taken',
  (type) => {
    expect(() => typed(type)).not.toThrow();
  },
);

test.each(['', 'text/plain', 'application/json; charset=latin1', 'application/json;;', 'application/json; a=b', 'application/json charset=utf-8'])('"%s" is none', (type) => {
  expect(() => typed(type)).toThrow('Content-Type');
});

test('a quotation without an end stays as it is', () => {
  expect(inJsonWords('a null_value in "null_value')).toBe('a null in "null_value');
  expect(inJsonWords('a null_value in "null_value\\')).toBe('a null in "null_value\\');
  expect(inJsonWords('"a\\"b" null_value')).toBe('"a\\"b" null');
});

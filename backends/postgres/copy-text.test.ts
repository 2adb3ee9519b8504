import { expect, test } from '@jest/globals';
import { copyLine } from './copy-text.ts';

test.each([
  [['1', null, ''], '1\t\\N\t\n'],
  [['\\N', '\\.', 'a\\'], '\\\\N\t\\\\.\ta\\\\\n'],
  [['tab\there', 'line\nend\r', 'é\u2028𝒳'], 'tab\\there\tline\\nend\\r\té\u2028𝒳\n'],
  [[''], '\n'],
])('%j as a line of a COPY', (cells, line) => {
  expect(copyLine(cells)).toBe(line);
});

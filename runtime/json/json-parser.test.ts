import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonNode } from './json-node.ts';
import { parseJson } from './json-parser.ts';

function plain(node: JsonNode): unknown {
  switch (node.kind) {
    case 'null':
      return null;
    case 'number':
      return Number(node.source);
    case 'array':
      return node.elements.map(plain);
    case 'object':
      return Object.fromEntries([...node.members].map(([name, member]) => [name, plain(member)]));
    default:
      return node.value;
  }
}

test('reads what JSON.parse reads, laid out in any way', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      const text = ` ${JSON.stringify(value, null, indent)}\n`;
      const node = parseJson(text, 'the test', 100);
      expect(JSON.stringify(plain(node))).toBe(JSON.stringify(JSON.parse(text)));
      expect(JSON.stringify(JSON.parse(node.source))).toBe(JSON.stringify(value));
    }),
  );
});

test('refuses what JSON.parse refuses, and reads everything else', () => {
  const alphabet = fc.array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'u0041', 'a', 'true', 'null', '-', '0', '1', '.5', 'e3', ' ', '\n', '\u0001'), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(alphabet, (parts) => {
      const text = parts.join('');
      let wanted: unknown;
      try {
        wanted = JSON.parse(text);
      } catch {
        expect(() => parseJson(text, 'the test', 100)).toThrow(/malformed JSON at character \d+/);
        return;
      }
      expect(JSON.stringify(plain(parseJson(text, 'the test', 100)))).toBe(JSON.stringify(wanted));
    }),
    { numRuns: 2_000 },
  );
});

test('refuses members that are given twice, and depth beyond the limit', () => {
  expect(() => parseJson('{"a": 1, "\\u0061": 2}', 'the body', 5)).toThrow('the body: malformed JSON at character 17: member "a" is given twice');
  expect(parseJson('[[[[1]]]]', 'the body', 5).kind).toBe('array');
  expect(() => parseJson('[[[[[1]]]]]', 'the body', 5)).toThrow(/nested deeper than 5/);
  expect(() => parseJson('['.repeat(1_000_000), 'the body', 100)).toThrow(/nested deeper than 100/);
});

test('refuses more values than it would hold, in good time', () => {
  const many = (count: number, one: string): string => `[${`${one},`.repeat(count - 1)}${one}]`;
  const startedAt = performance.now();
  for (const one of ['{}', '[]', '0', '{"a":1}'])
    expect(() => parseJson(many(1_000_000, one), 'the body', 100)).toThrow('the body: more than 100000 JSON values; send fewer at once');
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(parseJson(many(99_999, '{}'), 'the body', 100).kind).toBe('array');
});

test('reads strings as long as a body', () => {
  for (const part of ['a', '\\n', '\\u00e9', '\u00e9']) {
    const text = `"${part.repeat(Math.floor((16 * 1024 * 1024) / part.length) - 2)}"`;
    const node = parseJson(text, 'the test', 100);
    expect(node.kind === 'string' && node.value === (JSON.parse(text) as string)).toBe(true);
  }
});

import { describe, expect, test } from '@jest/globals';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { bindingsOf } from '../../runtime/http/bindings.ts';
import { HttpRoutes } from './routes.ts';
import { isMatch } from '../row-tag.ts';
import { packedTag, quotedTag, tagCondition } from './etag.ts';
import { HttpError } from '../../runtime/http/http-error.ts';
import { parseTemplate } from '../../runtime/http/path-template.ts';

const bindings = bindingsOf(DataService);
const routes = new HttpRoutes(bindings);
const found = (method: string, path: string) => {
  const { binding, variables } = routes.find(method, path);
  return [binding.method.name, Object.fromEntries(variables)];
};
const statusOf = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error instanceof HttpError ? [error.status, error.headers.allow] : error;
  }
};

test('every method of the data API has a path, but for those whose request is a stream', () => {
  expect(new Set(bindings.map(({ method }) => method.name))).toEqual(
    new Set(DataService.methods.filter(({ methodKind }) => methodKind !== 'bidi_streaming').map(({ name }) => name)),
  );
});

test.each([
  ['GET', '/v1/tables', ['ListTables', {}]],
  ['GET', '/v1/tables/item', ['DescribeTable', { table: 'item' }]],
  ['HEAD', '/v1/tables/old.item/rows/5', ['Get', { table: 'old.item', key: '5' }]],
  ['GET', '/v1/tables/item/rows/2026-01-01T00:00:00Z,a%2Cb%2F', ['Get', { table: 'item', key: '2026-01-01T00:00:00Z,a%2Cb%2F' }]],
  ['PATCH', '/v1/tables/item/rows/5', ['Update', { table: 'item', key: '5' }]],
  ['PUT', '/v1/tables/item/rows/', ['Upsert', { table: 'item', key: '' }]],
  ['DELETE', '/v1/tables/item/rows/a:query', ['Delete', { table: 'item', key: 'a:query' }]],
  ['POST', '/v1/tables/item/rows', ['Insert', { table: 'item' }]],
  ['POST', '/v1/tables/item:query', ['Query', { table: 'item' }]],
  ['POST', '/v1/tables/a:b:batchGet', ['BatchGet', { table: 'a:b' }]],
  ['POST', '/v1:mutate', ['Mutate', {}]],
])('%s %s', (method, path, expected) => {
  expect(found(method, path)).toEqual(expected);
});

test('a path that knows other methods says which, another is not found', () => {
  expect(statusOf(() => found('POST', '/v1/tables/item/rows/5'))).toEqual([405, 'GET, HEAD, PUT, PATCH, DELETE']);
  expect(statusOf(() => found('GET', '/v1/tables/item:query'))).toEqual([405, 'POST']);
  for (const path of ['/', '', '/v1', '/v1/tables/item/rows/5/6', '/v2/tables', '//v1/tables']) expect(statusOf(() => found('GET', path))).toEqual([404, undefined]);
});

test('templates that could not be matched are refused', () => {
  for (const text of ['', 'v1', '/v1/*', '/v1/{a=b/*}', '/v1/{table}:a:b', '/v1//x']) expect(() => parseTemplate(text)).toThrow();
});

test('what is a parameter follows from path and body', () => {
  const names = (method: string) => [...new Set([...(bindings.find((binding) => binding.method.name === method)?.parameters.values() ?? [])].map(({ jsonName }) => jsonName))];
  expect(names('Get')).toEqual(['columns', 'consistency', 'withEtag']);
  expect(names('Update')).toEqual(['updateMask', 'add', 'precondition', 'returning', 'validateOnly', 'requestId', 'etag']);
  expect(names('Query')).toEqual([]);
});

describe('entity tags', () => {
  const matches = (header: string, weak = false) => isMatch(tagCondition('If-Match', header, weak) ?? 'any', 'abc');
  test('match by themselves, in lists, packed, or any', () => {
    expect([quotedTag('abc'), `"x", ${quotedTag('abc')}`, packedTag(quotedTag('abc'), 'gzip'), packedTag(quotedTag('abc'), 'br'), '*'].map((header) => matches(header))).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
    expect(['"x"', '"abcd"', 'W/"abc"'].map((header) => matches(header))).toEqual([false, false, false]);
    expect(matches('W/"abc"', true)).toBe(true);
  });
  test('malformed ones are refused', () => {
    for (const header of ['abc', '"abc', '', '"a" "b"']) expect(() => matches(header)).toThrow(/If-Match/);
  });
});

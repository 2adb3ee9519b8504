import { describe, expect, test } from '@jest/globals';
import { type Answer, base64, type Method, textOf, type TopologyCaller } from './topology-server-harness.ts';

const LARGEST_VALUE = 512 * 1024;
const everyKind = [400, 500, 501];

/** Keys: reading, writing, compare-and-set, indexes, limits. */
export function describeKeys(caller: () => TopologyCaller): void {
  const call = (method: Method, path: string, body?: string): Promise<Answer> => caller().call(method, path, body);

  describe('a key', () => {
    test('comes back as it was put, with the indexes of its first and last write', async () => {
      const api = caller();
      expect(await api.put('keys/a?flags=7', 'one')).toBe(true);
      const first = await api.get('kv/keys/a');
      const [entry] = JSON.parse(first.text);
      expect(entry).toEqual({ LockIndex: 0, Key: 'keys/a', Flags: 7, Value: base64('one'), CreateIndex: first.index, ModifyIndex: first.index });
      expect(first.headers.get('content-type')).toContain('application/json');
      expect(first.headers.get('x-consul-knownleader')).toBe('true');
      expect(await api.put('keys/a', 'two')).toBe(true);
      const second = await api.entry('keys/a');
      expect(second).toMatchObject({ Flags: 0, CreateIndex: entry.CreateIndex });
      expect(second?.ModifyIndex).toBeGreaterThan(entry.ModifyIndex);
      expect(await api.put('keys/a', 'two')).toBe(true);
      expect(await api.entry('keys/a')).toEqual(second);
    });

    test('can be read as it is, can be empty, and can have any name', async () => {
      const api = caller();
      const bytes = Buffer.from([0, 255, 128, 10, 13]);
      await api.call('PUT', 'kv/keys/bytes', bytes);
      const raw = await fetch(`${api.server.address}/v1/kv/keys/bytes?raw`);
      expect(Buffer.from(await raw.arrayBuffer()).equals(bytes)).toBe(true);
      await api.put('keys/empty', '');
      expect(await api.entry('keys/empty')).toMatchObject({ Value: null });
      await api.put('keys/a%20b/%C3%A4%3F', 'named');
      expect(await api.entry('keys/a%20b/%C3%A4%3F')).toMatchObject({ Key: 'keys/a b/ä?', Value: base64('named') });
    });

    test('that is missing has the index of the last change of any key, and never 0', async () => {
      const api = caller();
      await api.put('keys/elsewhere', String(Math.random()));
      const changed = await api.entry('keys/elsewhere');
      const missing = await api.get('kv/keys/missing');
      expect(missing).toMatchObject({ status: 404, text: '', index: changed?.ModifyIndex });
      expect(await api.get('kv/keys/missing/?recurse')).toMatchObject({ status: 404, text: '', index: changed?.ModifyIndex });
    });

    test('is written under compare-and-set only where nobody changed it', async () => {
      const api = caller();
      expect(await api.put('cas/a?cas=0', 'first')).toBe(true);
      expect(await api.put('cas/a?cas=0', 'again')).toBe(false);
      const index = (await api.entry('cas/a'))?.ModifyIndex ?? 0;
      expect(await api.put(`cas/a?cas=${index - 1}`, 'old')).toBe(false);
      expect(await api.put(`cas/missing?cas=${index}`, 'gone')).toBe(false);
      expect(await api.put(`cas/a?cas=${index}`, 'second')).toBe(true);
      expect(await api.put(`cas/a?cas=${index}`, 'third')).toBe(false);
      expect(textOf(await api.entry('cas/a'))).toBe('second');
      expect(await api.entry('cas/missing')).toBeUndefined();
    });

    test('is deleted; under compare-and-set only where nobody changed it', async () => {
      const api = caller();
      await api.put('deleted/a', 'x');
      const index = (await api.entry('deleted/a'))?.ModifyIndex ?? 0;
      expect(await api.delete(`deleted/a?cas=${index - 1}`)).toBe(false);
      expect(await api.delete('deleted/a?cas=0')).toBe(false);
      expect(await api.delete(`deleted/a?cas=${index}`)).toBe(true);
      expect(await api.delete(`deleted/a?cas=${index}`)).toBe(true);
      expect(await api.delete('deleted/a')).toBe(true);
      const gone = await api.get('kv/deleted/a');
      expect(gone.status).toBe(404);
      expect(gone.index).toBeGreaterThan(index);
      await api.put('deleted/a', 'back');
      expect((await api.entry('deleted/a'))?.CreateIndex).toBeGreaterThan(index);
    });
  });

  describe('a prefix', () => {
    test('lists what begins with it, sorted, with the index of the last change under it', async () => {
      const api = caller();
      for (const name of ['b', 'a/2', 'a/1', 'a']) await api.put(`tree/${name}`, name);
      await api.put('trees', 'not under it');
      const list = await api.get('kv/tree/?recurse');
      expect((JSON.parse(list.text) as { Key: string }[]).map(({ Key }) => Key)).toEqual(['tree/a', 'tree/a/1', 'tree/a/2', 'tree/b']);
      expect(list.index).toBe((await api.entry('tree/a'))?.ModifyIndex);
      await api.put('elsewhere', String(Math.random()));
      expect((await api.get('kv/tree/?recurse')).index).toBe(list.index);
      await api.delete('tree/a/1');
      const deleted = await api.get('kv/tree/?recurse');
      expect(deleted.index).toBeGreaterThan(list.index);
      expect((await api.get('kv/tree/a/?recurse')).index).toBe(deleted.index);
      expect((await api.get('kv/tree/b?recurse')).index).toBe((await api.entry('tree/b'))?.ModifyIndex);
    });

    test('lists names, down to a separator', async () => {
      const api = caller();
      for (const name of ['x/1', 'x/2', 'y', 'z/deep/er']) await api.put(`names/${name}`);
      expect(JSON.parse((await api.get('kv/names/?keys')).text)).toEqual(['names/x/1', 'names/x/2', 'names/y', 'names/z/deep/er']);
      expect(JSON.parse((await api.get('kv/names/?keys&separator=/')).text)).toEqual(['names/x/', 'names/y', 'names/z/']);
      expect(await api.get('kv/nothing/?keys')).toMatchObject({ status: 404, text: '' });
    });

    test('is deleted as a whole', async () => {
      const api = caller();
      for (const name of ['a', 'b/c']) await api.put(`whole/${name}`);
      const { index } = await api.get('kv/whole/?recurse');
      expect(await api.delete('whole/?recurse')).toBe(true);
      const gone = await api.get('kv/whole/?recurse');
      expect(gone.status).toBe(404);
      expect(gone.index).toBeGreaterThan(index);
    });
  });

  test('a value may have 512 KiB and no more', async () => {
    const api = caller();
    expect(await api.call('PUT', 'kv/large', Buffer.alloc(LARGEST_VALUE))).toMatchObject({ status: 200 });
    const refused = await api.call('PUT', 'kv/larger', Buffer.alloc(LARGEST_VALUE + 1));
    expect(refused).toMatchObject({ status: 413, text: expect.stringContaining('too large') });
    expect(await api.entry('larger')).toBeUndefined();
    expect(Buffer.from((await api.entry('large'))?.Value ?? '', 'base64')).toHaveLength(LARGEST_VALUE);
    await api.delete('large');
  });

  test.each<[Method, string, readonly number[], string]>([
    ['GET', 'kv/', [400], 'Missing key name'],
    ['PUT', 'kv/', [400], 'Missing key name'],
    ['DELETE', 'kv/', [400], 'Missing key name'],
    ['GET', 'kv/a?index=x', [400], 'Invalid index'],
    ['GET', 'kv/a?index=-1', [400], 'Invalid index'],
    ['GET', 'kv/a?index=1&wait=soon', [400], 'Invalid wait time'],
    ['GET', 'kv/a?stale&consistent', [400], 'conflicting semantics'],
    ['PUT', 'kv/a?cas=x', everyKind, ''],
    ['PUT', 'kv/a?flags=x', everyKind, ''],
    ['PUT', 'kv/a?cas=1&acquire=x', [400], 'Conflicting flags'],
    ['PUT', 'kv/a?acquire=7f1e7e0e-0000-0000-0000-000000000000', [500], 'invalid session'],
    ['PUT', 'kv/a?acquire=', [500], 'missing session'],
    ['DELETE', 'kv/a?cas=1&recurse', [400], 'Conflicting flags'],
    ['POST', 'kv/a', [405], 'method POST not allowed'],
    ['GET', 'txn', [405], 'method GET not allowed'],
    ['GET', 'nothing/there', [404], ''],
  ])('%s %s is refused', async (method, path, statuses, text) => {
    const answer = await call(method, path, method === 'PUT' ? 'x' : undefined);
    expect(statuses).toContain(answer.status);
    expect(answer.text).toContain(text);
    expect((await call('GET', 'kv/a?keys')).text).not.toContain('"a"');
  });

  test('who leads is told', async () => {
    const leader = JSON.parse((await call('GET', 'status/leader')).text);
    expect(leader).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(JSON.parse((await call('GET', 'status/peers')).text)).toEqual([leader]);
    expect(JSON.parse((await call('GET', 'agent/self')).text)).toMatchObject({ Config: { Datacenter: 'dc1', Server: true } });
  });
}

import { describe, expect, test } from '@jest/globals';
import { base64, textOf, type TopologyCaller } from './topology-server-harness.ts';

/** Transactions: all or nothing, the errors' shape, the limits, many writers at once. */
export function describeTransactions(caller: () => TopologyCaller): void {
  describe('a transaction', () => {
    test('does everything at one index, and shows what it wrote without the values', async () => {
      const api = caller();
      await api.put('txn/gone', 'x');
      await api.put('txn/read', 'r');
      const answer = await api.transaction([
        { Verb: 'set', Key: 'txn/a', Value: base64('1'), Flags: 3 },
        { Verb: 'cas', Key: 'txn/b', Value: base64('2'), Index: 0 },
        { Verb: 'delete', Key: 'txn/gone' },
        { Verb: 'get', Key: 'txn/a' },
        { Verb: 'get-tree', Key: 'txn/r' },
      ]);
      expect(answer).toMatchObject({ status: 200, Errors: null });
      expect(answer.Results?.map(({ KV }) => [KV.Key, KV.Value, KV.Flags])).toEqual([
        ['txn/a', null, 3],
        ['txn/b', null, 0],
        ['txn/a', base64('1'), 3],
        ['txn/read', base64('r'), 0],
      ]);
      const [a, b] = [await api.entry('txn/a'), await api.entry('txn/b')];
      expect(a?.ModifyIndex).toBe(answer.Results?.[0]?.KV.ModifyIndex);
      expect(b?.ModifyIndex).toBe(a?.ModifyIndex);
      const gone = await api.get('kv/txn/gone');
      expect(gone).toMatchObject({ status: 404, index: a?.ModifyIndex });
    });

    test('does nothing when one operation fails, and names each that did', async () => {
      const api = caller();
      await api.put('refused/a', 'before');
      const before = await api.entry('refused/a');
      const answer = await api.transaction([
        { Verb: 'set', Key: 'refused/a', Value: base64('after') },
        { Verb: 'cas', Key: 'refused/b', Value: base64('x'), Index: 4 },
        { Verb: 'set', Key: 'refused/c', Value: base64('x') },
        { Verb: 'get', Key: 'refused/missing' },
        { Verb: 'delete-cas', Key: 'refused/a', Index: 1 },
        { Verb: 'unlock', Key: 'refused/a', Session: '7f1e7e0e-0000-0000-0000-000000000000' },
        { Verb: 'check-index', Key: 'refused/a', Index: 1 },
        { Verb: 'check-session', Key: 'refused/a', Session: 'x' },
        { Verb: 'check-not-exists', Key: 'refused/a' },
        { Verb: 'lock', Key: 'refused/a', Session: '7f1e7e0e-0000-0000-0000-000000000000' },
      ]);
      expect(answer).toMatchObject({ status: 409, Results: null });
      expect(answer.Errors?.map(({ OpIndex }) => OpIndex)).toEqual([1, 3, 4, 5, 6, 7, 8, 9]);
      expect(answer.Errors?.[0]?.What).toBe('failed to set key "refused/b", index is stale');
      expect(answer.Errors?.[7]?.What).toContain('invalid session');
      expect(await api.entry('refused/a')).toEqual(before);
      expect(await api.entry('refused/c')).toBeUndefined();
      expect((await api.transaction([{ Verb: 'set', Key: '' }])).Errors).toEqual([{ OpIndex: 0, What: 'Must provide key' }]);
      expect((await api.transaction([{ Verb: 'conjure', Key: 'a' }])).Errors).toEqual([{ OpIndex: 0, What: 'unknown KV verb "conjure"' }]);
    });

    test('checks what it is told to, and deletes prefixes', async () => {
      const api = caller();
      const session = await api.session();
      await api.put(`checked/a?acquire=${session}`, 'x');
      await api.put('checked/tree/1', 'x');
      await api.put('checked/tree/2', 'x');
      const index = (await api.entry('checked/a'))?.ModifyIndex ?? 0;
      const answer = await api.transaction([
        { Verb: 'check-index', Key: 'checked/a', Index: index },
        { Verb: 'check-session', Key: 'checked/a', Session: session },
        { Verb: 'check-not-exists', Key: 'checked/b' },
        { Verb: 'delete-tree', Key: 'checked/tree/' },
      ]);
      expect(answer.status).toBe(200);
      expect(answer.Results?.map(({ KV }) => KV.Key)).toEqual(['checked/a', 'checked/a']);
      expect(await api.entries('checked/?recurse')).toHaveLength(1);
    });

    test('sees its own writes', async () => {
      const api = caller();
      const answer = await api.transaction([
        { Verb: 'set', Key: 'own/a', Value: base64('1') },
        { Verb: 'delete', Key: 'own/a' },
        { Verb: 'check-not-exists', Key: 'own/a' },
        { Verb: 'set', Key: 'own/b', Value: base64('2') },
        { Verb: 'get-tree', Key: 'own/' },
      ]);
      expect(answer.Results?.map(({ KV }) => KV.Key)).toEqual(['own/a', 'own/b', 'own/b']);
      expect(await api.entry('own/a')).toBeUndefined();
    });

    test('has at most 64 operations and 512 KiB', async () => {
      const api = caller();
      const operations = (count: number) => Array.from({ length: count }, (_unused, i) => ({ KV: { Verb: 'set', Key: `many/${i}`, Value: '' } }));
      expect((await api.call('PUT', 'txn', JSON.stringify(operations(64)))).status).toBe(200);
      expect(await api.call('PUT', 'txn', JSON.stringify(operations(65)))).toMatchObject({ status: 413, text: 'Transaction contains too many operations (65 > 64)' });
      const large = [{ KV: { Verb: 'set', Key: 'many/large', Value: Buffer.alloc(400_000).toString('base64') } }];
      expect(await api.call('PUT', 'txn', JSON.stringify(large))).toMatchObject({ status: 413, text: expect.stringContaining('too large') });
      expect(await api.entries('many/?recurse')).toHaveLength(64);
    });

    test.each(['{}', '[{"KV":', '[{"KV":{"Verb":"set","Key":"a","Value":"###"}}]', '[{"KV":{"Verb":"set","Key":"a","Wert":"x"}}]'])('of %s is malformed', async (body) => {
      const answer = await caller().call('PUT', 'txn', body);
      expect(answer).toMatchObject({ status: 400, text: expect.stringContaining('Failed to parse body') });
    });
  });

  test('of many that compare and set the same key, one at a time wins and nothing is lost', async () => {
    const api = caller();
    const goal = 10;
    await api.put('race/counter', '0');
    let refused = 0;
    const increment = async (): Promise<void> => {
      for (;;) {
        const current = await api.entry('race/counter');
        const operation = { Verb: 'cas', Key: 'race/counter', Value: base64(String(Number(textOf(current)) + 1)), Index: current?.ModifyIndex ?? 0 };
        if ((await api.transaction([operation])).status === 200) return;
        refused += 1;
      }
    };
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let i = 0; i < goal; i += 1) await increment();
    })); // biome-ignore format: a loop in each writer
    expect(textOf(await api.entry('race/counter'))).toBe(String(8 * goal));
    expect(refused).toBeGreaterThan(0);
  });
}

import { describe, expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, base64, type TopologyCaller } from './topology-server-harness.ts';

const WAIT = '20s';
const WAIT_LIMIT_MS = 25_000;
/** Long enough for an answer that must not come to have come. */
const STILL_MS = 150;

interface Blocked {
  readonly answer: Promise<Answer>;
  readonly isOver: () => boolean;
}

/** Blocking queries: what wakes them and what does not. */
export function describeBlocking(caller: () => TopologyCaller): void {
  const block = (path: string, index: number, wait = WAIT): Blocked => {
    let over = false;
    const answer = caller()
      .get(`kv/${path}${path.includes('?') ? '&' : '?'}index=${index}&wait=${wait}`, WAIT_LIMIT_MS)
      .finally(() => {
        over = true;
      });
    return { answer, isOver: () => over };
  };
  const stillBlocked = async (blocked: Blocked): Promise<void> => {
    await sleep(STILL_MS);
    expect(blocked.isOver()).toBe(false);
  };

  describe('a blocking query', () => {
    test('of a key wakes when it changes, not when others do', async () => {
      const api = caller();
      await api.put('block/a', '1');
      await api.put('block/b', '1');
      const index = (await api.entry('block/a'))?.ModifyIndex ?? 0;
      const blocked = block('block/a', index);
      await api.put('block/b', '2');
      await api.put('block/a', '1');
      await stillBlocked(blocked);
      await api.put('block/a', '2');
      const answer = await blocked.answer;
      expect(JSON.parse(answer.text)).toMatchObject([{ Value: base64('2'), ModifyIndex: answer.index }]);
      expect(answer.index).toBeGreaterThan(index);
    });

    test('wakes when the key is deleted and when it comes', async () => {
      const api = caller();
      await api.put('block/c', '1');
      const gone = block('block/c', (await api.get('kv/block/c')).index);
      await stillBlocked(gone);
      await api.delete('block/c');
      const deleted = await gone.answer;
      expect(deleted.status).toBe(404);
      const back = block('block/c', deleted.index);
      await stillBlocked(back);
      await api.put('block/c', '2');
      const answer = await back.answer;
      expect(answer).toMatchObject({ status: 200 });
      expect(answer.index).toBeGreaterThan(deleted.index);
    });

    test('of a prefix wakes when something under it comes, changes and goes', async () => {
      const api = caller();
      await api.put('blocks/a', '1');
      let { index } = await api.get('kv/blocks/?recurse');
      const changes = [() => api.put('blocks/b', '1'), () => api.put('blocks/b', '2'), () => api.delete('blocks/b')];
      for (const [at, change] of changes.entries()) {
        const blocked = block('blocks/?recurse', index);
        await api.put('elsewhere/too', String(at));
        await stillBlocked(blocked);
        await change();
        const answer = await blocked.answer;
        expect(answer.index).toBeGreaterThan(index);
        index = answer.index;
      }
      expect((await api.entries('blocks/?recurse')).map(({ Key }) => Key)).toEqual(['blocks/a']);
    });

    test('ends with its time, a sixteenth later at the most, with what it knew', async () => {
      const api = caller();
      await api.put('block/d', '1');
      const { index, text } = await api.get('kv/block/d');
      const answers = await Promise.all(Array.from({ length: 12 }, () => block('block/d', index, '800ms').answer));
      for (const answer of answers) expect(answer).toMatchObject({ status: 200, index, text });
      const times = answers.map(({ afterMs }) => afterMs);
      expect(Math.min(...times)).toBeGreaterThanOrEqual(795);
      expect(Math.max(...times)).toBeLessThan(800 * (1 + 1 / 16) + 500);
      // All of them at the same moment is what the jitter is against.
      expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(10);
    });

    test('answers at once what is newer than it knows, and waits where it claims to know more', async () => {
      const api = caller();
      await api.put('block/e', '1');
      const { index } = await api.get('kv/block/e');
      expect((await block('block/e', index - 1).answer).afterMs).toBeLessThan(1_000);
      expect((await block('block/e', 0).answer).afterMs).toBeLessThan(1_000);
      const blocked = block('block/e', index + 1_000_000, '400ms');
      expect(await blocked.answer).toMatchObject({ status: 200, index });
      expect((await blocked.answer).afterMs).toBeGreaterThanOrEqual(395);
    });

    test('is one of many that one write wakes', async () => {
      const api = caller();
      await api.put('block/f', '1');
      const { index } = await api.get('kv/block/f');
      const blocked = Array.from({ length: 100 }, () => block('block/f', index));
      await stillBlocked(blocked[0] ?? block('block/f', index));
      await api.put('block/f', '2');
      const answers = await Promise.all(blocked.map(({ answer }) => answer));
      expect(new Set(answers.map((answer) => answer.index)).size).toBe(1);
      expect(answers[0]?.index).toBeGreaterThan(index);
    });

    test('asked again and again sees indexes go up only, and the last of many writes', async () => {
      const api = caller();
      await api.put('block/g', '0');
      const seen: number[] = [];
      const follow = async (): Promise<void> => {
        for (let index = 0; ; ) {
          const answer = await block('block/g', index).answer;
          seen.push(answer.index);
          index = answer.index;
          if (answer.text.includes(base64('last'))) return;
        }
      };
      const following = follow();
      await Promise.all(Array.from({ length: 4 }, async (_unused, writer) => {
        for (let i = 0; i < 25; i += 1) await api.put('block/g', `${writer} ${i}`);
      })); // biome-ignore format: a loop in each writer
      await api.put('block/g', 'last');
      await following;
      expect(seen.every((index, at) => at === 0 || index > (seen[at - 1] ?? 0))).toBe(true);
    });
  });
}

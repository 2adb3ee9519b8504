import { describe, expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../support/servers/wait-until.ts';
import { base64, textOf, type TopologyCaller } from './topology-server-harness.ts';

const SHORT_TTL_MS = 1_000;
const soon = { limitMs: 10_000, everyMs: 20 };

interface ShownSession {
  readonly ID: string;
}

/** Sessions and the locks that they hold. The server must allow a TTL of one second. */
export function describeSessions(caller: () => TopologyCaller): void {
  const exists = async (id: string): Promise<boolean> => (JSON.parse((await caller().get(`session/info/${id}`)).text) as ShownSession[]).length === 1;

  describe('a session', () => {
    test('is listed, renewed and ended', async () => {
      const api = caller();
      const id = await api.session({ Name: 'mine', TTL: '30s', LockDelay: '2s', Behavior: 'delete' });
      const shown = { ID: id, Name: 'mine', TTL: '30s', Behavior: 'delete', LockDelay: 2e9, CreateIndex: expect.any(Number), ModifyIndex: expect.any(Number) };
      expect(JSON.parse((await api.get(`session/info/${id}`)).text)).toEqual([expect.objectContaining(shown)]);
      expect(JSON.parse((await api.get('session/list')).text)).toContainEqual(expect.objectContaining(shown));
      expect(JSON.parse((await api.call('PUT', `session/renew/${id}`)).text)).toEqual([expect.objectContaining(shown)]);
      expect((await api.call('PUT', `session/destroy/${id}`)).text.trim()).toBe('true');
      expect((await api.call('PUT', `session/destroy/${id}`)).text.trim()).toBe('true');
      expect(await exists(id)).toBe(false);
      expect(await api.call('PUT', `session/renew/${id}`)).toMatchObject({ status: 404, text: expect.stringContaining('not found') });
      const plain = JSON.parse((await api.call('PUT', 'session/create')).text) as ShownSession;
      expect(JSON.parse((await api.get(`session/info/${plain.ID}`)).text)).toMatchObject([{ TTL: '', Behavior: 'release', LockDelay: 15e9 }]);
    });

    test('wakes those who watch the list when it comes and when it goes', async () => {
      const api = caller();
      const { index } = await api.get('session/list');
      const coming = api.get(`session/list?index=${Math.max(1, index)}&wait=20s`, 25_000);
      const id = await api.session();
      const came = await coming;
      expect(came.text).toContain(id);
      const going = api.get(`session/list?index=${came.index}&wait=20s`, 25_000);
      await api.call('PUT', `session/destroy/${id}`);
      const gone = await going;
      expect(gone.text).not.toContain(id);
      expect(gone.index).toBeGreaterThan(came.index);
    });

    test.each([
      ['{"TTL":"10ms"}', 'TTL'],
      ['{"TTL":"25h"}', 'TTL'],
      ['{"TTL":"soon"}', 'TTL'],
      ['{"TTL":"10s","Behavior":"forget"}', 'Behavior'],
      ['{"TTL":"10s","LockDelay":"long"}', 'Request decode failed'],
      ['{"TTL":', 'Request decode failed'],
    ])('of %s is refused', async (body, text) => {
      const answer = await caller().call('PUT', 'session/create', body);
      expect([400, 500]).toContain(answer.status);
      expect(answer.text).toContain(text);
    });

    test.each(['renew', 'destroy'])('without an id cannot be %sed', async (what) => {
      expect(await caller().call('PUT', `session/${what}/`)).toMatchObject({ status: 400, text: 'Missing session' });
    });

    test('lives as long as it is renewed, and ends between its TTL and twice of it without; then its keys are free and those who wait for them know', async () => {
      const api = caller();
      const [renewed, left] = [await api.session({ TTL: `${SHORT_TTL_MS}ms` }), await api.session({ TTL: `${SHORT_TTL_MS}ms` })];
      const begunAtMs = performance.now();
      await api.put(`ttl/a?acquire=${left}`, 'held');
      const held = await api.entry('ttl/a');
      const waiting = api.get(`kv/ttl/a?index=${held?.ModifyIndex}&wait=20s`, 25_000);
      const renewing = async (): Promise<void> => {
        for (let i = 0; i < 8; i += 1) {
          expect((await api.call('PUT', `session/renew/${renewed}`)).status).toBe(200);
          await sleep(SHORT_TTL_MS / 3);
        }
      };
      const [freed] = await Promise.all([waiting, renewing()]);
      const [entry] = JSON.parse(freed.text);
      expect(entry).toMatchObject({ Value: base64('held'), LockIndex: held?.LockIndex, ModifyIndex: freed.index });
      expect(entry).not.toHaveProperty('Session');
      expect(freed.afterMs).toBeGreaterThan(SHORT_TTL_MS * 0.9);
      expect(performance.now() - begunAtMs).toBeGreaterThan(2 * SHORT_TTL_MS);
      expect(freed.afterMs).toBeLessThan(2 * SHORT_TTL_MS + 1_000);
      expect([await exists(left), await exists(renewed)]).toEqual([false, true]);
      expect((await api.call('PUT', `session/renew/${left}`)).status).toBe(404);
    });
  });

  describe('a lock', () => {
    test('has one holder, counts its acquisitions, and does not keep others from writing', async () => {
      const api = caller();
      const [one, other] = [await api.session(), await api.session()];
      expect(await api.put(`lock/a?acquire=${one}`, '1')).toBe(true);
      const taken = await api.entry('lock/a');
      expect(taken).toMatchObject({ Session: one, LockIndex: 1 });
      expect(await api.put(`lock/a?acquire=${one}`, '2')).toBe(true);
      expect(await api.entry('lock/a')).toMatchObject({ Session: one, LockIndex: 1, Value: base64('2') });
      expect(await api.put(`lock/a?acquire=${other}`, '3')).toBe(false);
      expect(await api.put(`lock/a?release=${other}`, '4')).toBe(false);
      expect(textOf(await api.entry('lock/a'))).toBe('2');
      expect(await api.put(`lock/a?release=${one}`, '5')).toBe(true);
      const free = await api.entry('lock/a');
      expect(free).toMatchObject({ LockIndex: 1, Value: base64('5') });
      expect(free).not.toHaveProperty('Session');
      expect(await api.put(`lock/a?acquire=${other}`, '6')).toBe(true);
      expect(await api.entry('lock/a')).toMatchObject({ Session: other, LockIndex: 2 });
      expect(await api.put('lock/a', 'written over')).toBe(true);
      expect(await api.entry('lock/a')).toMatchObject({ Session: other, Value: base64('written over') });
    });

    test('is taken and given back in transactions', async () => {
      const api = caller();
      const [one, other] = [await api.session(), await api.session()];
      const lock = (session: string) => api.transaction([{ Verb: 'lock', Key: 'lock/b', Value: base64('x'), Session: session }]);
      expect(await lock(one)).toMatchObject({ status: 200, Results: [{ KV: { Session: one, LockIndex: 1 } }] });
      expect((await lock(other)).Errors).toEqual([{ OpIndex: 0, What: 'failed to lock key "lock/b", lock is already held' }]);
      const unlocked = await api.transaction([{ Verb: 'unlock', Key: 'lock/b', Value: base64('y'), Session: one }]);
      expect(unlocked).toMatchObject({ status: 200 });
      expect(textOf(await api.entry('lock/b'))).toBe('y');
      expect(await lock(other)).toMatchObject({ status: 200, Results: [{ KV: { Session: other, LockIndex: 2 } }] });
    });

    test('goes with its session: the key stays or is deleted, as the session says', async () => {
      const api = caller();
      const [releasing, deleting] = [await api.session({ Behavior: 'release' }), await api.session({ Behavior: 'delete' })];
      await api.put(`lock/stays?acquire=${releasing}`, 'x');
      await api.put(`lock/goes?acquire=${deleting}`, 'x');
      await api.put('lock/other', 'x');
      for (const session of [releasing, deleting]) await api.call('PUT', `session/destroy/${session}`);
      const stays = await api.entry('lock/stays');
      expect(stays).toMatchObject({ LockIndex: 1, Value: base64('x') });
      expect(stays).not.toHaveProperty('Session');
      expect(await api.entry('lock/goes')).toBeUndefined();
      expect(textOf(await api.entry('lock/other'))).toBe('x');
    });

    test('cannot be taken while the delay of a session that ended lasts', async () => {
      const api = caller();
      const [ended, next] = [await api.session({ LockDelay: '400ms' }), await api.session()];
      await api.put(`lock/delayed?acquire=${ended}`, 'x');
      await api.call('PUT', `session/destroy/${ended}`);
      const begunAtMs = performance.now();
      expect(await api.put(`lock/delayed?acquire=${next}`, 'y')).toBe(false);
      expect(await api.transaction([{ Verb: 'lock', Key: 'lock/delayed', Session: next }])).toMatchObject({
        status: 409,
        Errors: [{ What: 'failed to lock key "lock/delayed" due to lock delay' }],
      });
      await waitUntil('the end of the delay', soon, async () => ((await api.put(`lock/delayed?acquire=${next}`, 'y')) ? true : undefined));
      expect(performance.now() - begunAtMs).toBeGreaterThan(350);
      expect(performance.now() - begunAtMs).toBeLessThan(2_000);
    });

    test('that is given back by its holder has no delay', async () => {
      const api = caller();
      const [one, other] = [await api.session({ LockDelay: '10s' }), await api.session()];
      await api.put(`lock/swift?acquire=${one}`, 'x');
      await api.put(`lock/swift?release=${one}`, 'x');
      expect(await api.put(`lock/swift?acquire=${other}`, 'y')).toBe(true);
    });
  });
}

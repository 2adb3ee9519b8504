import { describe, expect, test } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type BufferedWrite, type BufferOptions, type Ticket, WriteBuffer } from '../../gateway/flow/buffer.ts';
import { HandClock, settled } from './support/hand-clock.ts';
import { reasonOf } from './support/reasons.ts';

/** A buffer, and writes of a group that ask for it. */
class BufferRig {
  readonly clock = new HandClock();
  readonly buffer: WriteBuffer;
  /** Names of the writes that were let through, in order. */
  readonly admitted: string[] = [];

  constructor(more: Partial<BufferOptions> = {}) {
    this.buffer = new WriteBuffer({ clock: this.clock, maxEntries: 10, maxBytes: 100, windowMs: 1_000, drainConcurrency: 1, ...more });
  }

  /** Lets `name` ask; fails as the admission does. */
  async admit(name: string, keys: readonly string[] = [], more: Partial<BufferedWrite> = {}, expectedMs = 0): Promise<Ticket> {
    const write = { group: 'one', keys, deadline: this.clock.monotonic() + 500, bytes: 10, signal: new AbortController().signal, ...more };
    const ticket = await this.buffer.admit(write, expectedMs);
    this.admitted.push(name);
    return ticket;
  }
}

describe('what cannot be admitted', () => {
  test('has as little time left as the hold will take; it is told how much', async () => {
    const rig = new BufferRig();
    const inMs = (ms: number) => ({ deadline: rig.clock.monotonic() + ms });
    const error = await rig.admit('late', [], inMs(30), 30).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: 'DEADLINE_TOO_SHORT', retryAfterMs: 30, message: expect.stringContaining('has 30 ms left') });
    await rig.admit('in time', [], inMs(31), 30);
  });

  test('takes more memory than there is, to the byte; the caller may come again when the hold is probably over', async () => {
    const rig = new BufferRig();
    rig.buffer.hold('one');
    void rig.admit('first');
    void rig.admit('fits', [], { bytes: 90 });
    const refusal = (expectedMs: number) => rig.admit('more', [], { bytes: 1 }, expectedMs).catch((reason: unknown) => reason);
    expect([await refusal(1), await refusal(50)]).toMatchObject([
      { reason: 'BUFFER_FULL', retryAfterMs: 20 },
      { reason: 'BUFFER_FULL', retryAfterMs: 50 },
    ]);
    expect(rig.buffer.counts).toMatchObject({ waiting: 2, waitingBytes: 100 });
  });

  test('comes after the end', async () => {
    const rig = new BufferRig();
    rig.buffer.close();
    expect([await reasonOf(rig.admit('late')), rig.buffer.counts.refused.shutdown, rig.buffer.counts.buffered]).toEqual(['GATEWAY_NOT_READY', 1, 0]);
  });

  test('has been left by its caller, held or not', async () => {
    const rig = new BufferRig();
    const signal = AbortSignal.abort(new SwitchyardError('CANCELLED', 'gone'));
    expect([await reasonOf(rig.admit('left', ['a'], { signal })), rig.buffer.counts.evicted.cancelled, rig.buffer.hasKeys]).toEqual(['CANCELLED', 1, false]);
  });
});

test('nobody waits in a group that was never heard of', () => {
  expect(new BufferRig().buffer.waiting('nobody')).toBe(0);
});

test('a write is never let go at its deadline, even when its timer is late', async () => {
  const late = new HandClock();
  const rig = new BufferRig({ clock: { ...late, after: () => () => {} } });
  rig.buffer.hold('one');
  const waiting = reasonOf(rig.admit('late', [], { deadline: late.monotonic() + 50 }));
  await late.pass(50);
  rig.buffer.release('one');
  expect([await waiting, rig.buffer.counts]).toMatchObject(['DEADLINE_TOO_SHORT', { drained: 0, evicted: { deadline: 1 } }]);
});

test('what was let go leaves no timer behind, nor anything at its signal', async () => {
  const rig = new BufferRig();
  const { signal } = new AbortController();
  rig.buffer.hold('one');
  const waiting = rig.admit('first', ['a'], { signal });
  expect([rig.clock.timers, getEventListeners(signal, 'abort').length]).toEqual([1, 1]);
  rig.buffer.release('one');
  await waiting;
  expect([rig.clock.timers, getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
});

describe('a ticket', () => {
  test('that waits again waits for its group, and takes no place of those under way', async () => {
    const rig = new BufferRig();
    const first = await rig.admit('first', ['a']);
    void rig.admit('second', ['b']);
    rig.buffer.hold('two');
    const again = first.again('two').then(() => rig.admitted.push('first again'));
    await settled();
    expect([rig.admitted, rig.buffer.waiting('two')]).toEqual([['first', 'second'], 1]);
    rig.buffer.release('two');
    await again;
    expect(rig.admitted).toEqual(['first', 'second', 'first again']);
  });

  test('that is settled cannot wait again; settling it twice does nothing more', async () => {
    const rig = new BufferRig({ drainConcurrency: 2 });
    const first = await rig.admit('first');
    await rig.admit('second');
    for (const name of ['third', 'fourth']) void rig.admit(name);
    first.done();
    first.done();
    await expect(first.again('one')).rejects.toThrow('only a drained entry can wait again');
    await settled();
    expect(rig.admitted).toEqual(['first', 'second', 'third']);
  });

  test('that comes back after the end is evicted', async () => {
    const rig = new BufferRig();
    const first = await rig.admit('first', ['a']);
    rig.buffer.close();
    expect([await reasonOf(first.again('one')), rig.buffer.counts.evicted.shutdown, rig.buffer.hasKeys]).toEqual(['GATEWAY_NOT_READY', 1, false]);
  });
});

test('the end evicts also what waits behind a write that is under way', async () => {
  const rig = new BufferRig();
  const first = await rig.admit('first', ['a']);
  const behind = reasonOf(rig.admit('behind', ['a']));
  rig.buffer.close();
  expect([await behind, rig.buffer.counts]).toMatchObject(['GATEWAY_NOT_READY', { waiting: 0, evicted: { shutdown: 1 } }]);
  first.done();
  expect(rig.buffer.hasKeys).toBe(false);
});

describe('a group', () => {
  test('goes on when the write of another that it stood behind is done', async () => {
    const rig = new BufferRig();
    const first = await rig.admit('first', ['a']);
    void rig.admit('behind', ['a'], { group: 'two' });
    expect([rig.buffer.isQueued(['a']), rig.buffer.waiting('two')]).toEqual(['two', 1]);
    first.done();
    await settled();
    expect(rig.admitted).toEqual(['first', 'behind']);
  });

  test('whose writes stand behind those of another can be held', async () => {
    const rig = new BufferRig();
    const first = await rig.admit('first', ['a']);
    void rig.admit('behind', ['a'], { group: 'two' });
    rig.buffer.hold('two');
    first.done();
    await settled();
    expect(rig.admitted).toEqual(['first']);
    rig.buffer.release('two');
    await settled();
    expect(rig.admitted).toEqual(['first', 'behind']);
  });

  test('that is held stays so when its last write that was under way is done', async () => {
    const rig = new BufferRig();
    const first = await rig.admit('first');
    rig.buffer.hold('one');
    first.done();
    void rig.admit('second');
    await settled();
    expect(rig.admitted).toEqual(['first']);
  });

  test('lets no more go at once than it may, though none had to wait before', async () => {
    const rig = new BufferRig();
    const first = await rig.admit('first');
    void rig.admit('second');
    await settled();
    expect(rig.admitted).toEqual(['first']);
    first.done();
    await settled();
    expect(rig.admitted).toEqual(['first', 'second']);
  });
});

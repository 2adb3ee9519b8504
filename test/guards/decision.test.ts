import { describe, expect, test } from '@jest/globals';
import { goForward, takeBack } from '../../control/cutover/decision.ts';
import { Abandoned } from '../../control/cutover/hold-context.ts';
import { attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { conflict, CutoverRig, lost } from './support/cutover-rig.ts';
import { whileTimePasses } from './support/hand-clock.ts';

const never = new AbortController().signal;

function frozen(at = 5): CutoverRig {
  const rig = new CutoverRig();
  Object.assign(rig.source, { state: 'FROZEN', attempt: at });
  return rig;
}
async function back(rig: CutoverRig, at = 5): Promise<{ readonly decision: string; readonly notes: readonly string[]; readonly ms: number }> {
  const notes: string[] = [];
  const begunMs = rig.clock.monotonic();
  const decision = await whileTimePasses(
    rig.clock,
    takeBack(rig.hold('target', at), (note) => notes.push(note)),
    10_000,
  );
  return { decision, notes, ms: rig.clock.monotonic() - begunMs };
}

describe('taking back', () => {
  test('opens the source again', async () => {
    const rig = frozen();
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: [], ms: 0 });
    expect([rig.source.state, rig.source.attempt]).toEqual(['OPEN', 5]);
  });

  test.each([
    ['SEALED', 'committed'],
    ['CLOSED', 'committed'],
  ] as const)('comes too late where the source is %s at the attempt', async (state, decision) => {
    const rig = frozen();
    rig.source.state = state;
    expect(await back(rig)).toMatchObject({ decision, notes: [decision], ms: 0 });
    expect(rig.source.state).toBe(state);
  });

  test('finds it done where the source is OPEN at the attempt', async () => {
    const rig = frozen();
    rig.source.state = 'OPEN';
    rig.source.trouble.abort = [{ error: conflict() }];
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: ['aborted'], ms: 0 });
  });

  test.each([0, 6])('believes that nothing was fenced only when a fence that is still on its way comes too late, after %d lost answers', async (losses) => {
    const rig = frozen();
    Object.assign(rig.source, { state: 'OPEN', attempt: 4 });
    rig.source.trouble.abort = Array.from({ length: losses }, () => ({ error: lost() }));
    const { decision, notes, ms } = await back(rig);
    expect([decision, notes, ms > 300]).toEqual(['aborted', ['never fenced'], losses > 0]);
    await expect(rig.source.session().fence(attempt(5), 100, never)).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
    expect([rig.source.state, rig.source.attempt]).toEqual(['OPEN', 4]);
  });

  test('takes back a fence that comes after the first look', async () => {
    const rig = frozen();
    Object.assign(rig.source, { state: 'OPEN', attempt: 4 });
    rig.source.answerMs.prepare = 20;
    rig.clock.after(10, () => Object.assign(rig.source, { state: 'FROZEN', attempt: 5 }));
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: [] });
    expect([rig.source.state, rig.source.attempt]).toEqual(['OPEN', 5]);
  });

  test('needs to keep nobody from fencing where a later attempt has done so', async () => {
    const rig = frozen();
    Object.assign(rig.source, { state: 'OPEN', attempt: 4, prepared: 9 });
    let opened = 0;
    const openFence = async () => {
      opened += 1;
      return rig.source.session();
    };
    Object.assign(rig.move.source.owner, { openFence });
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: ['never fenced'], ms: 0 });
    // The refusal is an answer: a store that lets nobody in quickly is asked again over the same connection.
    expect([rig.source.prepared, opened]).toEqual([9, 1]);
  });

  test('asks again where it is not known whether a late fence was kept out', async () => {
    const rig = frozen();
    Object.assign(rig.source, { state: 'OPEN', attempt: 4 });
    rig.source.trouble.prepare = [{ error: lost() }, { error: lost(), done: true }];
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: ['never fenced'] });
    expect(rig.source.calls.filter((call) => call === 'prepare').length).toBe(3);
    const gone = frozen();
    Object.assign(gone.source, { state: 'OPEN', attempt: 4 });
    gone.source.trouble.prepare = Array.from({ length: 1_000 }, () => ({ error: lost() }));
    expect((await back(gone)).decision).toBe('unknown');
  });

  test('gives way to somebody who has gone on', async () => {
    for (const [state, at] of [
      ['SEALED', 6],
      ['CLOSED', 4],
      ['OPEN', 6],
      ['FROZEN', 6],
      ['READABLE', 5],
    ] as const) {
      const rig = frozen();
      Object.assign(rig.source, { state, attempt: at });
      expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: ['somebody else has gone on'], ms: 0 });
    }
  });

  test('gives way where the workflow has ended: its fence finds no rows any more', async () => {
    const rig = frozen();
    Object.assign(rig.source, { state: 'OPEN', attempt: 4, owner: null });
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: ['somebody else has gone on'], ms: 0 });
  });

  test('goes on trying while the store does not answer, for five seconds', async () => {
    const rig = frozen();
    rig.source.trouble.abort = [{ error: lost() }, { error: lost() }];
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: [] });
    expect([rig.source.state, rig.source.calls.filter((call) => call === 'fenceRows')]).toEqual(['OPEN', []]);
    const gone = frozen();
    gone.source.trouble.abort = Array.from({ length: 1_000 }, () => ({ error: lost() }));
    const { decision, ms } = await back(gone);
    expect([decision, ms > 4_500, ms <= 5_000]).toEqual(['unknown', true, true]);
  });

  test('a conflict that the rows do not explain is asked about again', async () => {
    const rig = frozen();
    rig.source.trouble.abort = [{ error: conflict() }, { error: conflict() }];
    expect(await back(rig)).toMatchObject({ decision: 'aborted', notes: [] });
    expect(rig.source.calls.filter((call) => call === 'fenceRows').length).toBe(2);
    const unseen = frozen();
    unseen.source.trouble.abort = [{ error: conflict() }];
    unseen.source.trouble.fenceRows = [{ error: lost() }];
    expect(await back(unseen)).toMatchObject({ decision: 'aborted', notes: [] });
    expect([unseen.source.state, unseen.source.attempt]).toEqual(['OPEN', 5]);
  });
});

function sealed(): CutoverRig {
  const rig = new CutoverRig();
  Object.assign(rig.source, { state: 'SEALED', attempt: 5 });
  return rig;
}
async function forward(rig: CutoverRig): Promise<{ readonly stopped: string | null; readonly ms: number; readonly details: readonly (string | undefined)[] }> {
  const begunMs = rig.clock.monotonic();
  const hold = rig.hold('target', 5);
  const stopped = await whileTimePasses(rig.clock, goForward(hold), 15_000);
  return { stopped: stopped?.reason ?? null, ms: rig.clock.monotonic() - begunMs, details: hold.trace.steps.map(({ detail }) => detail) };
}

describe('going forward', () => {
  test('makes the target readable, closes the source, opens the target, in this order', async () => {
    const rig = sealed();
    const order: string[] = [];
    for (const side of ['source', 'target'] as const) rig[side].calls.push = (...calls) => order.push(...calls);
    expect(await forward(rig)).toEqual({ stopped: null, ms: 0, details: [undefined, undefined, undefined] });
    expect(order).toEqual(['ready', 'close', 'open']);
    expect([rig.source.state, rig.target.state, rig.target.attempt]).toEqual(['CLOSED', 'OPEN', 5]);
  });

  test.each(['ready', 'close', 'open'] as const)('repeats "%s" until it takes, whether the answer or the step was lost', async (name) => {
    for (const done of [false, true]) {
      const rig = sealed();
      rig[name === 'close' ? 'source' : 'target'].trouble[name] = [
        { error: lost(), done },
        { error: lost(), done },
      ];
      const { stopped, ms } = await forward(rig);
      expect([stopped, ms > 0, rig.source.state, rig.target.state]).toEqual([null, true, 'CLOSED', 'OPEN']);
    }
  });

  test.each(['ready', 'close', 'open'] as const)('finds that somebody else has done "%s"', async (name) => {
    const rig = sealed();
    if (name === 'ready') rig.target.state = 'READABLE';
    if (name === 'close') Object.assign(rig.source, { state: 'CLOSED' });
    if (name === 'open') Object.assign(rig.target, { state: 'OPEN', attempt: 5 });
    rig[name === 'close' ? 'source' : 'target'].trouble[name] = [{ error: conflict() }];
    const { stopped, details } = await forward(rig);
    expect([stopped, details.includes('somebody else has done it'), rig.source.state, rig.target.state]).toEqual([null, true, 'CLOSED', 'OPEN']);
  });

  test('stops at a conflict that lasts, after four tries', async () => {
    const rig = sealed();
    Object.assign(rig.target, { state: 'OPEN', attempt: 3 });
    const { stopped } = await forward(rig);
    expect([stopped, rig.target.calls.filter((call) => call === 'ready').length, rig.source.state]).toEqual(['FENCE_CONFLICT', 4, 'SEALED']);
    const open = sealed();
    Object.assign(open.source, { state: 'CLOSED', attempt: 5 });
    open.target.trouble.open = Array.from({ length: 10 }, () => ({ error: conflict() }));
    expect((await forward(open)).stopped).toBe('FENCE_CONFLICT');
    expect(open.target.calls.filter((call) => call === 'open').length).toBe(4);
  });

  test('a close that conflicts is passed only by a source that is CLOSED at the attempt', async () => {
    const rig = sealed();
    Object.assign(rig.source, { state: 'CLOSED', attempt: 4 });
    expect([(await forward(rig)).stopped, rig.target.state]).toEqual(['FENCE_CONFLICT', 'READABLE']);
  });

  test('gives up after ten seconds of a store that does not answer', async () => {
    const rig = sealed();
    rig.source.trouble.close = Array.from({ length: 1_000 }, () => ({ error: lost() }));
    const { stopped, ms } = await forward(rig);
    expect([stopped, ms > 9_000, ms <= 10_000]).toEqual(['STORE_UNAVAILABLE', true, true]);
  });

  test('an abandoned cutover is nothing to go on with', async () => {
    const rig = sealed();
    rig.target.trouble.ready = [{ error: new SwitchyardError('INTERNAL', 'x') }];
    const hold = rig.hold('target', 5);
    const abandoned = { ...hold, trace: { step: async () => Promise.reject(new Abandoned('x')) } } as unknown as typeof hold;
    await expect(goForward(abandoned)).rejects.toThrow(Abandoned);
  });
});

import { describe, expect, test } from '@jest/globals';
import { behind, catchUp, startReading } from '../../control/cutover/catch-up.ts';
import type { HoldContext } from '../../control/cutover/hold-context.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { CutoverRig, lost } from './support/cutover-rig.ts';
import { whileTimePasses } from './support/hand-clock.ts';
import { reasonOf } from './support/reasons.ts';

const sequence = (value: bigint, column = 'id', table = 'orders') => ({ table, column, value });

function ready(at = 5): { readonly rig: CutoverRig; readonly hold: HoldContext; readonly run: (budgetMs?: number) => Promise<void>; readonly notes: string[] } {
  const rig = new CutoverRig();
  rig.source.state = 'FROZEN';
  rig.source.attempt = at;
  rig.target.marker = at;
  const hold = rig.hold('target', at);
  const notes: string[] = [];
  const run = (budgetMs = 200): Promise<void> => {
    const deadlineMs = rig.clock.monotonic() + budgetMs;
    return whileTimePasses(
      rig.clock,
      catchUp(hold, deadlineMs, startReading(hold, 'to', deadlineMs), (note) => notes.push(note)),
    );
  };
  return { rig, hold, run, notes };
}

test('sequences are behind that are lower or missing, not those that are ahead or alike', () => {
  expect(behind([sequence(5n)], [sequence(5n)])).toEqual([]);
  expect(behind([sequence(5n), sequence(1n, 'no', 'lines')], [sequence(4n), sequence(9n, 'no', 'lines')])).toEqual(['orders.id']);
  expect(behind([sequence(0n)], [])).toEqual(['orders.id']);
  expect(behind([], [sequence(5n)])).toEqual([]);
});

describe('the target has caught up', () => {
  test('when it has recorded the marker of the attempt', async () => {
    const { run, notes } = ready();
    await run();
    expect(notes).toEqual(['1 poll']);
  });

  test('not before: it is asked again until it has', async () => {
    const { rig, run, notes } = ready();
    rig.target.marker = 4;
    rig.clock.after(7, () => {
      rig.target.marker = 5;
    });
    await run();
    expect(notes).toEqual(['8 polls']);
  });

  test('never within the budget: the hold ends at its end and not after it', async () => {
    const { rig, run } = ready();
    rig.target.marker = 4;
    const begunMs = rig.clock.monotonic();
    expect(await reasonOf(run(50))).toBe('HOLD_BUDGET');
    expect(rig.clock.monotonic() - begunMs).toBeLessThanOrEqual(50);
    expect(rig.target.calls.filter((call) => call === 'catchUp').length).toBe(50);
  });

  test('a store that does not answer ends with the budget too, and the caller may stop it', async () => {
    const silent = ready();
    silent.rig.target.answerMs.catchUp = 1_000;
    const begunMs = silent.rig.clock.monotonic();
    expect([await reasonOf(silent.run(50)), silent.rig.clock.monotonic() - begunMs]).toEqual(['HOLD_BUDGET', 50]);
    const stopped = ready();
    stopped.rig.target.marker = 4;
    stopped.rig.clock.after(5, () => stopped.rig.stop.abort(new SwitchyardError('CANCELLED', 'stop')));
    expect(await reasonOf(stopped.run(50))).toBe('CANCELLED');
  });

  test('an answer that came late is asked for once more: the decision needs a target that is there', async () => {
    const { rig, run, notes } = ready();
    rig.target.answerMs.catchUp = 51;
    rig.clock.after(60, () => {
      rig.target.answerMs.catchUp = 50;
    });
    await run();
    expect(notes).toEqual(['3 polls']);
  });

  test('is asked once more also when the sequences took long', async () => {
    const { rig, run } = ready();
    rig.source.answerMs.sequences = 51;
    await run();
    expect(rig.target.calls.filter((call) => call === 'catchUp').length).toBe(2);
    const quick = ready();
    quick.rig.source.answerMs.sequences = 50;
    await quick.run();
    expect(quick.rig.target.calls.filter((call) => call === 'catchUp').length).toBe(1);
  });
});

describe('a target that does not wait for this attempt', () => {
  test.each<[string, (rig: CutoverRig) => void]>([
    [
      'is not CLOSED',
      (rig) => {
        rig.target.state = 'READABLE';
      },
    ],
    [
      'is at the attempt already',
      (rig) => {
        rig.target.attempt = 5;
      },
    ],
    [
      'is beyond it',
      (rig) => {
        rig.target.attempt = 6;
      },
    ],
    [
      'has recorded a later marker',
      (rig) => {
        rig.target.marker = 6;
      },
    ],
  ])('because it %s', async (_, change) => {
    const { rig, run } = ready();
    change(rig);
    expect(await reasonOf(run())).toBe('FENCE_CONFLICT');
  });

  test.each([
    ['of another workflow', { workflow: 'another' }],
    ['towards another peer', { peer: 'third' }],
  ])('because a row is %s', async (_, change) => {
    const { rig, run } = ready();
    const rows = rig.target.rows.bind(rig.target);
    rig.target.rows = () => rows().map((one, index) => (index === 1 ? { ...one, ...change } : one));
    expect(await reasonOf(run())).toBe('FENCE_CONFLICT');
  });
});

describe('the sequences', () => {
  test('of the target must be ahead', async () => {
    const { rig, run } = ready();
    rig.source.sequences = [sequence(5n)];
    rig.target.sequences = [sequence(4n)];
    expect(await reasonOf(run())).toBe('SEQUENCE_BEHIND');
    rig.target.sequences = [sequence(5n)];
    await run();
  });

  test('that do not answer end with the budget', async () => {
    for (const side of ['source', 'target'] as const) {
      const { rig, run } = ready();
      rig[side].answerMs.sequences = 1_000;
      const begunMs = rig.clock.monotonic();
      expect([await reasonOf(run(50)), rig.clock.monotonic() - begunMs]).toEqual(['HOLD_BUDGET', 50]);
    }
  });

  test('that could not be read end the hold with why', async () => {
    for (const side of ['source', 'target'] as const) {
      const { rig, run } = ready();
      rig[side].trouble.sequences = [{ error: lost() }];
      expect(await reasonOf(run())).toBe('STORE_UNAVAILABLE');
    }
  });
});

import { describe, expect, test } from '@jest/globals';
import { Abandoned } from '../../control/cutover/hold-context.ts';
import { type HoldResult, runHold } from '../../control/cutover/hold.ts';
import { releaseTables } from '../../control/workflow/claims.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { conflict, CutoverRig, lost } from './support/cutover-rig.ts';
import { whileTimePasses } from './support/hand-clock.ts';

interface Held {
  readonly result: HoldResult;
  readonly ms: number;
  /** As its trace has it. */
  readonly holdMs: number;
  readonly steps: readonly (readonly [name: string, detail: string | undefined])[];
}

/** Runs a hold towards the target at attempt 5; the target records the marker as soon as the source is frozen. */
async function held(
  rig: CutoverRig,
  more: { readonly holdBudgetMs?: number; readonly marker?: boolean; readonly onStep?: Parameters<CutoverRig['hold']>[3]; readonly traceparent?: string } = {},
): Promise<Held> {
  const hold = rig.hold('target', 5, { holdBudgetMs: more.holdBudgetMs ?? 250 }, more.onStep);
  if (more.traceparent !== undefined) Object.defineProperty(hold.trace, 'traceparent', { value: more.traceparent });
  if (more.marker !== false) Object.defineProperty(rig.target, 'marker', { get: () => (rig.source.attempt === 5 ? 5 : 0) });
  const begunMs = rig.clock.monotonic();
  const result = await whileTimePasses(rig.clock, runHold(hold), 20_000);
  return { result, ms: rig.clock.monotonic() - begunMs, holdMs: hold.trace.holdMs, steps: hold.trace.steps.map(({ name, detail }) => [name, detail]) };
}
const states = (rig: CutoverRig) => [rig.source.state, rig.target.state];
const rulesOf = (rig: CutoverRig) => ['orders', 'lines'].map((table) => [rig.rules.tables[table]?.primary, rig.rules.tables[table]?.writes]);
const open = (keyspace: string) => [
  [keyspace, 'open'],
  [keyspace, 'open'],
];

const spoilt =
  (side: 'source' | 'target', step: 'fence' | 'commit', error: Error, done = false) =>
  (rig: CutoverRig): void => {
    rig[side].trouble[step] = [{ error, done }];
  };
const refusedRules = (rig: CutoverRig): void => {
  rig.rulesTrouble.push(new SwitchyardError('TOPOLOGY_DENIED', 'no'));
};
const takeAwayRules = (rig: CutoverRig): void => {
  rig.rules = { ...rig.rules, tables: {} };
};
const sequenceAhead = (rig: CutoverRig): void => {
  rig.source.sequences = [{ table: 'orders', column: 'id', value: 1n }];
};

describe('a hold that goes well', () => {
  test('holds the rules, fences, waits, decides, goes forward and flips', async () => {
    const rig = new CutoverRig();
    const { result, steps } = await held(rig);
    expect([result, states(rig), rulesOf(rig)]).toEqual([{ kind: 'switched', message: null }, ['CLOSED', 'OPEN'], open('new')]);
    expect(steps.map(([name]) => name)).toEqual(['rules-hold', 'fence', 'catch-up', 'commit', 'ready', 'close', 'open', 'flip']);
    expect(rig.written[0]?.tables.orders).toMatchObject({ primary: 'old', writes: 'held', hold: { holdMs: 500, attempt: 5 } });
    expect(rig.rules.tables.orders?.attempt).toBe(5);
    expect([steps[0]?.[1], steps.at(-1)?.[1]]).toEqual(['version 2, applied by 2 of 2 gateways', undefined]);
  });

  test('tells its length, and the gateways its trace', async () => {
    const rig = new CutoverRig();
    rig.source.answerMs.fence = 30;
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { holdMs } = await held(rig, { traceparent });
    expect([holdMs, rig.written[0]?.tables.orders?.hold?.traceparent]).toEqual([30, traceparent]);
  });

  test('leaves some of its budget for what follows the fence: a fifth, at most 20 ms', async () => {
    for (const [holdBudgetMs, lockTimeoutMs] of [
      [50, 40],
      [110, 90],
    ] as const) {
      const rig = new CutoverRig();
      await held(rig, { holdBudgetMs });
      expect(rig.source.lockTimeoutsMs).toEqual([lockTimeoutMs]);
    }
  });

  test('flips also tables whose rule somebody has taken away, and holds none of them', async () => {
    for (const trouble of [null, new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no leader')]) {
      const rig = new CutoverRig();
      takeAwayRules(rig);
      rig.rulesTrouble.push(trouble);
      await held(rig);
      expect([rig.written[0]?.tables.orders?.writes, rulesOf(rig)]).toEqual(['open', open('new')]);
    }
  });

  test('asks for a hold of the budget and a margin, at most a second', async () => {
    for (const [holdBudgetMs, holdMs] of [
      [100, 350],
      [900, 1_000],
    ] as const) {
      const rig = new CutoverRig();
      await held(rig, { holdBudgetMs });
      expect(rig.written[0]?.tables.orders?.hold?.holdMs).toBe(holdMs);
    }
  });

  test('does without rules that cannot be written just now', async () => {
    for (const trouble of [new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no leader'), new SwitchyardError('TOPOLOGY_CONFLICT', 'lost'), 'silent'] as const) {
      const rig = new CutoverRig();
      rig.rulesTrouble.push(trouble);
      const { result, steps } = await held(rig);
      expect([result.kind, states(rig), rulesOf(rig)]).toEqual(['switched', ['CLOSED', 'OPEN'], open('new')]);
      expect(steps[0]?.[1]).toMatch(/^not held, gateways learn of it from the fence/);
    }
  });

  test('does without rules that somebody has taken from the workflow, which the flip gives back to it', async () => {
    for (const taken of [['orders'], ['orders', 'lines']]) {
      const rig = new CutoverRig();
      const tables = Object.fromEntries(Object.entries(rig.rules.tables).filter(([key]) => !taken.includes(key)));
      rig.rules = { ...rig.rules, tables };
      const { result, steps } = await held(rig);
      expect([result, states(rig), rulesOf(rig)]).toEqual([{ kind: 'switched', message: null }, ['CLOSED', 'OPEN'], open('new')]);
      expect(Object.values(rig.rules.tables).map((rule) => rule.movement?.workflow)).toEqual(['move', 'move']);
      const whole = taken.length === 2;
      expect(steps[0]?.[1]).toBe(whole ? 'not held, gateways learn of it from the fence: no rule names the workflow' : 'version 2, applied by 2 of 2 gateways');
      expect([rig.written.length, rig.written[0]?.tables.orders === undefined]).toEqual(whole ? [1, false] : [2, true]);
    }
  });

  test('tries the fence again when writers did not drain in time, and says how often', async () => {
    const rig = new CutoverRig();
    const late = { error: new SwitchyardError('LOCK_TIMEOUT', 'busy') };
    rig.source.trouble.fence = [late, late];
    const { result, steps } = await held(rig);
    expect([result.kind, steps.find(([name]) => name === 'fence')?.[1]]).toEqual(['switched', '3 tries']);
    const once = new CutoverRig();
    expect((await held(once)).steps.find(([name]) => name === 'fence')?.[1]).toBe(undefined);
  });
});

describe('a hold that fails before the decision', () => {
  test.each([
    ['rules that are refused', refusedRules, 'TOPOLOGY_DENIED', []],
    ['a fence that conflicts', spoilt('source', 'fence', conflict()), 'FENCE_CONFLICT', ['abort']],
    ['a later attempt that has begun to', spoilt('source', 'fence', new SwitchyardError('LOCK_TAKEN', 'a later one')), 'LOCK_TAKEN', []],
    ['a fence whose answer is lost', spoilt('source', 'fence', lost(), true), 'STORE_UNAVAILABLE', ['abort']],
    ['a sequence that is behind', sequenceAhead, 'SEQUENCE_BEHIND', ['abort']],
    ['a commit that conflicts', spoilt('source', 'commit', conflict()), 'FENCE_CONFLICT', ['abort']],
  ] as const)('by %s leaves the source open and the rules as they were', async (_, spoil, reason, aborts) => {
    const rig = new CutoverRig();
    spoil(rig);
    const { result, steps } = await held(rig);
    expect([result.kind, result.kind === 'aborted' && result.error.reason, states(rig), rulesOf(rig)]).toEqual(['aborted', reason, ['OPEN', 'CLOSED'], open('old')]);
    expect(steps.map(([name]) => name).filter((name) => name === 'abort')).toEqual(aborts);
    expect(steps.at(-1)?.[0]).toBe('release');
  });

  test('puts rules right that were taken away', async () => {
    const rig = new CutoverRig();
    takeAwayRules(rig);
    rig.rulesTrouble.push(new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no leader'));
    spoilt('source', 'fence', conflict())(rig);
    expect([(await held(rig)).result.kind, rulesOf(rig)]).toEqual(['aborted', open('old')]);
  });

  test('by a commit that does not answer within the budget is taken back', async () => {
    const rig = new CutoverRig();
    rig.source.answerMs.commit = 5_000;
    const { result, ms } = await held(rig);
    expect([result.kind, ms, states(rig)]).toEqual(['aborted', 250, ['OPEN', 'CLOSED']]);
  });

  test('by writers that never drain ends before the budget does, and nothing was fenced', async () => {
    const rig = new CutoverRig();
    rig.source.answerMs.fence = 10;
    rig.source.trouble.fence = Array.from({ length: 100 }, () => ({ error: new SwitchyardError('LOCK_TIMEOUT', 'busy') }));
    const { result, ms, steps } = await held(rig);
    expect([result.kind, result.kind === 'aborted' && result.error.reason, states(rig)]).toEqual(['aborted', 'LOCK_TIMEOUT', ['OPEN', 'CLOSED']]);
    expect([ms > 200, ms < 270, rig.source.calls.includes('abort'), steps.some(([name]) => name === 'abort')]).toEqual([true, true, false, false]);
  });

  test('by the end of its workflow leaves the rules to whoever has the tables next', async () => {
    const rig = new CutoverRig();
    rig.rules = { ...rig.rules, ...releaseTables(rig.rules, 'move', 'old') };
    Object.assign(rig.source, { owner: null });
    Object.assign(rig.target, { owner: null });
    const { result, steps, ms } = await held(rig);
    expect([result.kind, result.kind === 'aborted' && result.error.reason, rig.written, ms < 50]).toEqual(['aborted', 'FENCE_CONFLICT', [], true]);
    expect(steps.map(([name]) => name)).toEqual(['rules-hold', 'fence', 'abort', 'release']);
  });

  test('by a budget that is too small for any fence says so', async () => {
    const rig = new CutoverRig();
    rig.rulesTrouble.push('silent');
    const { result } = await held(rig, { holdBudgetMs: 50 });
    expect([result.kind, result.kind === 'aborted' && result.error.reason, rig.source.calls.includes('fence')]).toEqual(['aborted', 'HOLD_BUDGET', false]);
  });

  test('by a fence that does not answer is taken back within the budget', async () => {
    const rig = new CutoverRig();
    rig.source.answerMs.fence = 2_000;
    const { result } = await held(rig);
    expect([result.kind, result.kind === 'aborted' && result.error.reason]).toEqual(['aborted', 'HOLD_BUDGET']);
  });

  test('by a target that does not catch up', async () => {
    const rig = new CutoverRig();
    const { result, ms } = await held(rig, { marker: false });
    expect([result.kind, result.kind === 'aborted' && result.error.reason, ms >= 245, ms <= 260, states(rig)]).toEqual(['aborted', 'HOLD_BUDGET', true, true, ['OPEN', 'CLOSED']]);
  });

  test('by its caller, at any time before the decision, ends with the reason of the caller', async () => {
    for (const atMs of [0, 3, 20]) {
      const rig = new CutoverRig();
      rig.source.answerMs.sequences = 10;
      rig.target.answerMs.catchUp = 40;
      rig.clock.after(atMs, () => rig.stop.abort(new SwitchyardError('CANCELLED', 'stop')));
      const { result } = await held(rig);
      expect([result.kind, result.kind === 'aborted' && result.error.reason, states(rig), rulesOf(rig)]).toEqual(['aborted', 'CANCELLED', ['OPEN', 'CLOSED'], open('old')]);
    }
    const rig = new CutoverRig();
    rig.stop.abort(new SwitchyardError('CANCELLED', 'stop'));
    const { result, steps } = await held(rig);
    expect([result.kind, steps.map(([name]) => name)]).toEqual(['aborted', ['rules-hold', 'release']]);
  });

  test('by its caller at the last moment: nothing is sent to be decided any more', async () => {
    const rig = new CutoverRig();
    const onStep = (name: string): void => {
      if (name === 'catch-up') rig.stop.abort(new SwitchyardError('CANCELLED', 'stop'));
    };
    const { result } = await held(rig, { onStep });
    expect([result.kind, rig.source.calls.includes('commit'), states(rig)]).toEqual(['aborted', false, ['OPEN', 'CLOSED']]);
  });

  test('and cannot be taken back is left to the repair', async () => {
    const rig = new CutoverRig();
    rig.source.trouble.commit = [{ error: lost() }];
    rig.source.trouble.abort = Array.from({ length: 1_000 }, () => ({ error: lost() }));
    const { result } = await held(rig);
    expect([result.kind, result.kind === 'undecided' && result.error.reason, states(rig)]).toEqual(['undecided', 'STORE_UNAVAILABLE', ['FROZEN', 'CLOSED']]);
  });
});

describe('from the decision on', () => {
  test('there is only forward, though the answer to the commit was lost', async () => {
    const rig = new CutoverRig();
    rig.source.trouble.commit = [{ error: lost(), done: true }];
    const { result, steps } = await held(rig);
    expect([result.kind, states(rig), rulesOf(rig)]).toEqual(['switched', ['CLOSED', 'OPEN'], open('new')]);
    expect(steps.find(([name]) => name === 'abort')?.[1]).toBe('committed');
  });

  test('the caller is not asked any more', async () => {
    const rig = new CutoverRig();
    rig.target.answerMs.ready = 20;
    const stopping = rig.clock.after(10, () => rig.stop.abort(new SwitchyardError('CANCELLED', 'stop')));
    const { result } = await held(rig);
    stopping();
    expect([result.kind, states(rig)]).toEqual(['switched', ['CLOSED', 'OPEN']]);
  });

  test('a store that does not answer leaves it to the repair', async () => {
    const rig = new CutoverRig();
    rig.target.trouble.open = Array.from({ length: 1_000 }, () => ({ error: lost() }));
    const { result } = await held(rig);
    expect([result.kind, result.kind === 'undecided' && result.error.reason, states(rig)]).toEqual(['undecided', 'STORE_UNAVAILABLE', ['CLOSED', 'READABLE']]);
  });

  test('a commit has some time also at the very end of the budget', async () => {
    const rig = new CutoverRig();
    rig.target.answerMs.catchUp = 45;
    rig.source.answerMs.commit = 45;
    const { result } = await held(rig, { holdBudgetMs: 50 });
    expect([result.kind, states(rig)]).toEqual(['switched', ['CLOSED', 'OPEN']]);
  });

  test('rules that cannot be written are told of, and no failure', async () => {
    const rig = new CutoverRig();
    rig.rulesTrouble.push(null, ...Array.from({ length: 100 }, () => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no leader')));
    const { result, steps } = await held(rig);
    expect(result).toEqual({ kind: 'switched', message: 'the rules are not written yet: no leader' });
    expect(steps.at(-1)).toEqual(['flip', 'the rules are not written yet: no leader']);
  });

  test('rules that somebody has put right are left alone, and those of a later switch too', async () => {
    const right = new CutoverRig();
    const write = right.deps.topology.updateRules.bind(right.deps.topology);
    let writes = 0;
    Object.assign(right.deps.topology, {
      updateRules: (...args: Parameters<typeof write>) => {
        writes += 1;
        if (writes === 2) {
          // Another control has flipped just before.
          right.rules = {
            ...right.rules,
            version: right.rules.version + 1,
            nonce: 'other',
            tables: Object.fromEntries(Object.entries(right.rules.tables).map(([key, { hold: _, ...rule }]) => [key, { ...rule, primary: 'new', writes: 'open' }])),
          };
        }
        return write(...args);
      },
    });
    const { result, steps } = await held(right);
    expect([result, steps.at(-1)]).toEqual([{ kind: 'switched', message: null }, ['flip', 'the rules said so already']]);
    const later = new CutoverRig();
    later.rulesTrouble.push(new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no leader'));
    const rows = later.target.rows.bind(later.target);
    later.target.rows = () => (later.target.state === 'OPEN' ? rows().map((one) => ({ ...one, state: 'CLOSED' as const })) : rows());
    const superseded = await held(later);
    expect([superseded.result.kind, superseded.steps.at(-1)]).toEqual(['switched', ['flip', 'somebody else has gone on since; the rules were left alone']]);
    expect(rulesOf(later)).toEqual(open('old'));
  });
});

test('an abandoned hold is left as it stands', async () => {
  for (const step of ['fence', 'open']) {
    const rig = new CutoverRig();
    const hold = rig.hold('target', 5);
    Object.defineProperty(rig.target, 'marker', { get: () => (rig.source.attempt === 5 ? 5 : 0) });
    const { trace } = hold;
    const dying = Object.assign(Object.create(trace) as typeof trace, {
      beginHold: () => trace.beginHold(),
      endHold: () => trace.endHold(),
      step: async (name: Parameters<typeof trace.step>[0], act: Parameters<typeof trace.step>[1]) => {
        await trace.step(name, act);
        if (name === step) throw new Abandoned('died');
      },
    });
    Object.defineProperty(dying, 'traceparent', { value: undefined });
    await expect(whileTimePasses(rig.clock, runHold({ ...hold, trace: dying }))).rejects.toThrow(Abandoned);
    expect(states(rig)).toEqual(step === 'fence' ? ['FROZEN', 'CLOSED'] : ['CLOSED', 'OPEN']);
  }
});

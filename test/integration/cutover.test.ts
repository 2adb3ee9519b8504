import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { FenceSession } from '../../backends/backend.ts';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import { runCutover } from '../../control/cutover/cutover.ts';
import { scopeOf } from '../../control/cutover/direction.ts';
import { precheck } from '../../control/cutover/precheck.ts';
import { repairOnce } from '../../control/cutover/repair.ts';
import { RepairWatch } from '../../control/cutover/repair-watch.ts';
import { holdSteps } from '../../control/cutover/steps.ts';
import { dropLeftLog, finishSwitch } from '../../control/cutover/tail.ts';
import type { ControlDeps, SideName } from '../../control/move.ts';
import { claimTables } from '../../control/workflow/claims.ts';
import { cancelMove } from '../../control/workflow/ending.ts';
import { attempt } from '../../core/ids.ts';
import type { CutoverRecord } from '../../core/workflow-document.ts';
import { CutoverStage, type StagedMove } from '../support/cutover/move-harness.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

const never = new AbortController().signal;
let stage: CutoverStage;

beforeAll(async () => {
  stage = await CutoverStage.open(postgresBackend);
}, 120_000);
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

interface Run {
  readonly onStep?: NonNullable<ControlDeps['onStep']>;
  readonly signal?: AbortSignal;
}

async function cutover(staged: StagedMove, to: SideName, run: Run = {}): Promise<CutoverRecord> {
  await using session = await stage.topology.openSession('test', never);
  const deps = { ...stage.deps, ...(run.onStep === undefined ? {} : { onStep: run.onStep }) };
  return await runCutover({ armed: await staged.armed(), to, streams: staged.streams, session, deps, signal: run.signal ?? never });
}

class Death extends Error {}
/** Makes the coordinator die after a step. */
const dieAfter = (name: string): Run => ({
  onStep: async (_workflow, _to, step) => {
    if (step === name) throw new Death(name);
  },
});

async function atSource<T>({ move }: StagedMove, act: (session: FenceSession) => Promise<T>): Promise<T> {
  await using session = await move.source.owner.openFence(scopeOf(move, 'source'), never);
  return await act(session);
}

async function expectServing(staged: StagedMove, side: SideName): Promise<void> {
  const other = side === 'source' ? 'target' : 'source';
  expect([await staged.takesWrites(side), await staged.takesReads(side), await staged.takesWrites(other), await staged.takesReads(other)]).toEqual([true, true, false, false]);
  const rules = await staged.rules();
  for (const table of staged.move.tables)
    expect(rules.tables[table]).toMatchObject({ primary: staged.move[side].keyspace, writes: 'open', movement: { workflow: staged.move.name } });
}

test('there and back again: every step in order, rows, sequences and both ways lossless', async () => {
  await using staged = await stage.arm();
  const seen: string[] = [];
  const record = await cutover(staged, 'target', { onStep: async (_w, _t, step) => void seen.push(step) });
  expect(record).toMatchObject({ outcome: 'switched', to: 'target', attempts: 1 });
  expect(record.message).toBeUndefined();
  expect(seen).toEqual(['lock', 'precheck', 'reverse-stream', 'sequences', 'warm-up', ...holdSteps, 'reverse-start', 'forward-freeze', 'compare-last', 'journal', 'unlock']);
  expect(await staged.fences()).toBe(`CLOSED(${record.attempt}) OPEN(${record.attempt})`);
  await expectServing(staged, 'target');
  const document = await staged.document();
  expect(document.state).toBe('switched');
  expect(document.cutovers).toEqual([record]);
  // New ids do not meet old ones, and what is written now flows back.
  expect(Number(await staged.asGateway('target', `INSERT INTO ${staged.orders} (note) VALUES ('after') RETURNING id;`))).toBeGreaterThan(50);
  await staged.inStep();

  const back = await cutover(staged, 'source');
  expect(back).toMatchObject({ outcome: 'switched', to: 'source' });
  expect(back.attempt).toBeGreaterThan(record.attempt);
  await expectServing(staged, 'source');
  await staged.inStep();
  expect((await staged.document()).state).toBe('running');

  const again = await cutover(staged, 'target');
  expect(again.outcome).toBe('switched');
  await staged.inStep();
});

test('the steps of the hold account for its whole length', async () => {
  await using staged = await stage.arm();
  const record = await cutover(staged, 'target');
  const named = record.steps.filter((step) => (holdSteps as readonly string[]).includes(step.name)).reduce((sum, step) => sum + step.durationMs, 0);
  expect(named / record.holdMs).toBeGreaterThan(0.95);
});

describe('aborted', () => {
  test('when a writer does not finish: lock timeout, tried again up to the limit', async () => {
    await using staged = await stage.arm({ attempts: 2, transactionAgeMs: 60_000 });
    const writer = staged.asGateway('source', `BEGIN; INSERT INTO ${staged.orders} (note) VALUES ('slow'); SELECT pg_sleep(8); COMMIT;`);
    const record = await cutover(staged, 'target');
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'LOCK_TIMEOUT', attempts: 2 });
    expect(record.holdMs).toBeLessThan(400);
    await writer;
    await expectServing(staged, 'source');
    await staged.inStep();
    expect((await staged.document()).cutovers).toEqual([record]);
  });

  test('when the target does not catch up within the budget', async () => {
    await using staged = await stage.arm({ attempts: 1 });
    const record = await cutover(staged, 'target', {
      onStep: async (_w, _t, step) => {
        if (step === 'rules-hold') await staged.streams.stop('source');
      },
    });
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'HOLD_BUDGET' });
    expect(record.steps.map((step) => step.name)).toEqual(expect.arrayContaining(['fence', 'catch-up', 'abort', 'release']));
    expect(await staged.fences()).toMatch(new RegExp(`^OPEN\\(${record.attempt}\\) CLOSED`));
    await expectServing(staged, 'source');
    await staged.streams.start('source', never);
    expect((await cutover(staged, 'target')).outcome).toBe('switched');
  });

  test('when a sequence was raised beyond the margin meanwhile; the next attempt raises it again', async () => {
    await using staged = await stage.arm({ attempts: 2 });
    let first = true;
    const record = await cutover(staged, 'target', {
      onStep: async (_w, _t, step) => {
        if (step !== 'sequences' || !first) return;
        first = false;
        await stage.servers.source.psql('shop', `SELECT setval(pg_get_serial_sequence('${staged.orders}', 'id'), 900000);`);
      },
    });
    expect(record).toMatchObject({
      outcome: 'switched',
      attempts: 2,
      aborted: [{ attempt: record.attempt - 1, reason: 'SEQUENCE_BEHIND', message: expect.stringContaining('are not ahead') }],
    });
    expect(Number(await staged.asGateway('target', `INSERT INTO ${staged.orders} (note) VALUES ('x') RETURNING id;`))).toBeGreaterThan(900_000);
  });

  test.each(['rules-hold', 'fence', 'catch-up'])('when it is told to stop after %s', async (name) => {
    await using staged = await stage.arm();
    const stop = new AbortController();
    const record = await cutover(staged, 'target', {
      signal: stop.signal,
      onStep: async (_w, _t, step) => {
        if (step === name) stop.abort();
      },
    });
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'CANCELLED' });
    await expectServing(staged, 'source');
  });

  test.each(['precheck', 'warm-up'])('when a later attempt has begun to prepare after %s', async (name) => {
    await using staged = await stage.arm({ attempts: 1 });
    const record = await cutover(staged, 'target', {
      onStep: async (_w, _t, step) => {
        if (step === name) await atSource(staged, (session) => session.prepare(attempt(1_000_000), never));
      },
    });
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'LOCK_TAKEN' });
    expect(await staged.fences()).toBe('OPEN(0) CLOSED(0)');
    await expectServing(staged, 'source');
  });

  test('but not when the store knows of a later attempt than the counter does, as after a restored Consul: the number goes above it', async () => {
    await using staged = await stage.arm({ attempts: 1 });
    await atSource(staged, (session) => session.prepare(attempt(2_000_000), never));
    expect(await cutover(staged, 'target')).toMatchObject({ outcome: 'switched', attempts: 1, attempt: 2_000_001 });
  });

  test('and once it is cleaned up after, its own fence, should it still be on its way, comes too late', async () => {
    await using staged = await stage.arm();
    const stop = new AbortController();
    const record = await cutover(staged, 'target', {
      signal: stop.signal,
      onStep: async (_w, _t, step) => {
        if (step === 'warm-up') stop.abort();
      },
    });
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'CANCELLED' });
    await dropLeftLog({ armed: await staged.armed(), primary: 'source', streams: staged.streams, deps: stage.deps, signal: never });
    await expect(atSource(staged, (session) => session.fence(attempt(record.attempt), 500, never))).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
    expect((await cutover(staged, 'target')).outcome).toBe('switched');
  });

  test('but not after the decision: told to stop then, it finishes the switch', async () => {
    await using staged = await stage.arm();
    const stop = new AbortController();
    const record = await cutover(staged, 'target', {
      signal: stop.signal,
      onStep: async (_w, _t, step) => {
        if (step === 'commit') stop.abort();
      },
    });
    expect(record.outcome).toBe('switched');
    await expectServing(staged, 'target');
    expect(await finishSwitch({ armed: await staged.armed(), primary: 'target', streams: staged.streams, deps: stage.deps, signal: never })).toEqual([]);
    await staged.inStep();
  });
});

describe('not begun', () => {
  test('without a verification', async () => {
    await using staged = await stage.arm();
    await stage.topology.updateWorkflow(staged.move.name, ({ verification: _, ...document }) => document, never);
    const found = await precheck(staged.move, await staged.document(), 'target', staged.streams, stage.deps, never);
    expect(found.problems).toMatchObject([{ reason: 'NOT_VERIFIED' }]);
    const record = await cutover(staged, 'target');
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'NOT_VERIFIED', attempts: 1, holdMs: 0 });
    await expectServing(staged, 'source');
  });

  test('when the tables differ, or the direction is wrong', async () => {
    await using staged = await stage.arm();
    const wrong = await precheck(staged.move, await staged.document(), 'source', staged.streams, stage.deps, never);
    expect(wrong.problems.length).toBeGreaterThan(0);
    await stage.servers.target.psql('shop', `ALTER TABLE ${staged.orders} ADD extra int;`);
    const found = await precheck(staged.move, await staged.document(), 'target', null, stage.deps, never);
    expect(found.problems).toEqual(expect.arrayContaining([expect.objectContaining({ reason: 'SCHEMA_CHANGED', table: staged.orders })]));
  });
});

describe('the coordinator dies after', () => {
  const expected: Readonly<Record<string, SideName>> = {
    'warm-up': 'source',
    'rules-hold': 'source',
    fence: 'target',
    'catch-up': 'target',
    commit: 'target',
    ready: 'target',
    close: 'target',
    open: 'target',
    flip: 'target',
  };
  test.each(Object.entries(expected))('%s: repaired, the %s serves', async (step, side) => {
    await using staged = await stage.arm();
    await expect(cutover(staged, 'target', dieAfter(step))).rejects.toBeInstanceOf(Death);
    // The marker comes a moment after the fence.
    if (step === 'fence') await waitUntil('the marker', { limitMs: 3_000 }, async () => (await markerOf(staged)) || undefined);
    if (step === 'ready') expect([await staged.takesReads('source'), await staged.takesReads('target')]).toEqual([true, true]);
    const report = await repairOnce(await staged.armed(), stage.deps, never);
    expect(report.left).toMatchObject({ kind: 'nothing', primary: side });
    await expectServing(staged, side);
    const again = await repairOnce(await staged.armed(), stage.deps, never);
    expect(again.acted).toBe(false);
    if (side === 'target') {
      expect(await finishSwitch({ armed: await staged.armed(), primary: 'target', streams: staged.streams, deps: stage.deps, signal: never })).toEqual([]);
      await staged.inStep();
      expect(await staged.document()).toMatchObject({ state: 'switched', cutovers: [{ outcome: 'repaired' }] });
      expect((await cutover(staged, 'source')).outcome).toBe('switched');
      await expectServing(staged, 'source');
    } else {
      expect((await cutover(staged, 'target')).outcome).toBe('switched');
      await expectServing(staged, 'target');
    }
    await staged.inStep();
  });

  test('fence, and the player with it: aborted', async () => {
    await using staged = await stage.arm({ holdBudgetMs: 1_000 });
    const death = cutover(staged, 'target', {
      onStep: async (_w, _t, step) => {
        // The last step before the hold: stopping takes its time, which is not the hold's.
        if (step === 'warm-up') await staged.streams.stop('source');
        if (step === 'fence') throw new Death(step);
      },
    });
    await expect(death).rejects.toBeInstanceOf(Death);
    const report = await repairOnce(await staged.armed(), stage.deps, never);
    expect(report.left).toMatchObject({ kind: 'nothing', primary: 'source' });
    await expectServing(staged, 'source');
    expect(await staged.document()).toMatchObject({ state: 'running', cutovers: [{ outcome: 'aborted' }] });
  });
});

describe('the log of the way back of an attempt that came to nothing goes when the next leader takes over', () => {
  const takeOver = async (staged: StagedMove, primary: SideName): Promise<void> => {
    expect(await finishSwitch({ armed: await staged.armed(), primary, streams: staged.streams, deps: stage.deps, signal: never })).toEqual([]);
  };
  /** Of the move: "source" and "target" as often as they keep a log for it. */
  const logsOf = async ({ move }: StagedMove): Promise<readonly string[]> => {
    const kept = (side: SideName): Promise<string> =>
      stage.servers[side].psql('shop', `SELECT '${side}' FROM pg_replication_slots WHERE slot_name LIKE 'switchyard\\_${move.name}\\_%';`);
    return [await kept('source'), await kept('target')].flatMap((text) => text.split('\n').filter((line) => line !== ''));
  };

  test('its coordinator has died', async () => {
    await using staged = await stage.arm();
    await expect(cutover(staged, 'target', dieAfter('reverse-stream'))).rejects.toBeInstanceOf(Death);
    expect(await logsOf(staged)).toEqual(['source', 'target']);
    await takeOver(staged, 'source');
    expect(await logsOf(staged)).toEqual(['source']);
    // Once more, and for the other side: what runs is left alone, and so is whoever switches then.
    await takeOver(staged, 'source');
    expect(await cutover(staged, 'target')).toMatchObject({ outcome: 'switched', attempts: 1 });
    await expect(cutover(staged, 'source', dieAfter('warm-up'))).rejects.toBeInstanceOf(Death);
    expect(await logsOf(staged)).toEqual(['source', 'target']);
    await takeOver(staged, 'target');
    expect(await logsOf(staged)).toEqual(['target']);
    expect(await cutover(staged, 'source')).toMatchObject({ outcome: 'switched', attempts: 1 });
    await staged.inStep();
  });

  test('its store had gone away', async () => {
    await using staged = await stage.arm({ attempts: 1 });
    try {
      const stop = async (step: string): Promise<void> => {
        if (step === 'sequences') await stage.servers.target.stop('immediate');
      };
      expect((await cutover(staged, 'target', { onStep: (_w, _t, step) => stop(step) })).outcome).toBe('aborted');
    } finally {
      await stage.servers.target.start();
    }
    expect(await logsOf(staged)).toEqual(['source', 'target']);
    await staged.streams.stop('source');
    await takeOver(staged, 'source');
    expect(await logsOf(staged)).toEqual(['source']);
  });
});

test.each(['fence', 'commit', 'close'])('a coordinator that pauses after %s and wakes when a repair has done its work stops or agrees', async (name) => {
  await using staged = await stage.arm();
  const paused = Promise.withResolvers<void>();
  const wake = Promise.withResolvers<void>();
  const ended = cutover(staged, 'target', {
    onStep: async (_w, _t, step) => {
      if (step !== name) return;
      paused.resolve();
      await wake.promise;
    },
  });
  await paused.promise;
  if (name === 'fence') await staged.streams.stop('source');
  const report = await repairOnce(await staged.armed(), stage.deps, never);
  const serving = report.left.kind === 'nothing' ? report.left.primary : null;
  wake.resolve();
  const record = await ended;
  expect(record.outcome).toBe(serving === 'target' ? 'switched' : 'aborted');
  await expectServing(staged, serving ?? 'source');
});

test('a coordinator that pauses after warm-up and wakes when its workflow has been cancelled leaves the tables to the next one', async () => {
  await using staged = await stage.arm({ attempts: 1 });
  const { move } = staged;
  const record = await cutover(staged, 'target', {
    onStep: async (_w, _t, step) => {
      if (step !== 'warm-up') return;
      const journal = ['install', 'claim-source'].map((name) => ({ step: name, at: '' }));
      const document = { ...(await staged.document()), journal };
      await cancelMove({ move, document, deps: stage.deps, serving: 'source', stopStreams: async () => {}, journal: async () => {} }, true, never);
      await stage.topology.updateWorkflow(move.name, (current) => ({ ...current, state: 'cancelled' }), never);
    },
  });
  expect(record).toMatchObject({ outcome: 'aborted', reason: 'FENCE_CONFLICT' });
  const rules = await staged.rules();
  expect(move.tables.map((table) => [rules.tables[table]?.primary, rules.tables[table]?.writes, rules.tables[table]?.movement])).toEqual(
    move.tables.map(() => ['old', 'open', undefined]),
  );
  expect(await staged.takesWrites('source')).toBe(true);
  claimTables(rules, { workflow: 'next', source: 'old', target: 'new', tables: move.tables, bareElsewhere: new Set() });
  expect((await staged.document()).state).toBe('cancelled');
});

describe('the watch', () => {
  test.each(['rules-hold', 'fence', 'commit', 'ready', 'close', 'open'])('makes traffic flow again after a death at %s within the budget and a second and a half', async (step) => {
    await using staged = await stage.arm();
    let current = await staged.armed();
    const taken: string[] = [];
    await using watch = new RepairWatch({
      deps: { ...stage.deps, controlId: 'control-2' },
      moves: () => [current],
      isSwitching: () => false,
      takeOver: (workflow) => void taken.push(workflow),
    });
    watch.start();
    await expect(cutover(staged, 'target', dieAfter(step))).rejects.toBeInstanceOf(Death);
    const diedAt = performance.now();
    current = await staged.armed();
    await waitUntil('traffic', { limitMs: 10_000, everyMs: 20 }, async () => {
      const rules = await staged.rules();
      const rule = rules.tables[staged.orders];
      const fences = await staged.fences();
      if (rule === undefined || rule.writes === 'held') return undefined;
      return (rule.primary === 'old' && /^OPEN.* CLOSED/.test(fences)) || (rule.primary === 'new' && /^CLOSED.* OPEN/.test(fences)) ? true : undefined;
    });
    expect(performance.now() - diedAt).toBeLessThan(1_750);
    await waitUntil('the takeover', { limitMs: 3_000 }, async () => (taken.length > 0 ? true : undefined));
    expect(taken).toEqual([staged.move.name]);
    await waitUntil('rest', { limitMs: 3_000 }, async () => (watch.state().get(staged.move.name)?.situation === null ? true : undefined));
  });

  test('puts rules right that somebody rewrote, and leaves a living coordinator alone', async () => {
    await using staged = await stage.arm();
    const armed = await staged.armed();
    await using watch = new RepairWatch({ deps: stage.deps, moves: () => [armed], isSwitching: () => false, takeOver: () => {} });
    watch.start();
    await stage.topology.updateRules(
      { by: 'somebody', reason: 'by hand' },
      (rules) => {
        const { movement: _, ...rule } = rules.tables[staged.orders] ?? { primary: '', attempt: 0, writes: 'open' as const, names: [] };
        return { ...rules, tables: { ...rules.tables, [staged.orders]: { ...rule, primary: 'new' } } };
      },
      never,
    );
    await waitUntil('the rules', { limitMs: 5_000 }, async () => {
      const rule = (await staged.rules()).tables[staged.orders];
      return rule?.primary === 'old' && rule.movement?.workflow === staged.move.name ? true : undefined;
    });
    const record = await cutover(staged, 'target');
    expect(record).toMatchObject({ outcome: 'switched', attempts: 1 });
  });
});

describe('a store', () => {
  test('target that dies during the hold: aborted, the source serves', async () => {
    await using staged = await stage.arm({ attempts: 1 });
    try {
      const record = await cutover(staged, 'target', {
        onStep: async (_w, _t, step) => {
          if (step === 'fence') await stage.servers.target.stop('immediate');
        },
      });
      expect(record.outcome).toBe('aborted');
      expect(record.steps.find((step) => step.name === 'abort')).toBeDefined();
      expect([await staged.takesWrites('source'), await staged.takesReads('source')]).toEqual([true, true]);
      expect((await staged.rules()).tables[staged.orders]).toMatchObject({ primary: 'old', writes: 'open' });
    } finally {
      await stage.servers.target.start();
    }
    await staged.streams.stop('source');
    await staged.streams.start('source', never);
    await staged.inStep();
  });

  test('target that stops answering during the hold: aborted within the budget', async () => {
    await using staged = await stage.arm({ attempts: 1 });
    try {
      const record = await cutover(staged, 'target', {
        onStep: async (_w, _t, step) => {
          if (step === 'fence') stage.proxies.target.freeze();
          if (step === 'release') stage.proxies.target.thaw();
        },
      });
      expect(record).toMatchObject({ outcome: 'aborted', reason: 'HOLD_BUDGET' });
      expect(record.holdMs).toBeLessThan(400);
    } finally {
      stage.proxies.target.thaw();
    }
    await expectServing(staged, 'source');
  });

  test('source that stops answering before the decision: left to the repair, which settles it', async () => {
    await using staged = await stage.arm({ attempts: 1 });
    try {
      const record = await cutover(staged, 'target', {
        onStep: async (_w, _t, step) => {
          if (step === 'catch-up') stage.proxies.source.freeze();
        },
      });
      expect(record).toMatchObject({ outcome: 'running', reason: 'STORE_UNAVAILABLE' });
    } finally {
      stage.proxies.source.thaw();
    }
    const armed = await staged.armed();
    await using watch = new RepairWatch({ deps: stage.deps, moves: () => [armed], isSwitching: () => false, takeOver: () => {} });
    watch.start();
    await waitUntil('one side to serve', { limitMs: 5_000 }, async () =>
      /OPEN/.test(await staged.fences()) && (await staged.rules()).tables[staged.orders]?.writes === 'open' ? true : undefined,
    );
    await waitUntil('the record', { limitMs: 5_000 }, async () => ((await staged.document()).cutovers.at(-1)?.outcome === 'running' ? undefined : true));
  });

  test('source that restarts after the decision: the switch is finished', async () => {
    await using staged = await stage.arm();
    let started: Promise<void> = Promise.resolve();
    const record = await cutover(staged, 'target', {
      onStep: async (_w, _t, step) => {
        if (step !== 'ready') return;
        await stage.servers.source.stop('immediate');
        started = new Promise((resolve) => setTimeout(resolve, 500)).then(() => stage.servers.source.start());
      },
    });
    await started;
    expect(record.outcome).toBe('switched');
    expect(await staged.fences()).toBe(`CLOSED(${record.attempt}) OPEN(${record.attempt})`);
    await expectServing(staged, 'target');
    await staged.inStep();
  });
});

describe('Consul', () => {
  test.each(['warm-up', 'fence', 'open'])('frozen after %s: nothing in the hold needs it, the rules follow when it is back', async (name) => {
    await using staged = await stage.arm();
    let frozen = false;
    try {
      const record = await cutover(staged, 'target', {
        onStep: async (_w, _t, step) => {
          if (step === name) {
            await stage.consul.pause();
            frozen = true;
          }
          if (step === 'reverse-start') stage.consul.resume();
        },
      });
      expect(frozen).toBe(true);
      expect(record.outcome).toBe('switched');
      const open = record.steps.find((step) => step.name === 'open');
      const begun = record.steps.find((step) => step.name === 'rules-hold');
      expect((open?.startMs ?? 0) - (begun?.startMs ?? 0)).toBeLessThan(300);
    } finally {
      stage.consul.resume();
    }
    await waitUntil('Consul', { limitMs: 10_000 }, async () =>
      staged.rules().then(
        () => true,
        () => undefined,
      ),
    );
    const report = await repairOnce(await staged.armed(), stage.deps, never);
    expect(report.left).toMatchObject({ kind: 'nothing', primary: 'target' });
    await expectServing(staged, 'target');
  });
});

async function markerOf(staged: StagedMove): Promise<boolean> {
  const found = await stage.servers.target.psql('shop', `SELECT marker FROM switchyard.stream WHERE workflow = '${staged.move.name}' ORDER BY marker DESC LIMIT 1;`);
  return Number(found) > 0;
}

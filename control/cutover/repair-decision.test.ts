import { describe, expect, test } from '@jest/globals';
import { type FenceState, fenceStates } from '../../core/fence.ts';
import type { SideName } from '../move.ts';
import type { SideView } from './direction.ts';
import { decideRepair, type RepairDecision, type RepairView, type RulesView, situationOf } from './repair-decision.ts';

const rows = (state: FenceState, attempt: number, even = true): SideView => ({ kind: 'rows', state, attempt, even });
const away: SideView = { kind: 'unreachable', message: 'no answer' };
const missing: SideView = { kind: 'missing' };
const mixed: SideView = { kind: 'mixed', message: 'a OPEN(1), b CLOSED(1)' };
const say = (primary: SideName | 'held'): RulesView => ({
  kind: 'read',
  problems: { source: primary === 'source' ? null : 'not the source', target: primary === 'target' ? null : 'not the target' },
});
const unreadable: RulesView = { kind: 'unreadable', message: 'no leader' };
const short = (decision: RepairDecision): string => {
  if (decision.kind === 'nothing') return `nothing ${decision.primary}`;
  if (decision.kind === 'rules') return `rules ${decision.primary}`;
  return 'from' in decision ? `${decision.kind} ${decision.from}` : decision.kind;
};
const decide = (source: SideView, target: SideView, rules: RulesView = say('source'), caughtUp: boolean | null = null): string =>
  short(decideRepair({ source, target, rules, caughtUp }));

/**
 * Source in the rows, target in the columns, the source's attempt the higher one (2 against 1) and the rules pointing to the source: what is to be done. Everything that is not named is a conflict.
 */
const sourceHigher: Readonly<Record<string, string>> = {
  'OPEN CLOSED': 'nothing source',
  'FROZEN CLOSED': 'abort source',
  'SEALED CLOSED': 'ready source',
  'SEALED READABLE': 'close source',
  'CLOSED READABLE': 'open source',
  'CLOSED OPEN': 'rules target',
  // Leaving the target needs a target with the higher attempt, but a frozen side can always be taken back.
  'CLOSED FROZEN': 'abort target',
};
/** The same with the target's attempt higher. */
const targetHigher: Readonly<Record<string, string>> = {
  'CLOSED OPEN': 'rules target',
  'CLOSED FROZEN': 'abort target',
  'CLOSED SEALED': 'ready target',
  'READABLE SEALED': 'close target',
  'READABLE CLOSED': 'open target',
  'OPEN CLOSED': 'nothing source',
  'FROZEN CLOSED': 'abort source',
};

describe('every pair of states', () => {
  for (const source of fenceStates) {
    for (const target of fenceStates) {
      const pair = `${source} ${target}`;
      test(`${pair}, the source's attempt higher`, () => expect(decide(rows(source, 2), rows(target, 1))).toBe(sourceHigher[pair] ?? 'conflict'));
      test(`${pair}, the target's attempt higher`, () => expect(decide(rows(source, 1), rows(target, 2))).toBe(targetHigher[pair] ?? 'conflict'));
      test(`${pair}, both attempts equal`, () => {
        const expected: Readonly<Record<string, string>> = {
          'OPEN CLOSED': 'nothing source',
          'CLOSED OPEN': 'rules target',
          'FROZEN CLOSED': 'abort source',
          'CLOSED FROZEN': 'abort target',
        };
        expect(decide(rows(source, 2), rows(target, 2))).toBe(expected[pair] ?? 'conflict');
      });
    }
  }
});

describe('a store that does not answer', () => {
  const beside: Readonly<Record<FenceState, string>> = { OPEN: 'nothing', FROZEN: 'abort', SEALED: 'wait', CLOSED: 'wait', READABLE: 'wait' };
  for (const state of fenceStates) {
    test(`the other side is ${state}`, () => {
      expect(decide(rows(state, 2), away, say('source')).split(' ')[0]).toBe(beside[state]);
      expect(decide(away, rows(state, 2), say('target')).split(' ')[0]).toBe(beside[state]);
    });
  }
  test('both', () => expect(decide(away, away)).toBe('wait'));
  test('an open side needs the other one for nothing', () => expect(decide(rows('OPEN', 3), away, say('held'))).toBe('rules source'));
  test('a source that is sealed tells that it is decided', () => {
    const decision = decideRepair({ source: rows('SEALED', 1), target: away, rules: say('source'), caughtUp: null });
    expect(decision.kind === 'wait' && decision.found).toContain('decided');
  });
  test('a target that is readable tells of the forced way', () => {
    const decision = decideRepair({ source: away, target: rows('READABLE', 1), rules: say('source'), caughtUp: null });
    expect(decision.kind === 'wait' && decision.found).toContain('Forced switch');
  });
});

describe('a frozen side', () => {
  test('goes on only when the other one has caught up', () => {
    expect(decide(rows('FROZEN', 2), rows('CLOSED', 1), say('held'), true)).toBe('commit source');
    expect(decide(rows('FROZEN', 2), rows('CLOSED', 1), say('held'), false)).toBe('abort source');
    expect(decide(rows('FROZEN', 2), rows('CLOSED', 1), say('held'), null)).toBe('abort source');
    expect(decide(rows('CLOSED', 1), rows('FROZEN', 2), say('held'), true)).toBe('commit target');
  });
  test('never goes on against an attempt that is not lower', () => expect(decide(rows('FROZEN', 2), rows('CLOSED', 2), say('held'), true)).toBe('abort source'));
});

describe('rules', () => {
  test('held or pointing elsewhere are put right', () => {
    expect(decide(rows('OPEN', 1), rows('CLOSED', 0), say('held'))).toBe('rules source');
    expect(decide(rows('OPEN', 1), rows('CLOSED', 0), say('target'))).toBe('rules source');
    expect(decide(rows('CLOSED', 2), rows('OPEN', 2), say('target'))).toBe('nothing target');
  });
  test('that cannot be read are waited for, but no transition is', () => {
    expect(decide(rows('OPEN', 1), rows('CLOSED', 0), unreadable)).toBe('wait');
    expect(decide(rows('SEALED', 1), rows('CLOSED', 0), unreadable)).toBe('ready source');
    expect(decide(rows('FROZEN', 1), rows('CLOSED', 0), unreadable)).toBe('abort source');
  });
});

describe('rows that are not whole', () => {
  test('tables in different states are for people', () => {
    expect(decide(mixed, rows('CLOSED', 0))).toBe('conflict');
    expect(decide(rows('OPEN', 0), mixed)).toBe('conflict');
  });
  test('also where the other side says nothing', () => {
    for (const other of [away, missing]) expect([decide(mixed, other), decide(other, mixed)]).toEqual(['conflict', 'conflict']);
  });
  test('unclaimed tables need nothing, unless a cutover is under way', () => {
    expect(decide(missing, missing)).toBe('nothing null');
    expect([decide(missing, rows('CLOSED', 0)), decide(rows('CLOSED', 0), missing)]).toEqual(['nothing null', 'nothing null']);
    expect(decide(rows('SEALED', 1), missing)).toBe('conflict');
    expect(decide(missing, rows('READABLE', 1))).toBe('conflict');
  });
  test('a closed side whose tables hold different attempts was never left', () => expect(decide(rows('CLOSED', 2, false), rows('READABLE', 1))).toBe('conflict'));
});

test('a situation stays the same while nothing changes, whatever the catch-up says', () => {
  const view = (caughtUp: boolean | null): RepairView => ({ source: rows('FROZEN', 4), target: rows('CLOSED', 1), rules: say('held'), caughtUp });
  const situation = (caughtUp: boolean | null): string | null => situationOf(decideRepair(view(caughtUp)), view(caughtUp));
  expect(situation(true)).toBe('undecided source 4');
  expect(situation(null)).toBe(situation(true));
});

test('a situation tells what stands still, of which attempt; for people only what was found', () => {
  const situation = (source: SideView, target: SideView, rules: RulesView = say('source')): string | null => {
    const view: RepairView = { source, target, rules, caughtUp: null };
    return situationOf(decideRepair(view), view);
  };
  expect(situation(rows('OPEN', 4), rows('CLOSED', 1))).toBeNull();
  expect(situation(rows('SEALED', 4), rows('CLOSED', 1))).toBe('ready source 4');
  expect(situation(rows('READABLE', 1), rows('SEALED', 5))).toBe('close target 5');
  expect(situation(rows('CLOSED', 4), rows('READABLE', 1))).toBe('open source 4');
  expect(situation(rows('OPEN', 4), rows('CLOSED', 1), say('held'))).toBe('rules source 4');
  expect(situation(rows('SEALED', 4), away)).toBe('waiting rows unreachable');
  expect(situation(mixed, rows('CLOSED', 1))).toContain('a OPEN(1), b CLOSED(1)');
});

// ─── The protocol itself, with a coordinator that may die anywhere ──────────────────────────────────────────────────────────────────────────────────────────

interface World {
  readonly state: Readonly<Record<SideName, FenceState>>;
  readonly attempt: Readonly<Record<SideName, number>>;
  /** Marker written in that side, and marker of that side recorded in the other one. */
  readonly written: Readonly<Record<SideName, number>>;
  readonly recorded: Readonly<Record<SideName, number>>;
  readonly rules: SideName | 'held';
  readonly next: number;
}

const other = (side: SideName): SideName => (side === 'source' ? 'target' : 'source');
const set = <T>(record: Readonly<Record<SideName, T>>, side: SideName, value: T): Readonly<Record<SideName, T>> => ({ ...record, [side]: value });

type Change = (world: World, from: SideName, attempt: number) => World | null;
const move = (world: World, side: SideName, state: FenceState): World => ({ ...world, state: set(world.state, side, state) });

/** The transitions as the stores take them: null where the condition does not hold. */
const transitions: Readonly<Record<'fence' | 'abort' | 'commit' | 'ready' | 'close' | 'open', Change>> = {
  fence: (w, s, a) => {
    if (w.state[s] !== 'OPEN' || w.attempt[s] >= a) return null;
    return { ...move(w, s, 'FROZEN'), attempt: set(w.attempt, s, a), written: set(w.written, s, a) };
  },
  abort: (w, s, a) => (w.state[s] === 'FROZEN' && w.attempt[s] === a ? move(w, s, 'OPEN') : null),
  commit: (w, s, a) => (w.state[s] === 'FROZEN' && w.attempt[s] === a && w.recorded[s] === a ? move(w, s, 'SEALED') : null),
  ready: (w, s, a) =>
    w.state[other(s)] === 'CLOSED' && w.attempt[other(s)] < a && w.recorded[s] === a && w.state[s] === 'SEALED' && w.attempt[s] === a ? move(w, other(s), 'READABLE') : null,
  close: (w, s, a) => (w.state[s] === 'SEALED' && w.attempt[s] === a && w.state[other(s)] === 'READABLE' ? move(w, s, 'CLOSED') : null),
  open: (w, s, a) => {
    if (w.state[other(s)] !== 'READABLE' || w.attempt[other(s)] >= a || w.state[s] !== 'CLOSED' || w.attempt[s] !== a) return null;
    return { ...move(w, other(s), 'OPEN'), attempt: set(w.attempt, other(s), a) };
  },
};

function successors(world: World): readonly World[] {
  const found: World[] = [];
  for (const side of ['source', 'target'] as const) {
    if (world.next <= 3) {
      const fenced = transitions.fence(world, side, world.next);
      if (fenced !== null) found.push({ ...fenced, next: world.next + 1 });
    }
    for (const name of ['abort', 'commit', 'ready', 'close', 'open'] as const) {
      const changed = transitions[name](world, side, world.attempt[side]);
      if (changed !== null) found.push(changed);
    }
    if (world.state[other(side)] === 'CLOSED' && world.recorded[side] !== world.written[side]) found.push({ ...world, recorded: set(world.recorded, side, world.written[side]) });
  }
  for (const rules of ['source', 'target', 'held'] as const) if (rules !== world.rules) found.push({ ...world, rules });
  return found;
}

const viewOf = (world: World, caughtUp: boolean | null): RepairView => ({
  source: rows(world.state.source, world.attempt.source),
  target: rows(world.state.target, world.attempt.target),
  rules: say(world.rules),
  caughtUp,
});

test('from wherever a coordinator dies, in both directions, repair leads to one open side that the rules name', () => {
  const start: World = {
    state: { source: 'OPEN', target: 'CLOSED' },
    attempt: { source: 0, target: 0 },
    written: { source: 0, target: 0 },
    recorded: { source: 0, target: 0 },
    rules: 'source',
    next: 1,
  };
  const seen = new Map<string, World>([[JSON.stringify(start), start]]);
  for (const world of seen.values()) for (const next of successors(world)) if (!seen.has(JSON.stringify(next))) seen.set(JSON.stringify(next), next);
  expect(seen.size).toBeGreaterThan(150);
  for (const begin of seen.values()) {
    expect([begin.state.source, begin.state.target]).not.toEqual(['CLOSED', 'CLOSED']);
    for (const asks of [true, false]) {
      let world = begin;
      for (let steps = 0; ; steps += 1) {
        expect(steps).toBeLessThan(8);
        const frozen = (['source', 'target'] as const).find((side) => world.state[side] === 'FROZEN');
        const caughtUp = frozen === undefined || !asks ? null : world.recorded[frozen] === world.attempt[frozen];
        const decision = decideRepair(viewOf(world, caughtUp));
        if (decision.kind === 'nothing') break;
        if (decision.kind === 'wait' || decision.kind === 'conflict') throw new Error(`${decision.kind} at ${JSON.stringify(world)}`);
        const changed = decision.kind === 'rules' ? { ...world, rules: decision.primary } : transitions[decision.kind](world, decision.from, decision.attempt);
        if (changed === null) throw new Error(`${decision.kind} is not possible at ${JSON.stringify(world)}`);
        world = changed;
      }
      const open = (['source', 'target'] as const).filter((side) => world.state[side] === 'OPEN');
      expect(open).toEqual([world.rules]);
      expect(world.state[other(open[0] ?? 'source')]).toBe('CLOSED');
    }
  }
});

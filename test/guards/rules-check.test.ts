import { describe, expect, test } from '@jest/globals';
import type { RoutingTable } from '../../core/routing-table.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Look } from '../../gateway/rules/fence-view.ts';
import { answersOf, fenceProblems, questionsOf } from '../../gateway/rules/rules-check.ts';
import { away, GatewayRig, movement, never, routingOf, row } from './support/gateway-rig.ts';

const keys = (refs: readonly { readonly key: string }[]): readonly string[] => refs.map(({ key }) => key).toSorted();
const asked = (next: RoutingTable, previous: RoutingTable | null) => {
  const { changed, dropped } = questionsOf(next, previous);
  return { changed: keys(changed), dropped: keys(dropped) };
};

describe('what has to be asked', () => {
  const first = routingOf(1, { tables: { orders: { primary: 'old' }, lines: { primary: 'old' } } });

  test('everything at the start, then what goes elsewhere, and what is no longer named', () => {
    expect(asked(first, null)).toEqual({ changed: ['lines', 'orders'], dropped: [] });
    expect(asked(first, first)).toEqual({ changed: [], dropped: [] });
    expect(asked(routingOf(2, { tables: { orders: { primary: 'new' } } }), first)).toEqual({ changed: ['orders'], dropped: ['lines'] });
  });

  test('a first rule is compared with where the table was served without one', () => {
    expect(asked(routingOf(2, { tables: { 'third.notes': { primary: 'third' } } }), routingOf(1, {}))).toEqual({ changed: [], dropped: [] });
    expect(asked(routingOf(2, { tables: { 'third.notes': { primary: 'new' } } }), routingOf(1, {}))).toEqual({ changed: ['third.notes'], dropped: [] });
    expect(asked(routingOf(2, { tables: { constructor: { primary: 'old' } } }), routingOf(1, {}))).toEqual({ changed: [], dropped: [] });
  });

  test('a rule that was wrong before is asked about, wherever it goes now', () => {
    const wrong = routingOf(1, { tables: { orders: { primary: 'nowhere' } } });
    expect(asked(routingOf(2, { tables: { orders: { primary: 'old' } } }), wrong)).toEqual({ changed: ['orders'], dropped: [] });
    const wrongSince = routingOf(2, { tables: { orders: { primary: 'nowhere' } } }, routingOf(1, {}));
    expect(asked(routingOf(3, { tables: { orders: { primary: 'old' } } }), wrongSince)).toEqual({ changed: ['orders'], dropped: [] });
  });

  test('a table of a keyspace that nobody knew before is asked about', () => {
    const wrong = routingOf(1, { tables: {} });
    const unknown = {
      ...wrong,
      version: 1,
      document: wrong.document,
      ref: () => null,
      refs: wrong.refs.bind(wrong),
      resolve: () => {
        throw new SwitchyardError('TABLE_UNKNOWN', 'x');
      },
    } as unknown as RoutingTable;
    expect(asked(first, unknown)).toEqual({ changed: ['lines', 'orders'], dropped: [] });
  });
});

describe('what waits for an answer', () => {
  const look = (answered: readonly string[], failed: readonly (readonly [string, unknown])[] = []): Look => ({
    rows: new Map(),
    answered: new Set(answered),
    failed: new Map(failed),
  });
  const pendingOf = (rules: object, seen: Look | null): readonly string[] => {
    const rig = new GatewayRig({});
    return [...answersOf(questionsOf(routingOf(2, rules), null), seen, rig.fenceView).pending];
  };
  const loose = { tables: { orders: { primary: 'new', names: ['old.orders'] } } };
  const moved = { tables: { orders: { primary: 'new', movement } } };
  const slow = new SwitchyardError('DEADLINE_EXCEEDED', 'slow');

  test('nothing where nothing had to be asked, or everybody has answered', () => {
    expect([pendingOf(loose, null), pendingOf(loose, look(['old', 'new'])), pendingOf(moved, look(['old', 'new']))]).toEqual([[], [], []]);
  });

  test('a table whose own store has not answered', () => {
    expect([pendingOf(loose, look(['old'])), pendingOf(loose, look(['old'], [['new', away]]))]).toEqual([['orders'], ['orders']]);
  });

  test('a table whose other end is silent or broken; one that is away stops only a move', () => {
    expect([pendingOf(loose, look(['new'])), pendingOf(loose, look(['new'], [['old', slow]]))]).toEqual([['orders'], ['orders']]);
    expect([pendingOf(loose, look(['new'], [['old', away]])), pendingOf(moved, look(['new'], [['old', away]]))]).toEqual([[], ['orders']]);
  });

  test('not a table whose rows are remembered; a dropped one that has rows is kept', async () => {
    const rig = new GatewayRig();
    rig.stores.old = [row('orders', 'OPEN', 1, 'new')];
    await rig.look('orders');
    const questions = questionsOf(routingOf(2, { tables: { orders: { primary: 'new', movement } } }), null);
    expect([...answersOf(questions, look([]), rig.fenceView).pending]).toEqual([]);
    const previous = rig.routing.current();
    const next = routingOf(2, { tables: { loose: { primary: 'third' } } });
    expect([...answersOf(questionsOf(next, previous), null, rig.fenceView).kept]).toEqual(['orders']);
  });
});

describe('what the rows have against the rules', () => {
  const problemsOf = async (rules: object, stores: GatewayRig['stores'], look: Look | null = null) => {
    const rig = new GatewayRig();
    Object.assign(rig.stores, stores);
    await rig.look('orders');
    const next = routingOf(2, rules);
    const questions = questionsOf(next, rig.routing.current());
    return fenceProblems(next, questions, answersOf(questions, look, rig.fenceView), rig.fenceView);
  };
  const named = (primary: string) => ({
    tables: { orders: { primary, movement: { ...movement, want: 'target' } }, lines: { primary: 'old', movement }, loose: { primary: 'third' } },
  });

  test('nothing where both agree', async () => {
    expect(await problemsOf(named('old'), { old: [row('orders', 'OPEN', 1, 'new')], new: [row('orders', 'CLOSED', 1, 'old')] })).toEqual([]);
  });

  test('that they send a table where it is not served, with the row that is there', async () => {
    const [problem, ...more] = await problemsOf(named('new'), { old: [row('orders', 'OPEN', 4, 'new')], new: [row('orders', 'CLOSED', 4, 'old')] });
    expect([problem?.table, problem?.reason, problem?.version, more]).toEqual(['orders', 'RULE_FENCED', 2, []]);
    expect(problem?.message).toMatch(/whose store has it CLOSED at attempt 4: it is served by keyspace "old".*attempt 4/);
    const [rowless] = await problemsOf(named('new'), { old: [row('orders', 'OPEN', 4, 'new')], new: [] });
    expect(rowless?.message).toContain('whose store has no fence row of it');
    // Neither rows nor older rules have ever named that keyspace.
    const [stranger] = await problemsOf(
      { tables: { ...named('old').tables, orders: { primary: 'third', names: ['old.orders'] } } },
      { old: [row('orders', 'OPEN', 4, 'new')], new: [] },
    );
    expect(stranger?.message).toContain('to keyspace "third", whose store has no fence row of it');
  });

  test('that a table is not named any more though it has rows', async () => {
    const problems = await problemsOf({ tables: { loose: { primary: 'third' } } }, { old: [row('orders', 'OPEN', 4, 'new')] });
    expect(problems.map(({ table, message }) => [table, message.includes('goes on in keyspace "old"')])).toEqual([['orders', true]]);
  });

  test('that they cannot be read yet', async () => {
    const rig = new GatewayRig({ tables: { orders: { primary: 'old' } } });
    const next = routingOf(2, { tables: { orders: { primary: 'new' } } });
    const questions = questionsOf(next, rig.routing.current());
    const answers = answersOf(questions, { rows: new Map(), answered: new Set(), failed: new Map() }, rig.fenceView);
    const problems = fenceProblems(next, questions, answers, rig.fenceView);
    expect(problems.map(({ table, message }) => [table, message.includes('have not been read yet')])).toEqual([['orders', true]]);
    await rig.fenceView.look({ tables: [], keyspaces: [] }, 'all', 1, never);
  });
});

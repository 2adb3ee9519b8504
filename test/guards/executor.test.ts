import { describe, expect, test } from '@jest/globals';
import type { DataStore } from '../../backends/backend.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableHandle } from '../../gateway/codec/table-handle.ts';
import type { Call } from '../../gateway/flow/call.ts';
import { Executor, type PreparedWrites, type PrepareWrites, type WriteCall } from '../../gateway/flow/executor.ts';
import { Barrier } from '../../gateway/flow/barrier.ts';
import { InFlight } from '../../gateway/flow/in-flight.ts';
import type { Schemas } from '../../gateway/schemas.ts';
import type { Stores } from '../../gateway/stores.ts';
import { createLogger } from '../../runtime/logger.ts';
import type { Topology } from '../../topo/topology.ts';
import { GatewayRig, movement, routingOf, row } from './support/gateway-rig.ts';
import { settled, whileTimePasses } from './support/hand-clock.ts';
import { reasonOf } from './support/reasons.ts';

const fenced = () => new SwitchyardError('FENCED', 'permission denied');

/** An executor over played stores and shapes. */
class ExecutorRig {
  readonly gateway: GatewayRig;
  readonly inFlight = new InFlight();
  readonly fencedCalls: string[] = [];
  readonly stop = new AbortController();
  /** Every call of a store: its keyspace, and how many calls were under way. */
  readonly calls: string[] = [];
  /** What the next calls of a store end with; undefined lets them through. */
  readonly answers: (SwitchyardError | undefined)[] = [];
  /** Shapes by place; a place that is not in here has one of its own. */
  readonly shapes = new Map<string, TableHandle>();
  readonly loaded = new Set<string>();
  readonly refreshed: string[] = [];
  onRefresh: (place: string) => void = () => {};
  onLoad: () => void = () => {};
  /** While set, calls of stores wait. */
  gate: Promise<void> | null = null;
  readonly held: (number | null)[] = [];
  readonly heldMs: number[] = [];
  readonly unfit: unknown[] = [];
  readonly executor: Executor;

  constructor(rules?: object) {
    this.gateway = new GatewayRig(rules);
    const { routing, fenceView, holds, buffer, clock } = this.gateway;
    const schemas = {
      peek: (keyspace: string, table: string) => (this.loaded.has(`${keyspace}.${table}`) ? this.#shape(keyspace, table) : null),
      get: async (keyspace: string, table: string) => {
        this.loaded.add(`${keyspace}.${table}`);
        this.onLoad();
        return this.#shape(keyspace, table);
      },
      refresh: async (keyspace: string, table: string) => {
        this.refreshed.push(`${keyspace}.${table}`);
        this.onRefresh(`${keyspace}.${table}`);
        return this.#shape(keyspace, table);
      },
    } as unknown as Schemas;
    const stores = {
      use: async (keyspace: string, act: (store: DataStore) => Promise<unknown>) => {
        this.calls.push(`${keyspace} ${this.inFlight.total}`);
        if (this.gate !== null) await this.gate;
        const answer = this.answers.shift();
        if (answer !== undefined) throw answer;
        return await act({} as DataStore);
      },
    } as unknown as Stores;
    this.executor = new Executor({
      routing,
      fenceView,
      holds,
      buffer,
      schemas,
      stores,
      inFlight: this.inFlight,
      barrier: new Barrier({
        topology: {} as Topology,
        routing,
        stores: { isForeign: () => false, hasForeign: () => false },
        clock,
        log: createLogger('test', 'silent'),
        settleMs: 0,
        onSettled: () => {},
      }),
      clock,
      onFenced: (key, operation) => this.fencedCalls.push(`${operation} ${key}`),
    });
  }

  call(): Call {
    return {
      signal: this.stop.signal,
      deadline: this.gateway.clock.monotonic() + 3_000,
      caller: '',
      onHeld: (ms, hold) => {
        this.heldMs.push(ms);
        this.held.push(hold?.attempt ?? null);
      },
      onRepeated: () => {},
      onUnfit: (error) => this.unfit.push(error),
      checkAnswer: () => {},
    };
  }

  read(name = 'orders'): Promise<string> {
    return whileTimePasses(
      this.gateway.clock,
      this.executor.read(this.call(), name, async (_, handle, ref) => `${handle.keyspace}.${ref.table}`),
    );
  }

  /** Begins a write; `keys` of its rows are queued behind others of the same. */
  begin(names: readonly string[] = ['orders'], keys: readonly string[] = ['k'], more: Partial<WriteCall<string>> = {}): Promise<string> {
    const prepare: PrepareWrites = (handles) => ({
      schemas: new Map([...handles].map(([name, { schema }]) => [name, schema])),
      operations: [],
      orderKeys: () => keys,
      bytes: () => 1,
    });
    const send: WriteCall<string>['send'] = async (_, prepared: PreparedWrites, { handles }) =>
      `${[...handles.values()].map(({ keyspace }) => keyspace).join()} ${[...prepared.schemas.values()].map(({ fingerprint }) => fingerprint).join()}`;
    return this.executor.write(this.call(), { names, prepare, send, repeatable: false, ...more });
  }

  write(names?: readonly string[], keys?: readonly string[], more?: Partial<WriteCall<string>>): Promise<string> {
    return whileTimePasses(this.gateway.clock, this.begin(names, keys, more));
  }

  reshape(keyspace: string, table: string, fingerprint: string): TableHandle {
    const handle = { keyspace, schema: { name: table, fingerprint } } as unknown as TableHandle;
    this.shapes.set(`${keyspace}.${table}`, handle);
    return handle;
  }

  #shape(keyspace: string, table: string): TableHandle {
    return this.shapes.get(`${keyspace}.${table}`) ?? this.reshape(keyspace, table, 'first');
  }
}

describe('a read', () => {
  test('goes to the store that serves the table, counted while it is under way', async () => {
    const rig = new ExecutorRig();
    expect([await rig.read(), rig.calls, rig.inFlight.total, rig.fencedCalls]).toEqual(['old.orders', ['old 1'], 0, []]);
  });

  test('that bounces goes where the rows lead, and never waits for a hold', async () => {
    const rig = new ExecutorRig();
    rig.gateway.holds.beginHolds(new Map([['move', { attempt: 3, holdMs: 1_000 }]]));
    expect(await rig.read()).toBe('old.orders');
    Object.assign(rig.gateway.stores, { old: [row('orders', 'CLOSED', 3, 'new')], new: [row('orders', 'OPEN', 3, 'old')] });
    rig.answers.push(fenced());
    expect([await rig.read(), rig.fencedCalls, rig.inFlight.total]).toEqual(['new.orders', ['read orders'], 0]);
  });

  test('that bounces twice off a row that allows it is denied', async () => {
    const rig = new ExecutorRig();
    rig.gateway.stores.old = [row('orders', 'OPEN', 3, 'new')];
    rig.answers.push(fenced(), fenced());
    expect([await reasonOf(rig.read()), rig.calls.length, rig.inFlight.total]).toEqual(['STORE_DENIED', 2, 0]);
  });

  test('is tried once more where the shape has changed, and only there', async () => {
    for (const reason of ['COLUMN_UNKNOWN', 'TABLE_UNKNOWN'] as const) {
      const rig = new ExecutorRig();
      rig.answers.push(new SwitchyardError(reason, 'x'));
      rig.onRefresh = () => rig.reshape('old', 'orders', 'second');
      expect([await reasonOf(rig.read()), rig.calls.length, rig.refreshed]).toEqual(['none', 2, ['old.orders']]);
      rig.answers.push(new SwitchyardError(reason, 'x'), new SwitchyardError(reason, 'x'));
      expect([await reasonOf(rig.read()), rig.calls.length]).toEqual([reason, 4]);
      const same = new ExecutorRig();
      same.answers.push(new SwitchyardError(reason, 'x'));
      expect([await reasonOf(same.read()), same.calls.length]).toEqual([reason, 1]);
    }
    const other = new ExecutorRig();
    other.answers.push(new SwitchyardError('VALUE_INVALID', 'x'));
    expect([await reasonOf(other.read()), other.refreshed]).toEqual(['VALUE_INVALID', []]);
  });

  test('ends when its caller has left, and where the shape cannot be had', async () => {
    const rig = new ExecutorRig();
    rig.stop.abort(new SwitchyardError('CANCELLED', 'left'));
    expect([await reasonOf(rig.read()), rig.calls]).toEqual(['CANCELLED', []]);
    const unknown = new ExecutorRig();
    expect(await reasonOf(unknown.read('nowhere.orders'))).toBe('TABLE_UNKNOWN');
    unknown.onLoad = () => {
      throw new SwitchyardError('TABLE_UNKNOWN', 'dropped');
    };
    expect([await reasonOf(unknown.read()), unknown.refreshed]).toEqual(['TABLE_UNKNOWN', []]);
  });
});

describe('a write', () => {
  test('goes to the store that serves its tables', async () => {
    const rig = new ExecutorRig();
    expect([await rig.write(['orders', 'lines']), rig.calls, rig.inFlight.total, rig.held]).toEqual(['old,old first,first', ['old 1'], 0, []]);
    rig.stop.abort(new SwitchyardError('CANCELLED', 'left'));
    expect([await reasonOf(rig.write()), rig.calls.length]).toEqual(['CANCELLED', 1]);
  });

  test('goes no further once its caller has left', async () => {
    const before = new ExecutorRig();
    before.stop.abort(new SwitchyardError('CANCELLED', 'left'));
    expect([await reasonOf(before.write()), before.loaded.size]).toEqual(['CANCELLED', 0]);
    const meanwhile = new ExecutorRig();
    meanwhile.onLoad = () => meanwhile.stop.abort(new SwitchyardError('CANCELLED', 'left'));
    expect([await reasonOf(meanwhile.write()), meanwhile.loaded.size, meanwhile.calls]).toEqual(['CANCELLED', 1, []]);
  });

  test('of a table that is held waits and then takes the route of then', async () => {
    const rig = new ExecutorRig({ tables: { orders: { primary: 'old', movement, writes: 'held', hold: { holdMs: 500, attempt: 3 } }, loose: { primary: 'third' } } });
    rig.gateway.holds.beginHolds(new Map([['move', { attempt: 3, holdMs: 500 }]]));
    const writing = rig.begin();
    await rig.gateway.clock.pass(20);
    expect([rig.calls, rig.gateway.buffer.counts.waiting]).toEqual([[], 1]);
    expect(await rig.write(['loose'], ['another'])).toBe('third first');
    rig.gateway.routing.swap(routingOf(2, { tables: { orders: { primary: 'new', movement } } }));
    rig.gateway.holds.endOthers(new Map());
    expect([await whileTimePasses(rig.gateway.clock, writing), rig.calls.at(-1), rig.held]).toEqual(['new first', 'new 1', [3]]);
    expect(rig.heldMs).toEqual([20]);
    expect(rig.gateway.buffer.counts).toMatchObject({ waiting: 0, drained: 1 });
    expect(rig.gateway.buffer.hasKeys).toBe(false);
  });

  test('waits for whatever holds any of its tables', async () => {
    const rig = new ExecutorRig();
    rig.gateway.holds.beginHolds(new Map([['move', { attempt: 3, holdMs: 100 }]]));
    const writing = rig.begin(['orders']);
    await rig.gateway.clock.pass(99);
    expect(rig.calls).toEqual([]);
    expect(await whileTimePasses(rig.gateway.clock, writing)).toBe('old first');
    expect(rig.held).toEqual([null]);
  });

  test('tells of the hold of any of its tables, also beside one without a rule', async () => {
    const rig = new ExecutorRig({ tables: { orders: { primary: 'old', movement, writes: 'held', hold: { holdMs: 500, attempt: 3 } } } });
    rig.gateway.holds.beginHolds(new Map([['move', { attempt: 3, holdMs: 50 }]]));
    await rig.write(['things', 'orders']);
    expect(rig.held).toEqual([3]);
  });

  test('that bounces waits until the rows show a place for it', async () => {
    const rig = new ExecutorRig();
    rig.gateway.stores.old = [row('orders', 'FROZEN', 3, 'new')];
    rig.answers.push(fenced());
    const writing = rig.begin();
    await rig.gateway.clock.pass(30);
    expect([rig.calls.length, rig.fencedCalls, rig.gateway.holds.isHeld('move')]).toEqual([1, ['write orders'], true]);
    Object.assign(rig.gateway.stores, { old: [row('orders', 'CLOSED', 3, 'new')], new: [row('orders', 'OPEN', 3, 'old')] });
    expect([await whileTimePasses(rig.gateway.clock, writing), rig.calls]).toEqual(['new first', ['old 1', 'new 1']]);
  });

  test('that bounces again after it has waited keeps its place', async () => {
    const rig = new ExecutorRig();
    rig.gateway.stores.old = [row('orders', 'FROZEN', 3, 'new')];
    rig.answers.push(fenced());
    const first = rig.begin();
    await rig.gateway.clock.pass(10);
    const second = rig.begin();
    await rig.gateway.clock.pass(10);
    // It goes, the table is frozen anew before it arrives, and it comes back.
    const gate = Promise.withResolvers<void>();
    rig.gate = gate.promise;
    rig.answers.push(fenced());
    rig.gateway.stores.old = [row('orders', 'OPEN', 3, 'new')];
    await rig.gateway.clock.pass(6);
    rig.gateway.stores.old = [row('orders', 'FROZEN', 4, 'new')];
    rig.gate = null;
    gate.resolve();
    await rig.gateway.clock.pass(30);
    expect([rig.calls.length, rig.held.length, rig.gateway.buffer.counts.waiting]).toEqual([2, 1, 2]);
    rig.gateway.stores.old = [row('orders', 'OPEN', 4, 'new')];
    const order: string[] = [];
    await whileTimePasses(rig.gateway.clock, Promise.all([first.then(() => order.push('first')), second.then(() => order.push('second'))]));
    expect([order, rig.gateway.buffer.counts.waiting, rig.gateway.buffer.hasKeys]).toEqual([['first', 'second'], 0, false]);
  });

  test('of a key that has writes before it waits behind them; one of another key does not', async () => {
    const rig = new ExecutorRig();
    rig.gateway.holds.beginHolds(new Map([['move', { attempt: 3, holdMs: 50 }]]));
    const gate = Promise.withResolvers<void>();
    const first = rig.begin(['orders'], ['k']);
    await rig.gateway.clock.pass(49);
    rig.gate = gate.promise;
    await rig.gateway.clock.pass(5); // the hold is over, and the first one is at its store
    expect([rig.gateway.holds.isHeld('move'), rig.calls.length]).toEqual([false, 1]);
    const behind = rig.begin(['orders'], ['k']);
    const beside = rig.begin(['orders'], ['other']);
    await settled();
    expect(rig.calls.length).toBe(2);
    rig.gate = null;
    gate.resolve();
    await whileTimePasses(rig.gateway.clock, Promise.all([first, behind, beside]));
    expect(rig.calls.length).toBe(3);
  });

  test('is prepared anew only for another shape, and tried once more where that has changed', async () => {
    const rig = new ExecutorRig();
    rig.answers.push(new SwitchyardError('COLUMN_UNKNOWN', 'x'));
    rig.onRefresh = () => rig.reshape('old', 'orders', 'second');
    expect([await rig.write(), rig.refreshed]).toEqual(['old second', ['old.orders']]);
    rig.answers.push(new SwitchyardError('COLUMN_UNKNOWN', 'x'), new SwitchyardError('COLUMN_UNKNOWN', 'x'));
    let shapes = 0;
    rig.onRefresh = () => {
      shapes += 1;
      rig.reshape('old', 'orders', `shape ${shapes}`);
    };
    expect([await reasonOf(rig.write()), shapes]).toEqual(['COLUMN_UNKNOWN', 1]);
    const same = new ExecutorRig();
    same.answers.push(new SwitchyardError('TABLE_UNKNOWN', 'x'));
    expect([await reasonOf(same.write()), same.calls.length]).toEqual(['TABLE_UNKNOWN', 1]);
    const other = new ExecutorRig();
    other.answers.push(new SwitchyardError('UNIQUE_VIOLATION', 'x'));
    expect([await reasonOf(other.write()), other.refreshed]).toEqual(['UNIQUE_VIOLATION', []]);
  });

  test('prepares once as long as the shapes stay, whatever it waits for', async () => {
    const rig = new ExecutorRig();
    let prepared = 0;
    const prepare: PrepareWrites = () => {
      prepared += 1;
      return { schemas: new Map(), operations: [], orderKeys: () => ['k'], bytes: () => 1 };
    };
    rig.gateway.holds.beginHolds(new Map([['move', { attempt: 3, holdMs: 50 }]]));
    await rig.write(['orders'], ['k'], { prepare });
    expect(prepared).toBe(1);
  });

  test('that does not fit says so before anything is sent', async () => {
    const rig = new ExecutorRig();
    const error = new SwitchyardError('VALUE_INVALID', 'x');
    const prepare: PrepareWrites = () => {
      throw error;
    };
    expect([await reasonOf(rig.write(['orders'], [], { prepare })), rig.unfit, rig.calls]).toEqual(['VALUE_INVALID', [error], []]);
  });

  test('of tables that are served apart is refused, once the stores have been asked', async () => {
    const rig = new ExecutorRig();
    const error = await rig.write(['orders', 'loose']).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: 'TABLES_NOT_TOGETHER', message: expect.stringContaining('orders in old, loose in third') });
    expect([rig.gateway.asked.length > 0, rig.calls]).toEqual([true, []]);
    // What was remembered of one table was older than of the other.
    const torn = new ExecutorRig();
    torn.gateway.stores.old = [row('orders', 'CLOSED', 3, 'new'), row('lines', 'OPEN', 2, 'new')];
    torn.gateway.stores.new = [row('orders', 'OPEN', 3, 'old')];
    await torn.gateway.look('orders');
    torn.gateway.stores.old = [row('orders', 'CLOSED', 3, 'new'), row('lines', 'CLOSED', 3, 'new')];
    torn.gateway.stores.new = [row('orders', 'OPEN', 3, 'old'), row('lines', 'OPEN', 3, 'old')];
    expect(await torn.write(['orders', 'lines'])).toBe('new,new first,first');
  });

  test('is repeated after an unknown outcome only where it may be', async () => {
    const unknown = new SwitchyardError('OUTCOME_UNKNOWN', 'lost');
    const once = new ExecutorRig();
    once.answers.push(unknown);
    expect([await reasonOf(once.write()), once.calls.length]).toEqual(['OUTCOME_UNKNOWN', 1]);
    const again = new ExecutorRig();
    again.answers.push(unknown);
    expect([await again.write(['orders'], ['k'], { repeatable: true }), again.calls.length]).toEqual(['old first', 2]);
  });
});

describe('validation', () => {
  test('prepares without sending, on the shape of now', async () => {
    const rig = new ExecutorRig();
    const seen: string[] = [];
    const prepare =
      (fails: (fingerprint: string) => SwitchyardError | null): PrepareWrites =>
      (handles) => {
        const fingerprint = [...handles.values()][0]?.schema.fingerprint ?? '';
        seen.push(fingerprint);
        const error = fails(fingerprint);
        if (error !== null) throw error;
        return {} as PreparedWrites;
      };
    const unknown = new SwitchyardError('COLUMN_UNKNOWN', 'x');
    const validate = (fails: (fingerprint: string) => SwitchyardError | null): Promise<string> =>
      reasonOf(rig.executor.validate(rig.call(), { names: ['orders'], prepare: prepare(fails) }));
    expect([await validate(() => null), await validate(() => unknown), rig.calls]).toEqual(['none', 'COLUMN_UNKNOWN', []]);
    expect([await validate(() => new SwitchyardError('VALUE_INVALID', 'x')), rig.refreshed.length]).toEqual(['VALUE_INVALID', 1]);
    rig.onRefresh = () => rig.reshape('old', 'orders', 'second');
    expect([await validate((fingerprint) => (fingerprint === 'first' ? unknown : null)), seen.at(-1)]).toEqual(['none', 'second']);
  });

  test('shapes are those of where the table is served', async () => {
    const rig = new ExecutorRig();
    expect([(await rig.executor.shape(rig.call(), 'orders')).keyspace, rig.refreshed]).toEqual(['old', []]);
    expect([(await rig.executor.describe(rig.call(), 'orders')).keyspace, rig.refreshed]).toEqual(['old', ['old.orders']]);
  });
});

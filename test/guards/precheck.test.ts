import { describe, expect, test } from '@jest/globals';
import { rulesDocumentSchema } from '../../core/rules-document.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type WorkflowDocument, workflowDocumentSchema } from '../../core/workflow-document.ts';
import { precheck, type PrecheckResult } from '../../control/cutover/precheck.ts';
import type { ControlDeps, Move, MoveStreams, SideName } from '../../control/move.ts';
import { createLogger } from '../../runtime/logger.ts';
import { row } from './support/gateway-rig.ts';
import { HandClock, whileTimePasses } from './support/hand-clock.ts';

const tables = ['orders', 'lines'];
const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' };
const schema = (name: string, fingerprint = 'same'): TableSchema => ({
  name,
  fingerprint,
  columns: [{ name: 'id', kind: 'int64', nullable: false, hasDefault: true, generated: false, nativeType: 'bigint' }],
  primaryKey: ['id'],
  uniqueKeys: [],
});

/** Everything that a pre-check looks at, all of it as it should be before a switch to the target; tests change one thing. */
class CheckRig {
  readonly clock = new HandClock();
  rules: unknown = {
    kind: 'valid',
    index: 1,
    document: rulesDocumentSchema.parse({
      version: 1,
      nonce: 'n',
      changedBy: 't',
      changedAt: 'now',
      defaultKeyspace: 'old',
      tables: Object.fromEntries(tables.map((table) => [table, { primary: 'old', movement }])),
    }),
  };
  registrations: unknown = [{ id: 'g1', silent: false, problems: [], storeProblems: [] }];
  streams: MoveStreams | null = { problem: () => null, lagMs: () => 1 } as unknown as MoveStreams;
  again: Partial<WorkflowDocument> | null = null;
  readonly sides: Record<
    SideName,
    { kind: string; rows: ReturnType<typeof row>[]; quiet: object[]; tables: object[]; sequences: object[]; schemas: Record<string, TableSchema | null>; fails?: Error | 'silent' }
  > = {
    source: { kind: 'played', rows: tables.map((table) => row(table, 'OPEN', 1, 'new')), quiet: [], tables: [], sequences: [], schemas: {} },
    target: { kind: 'played', rows: tables.map((table) => row(table, 'CLOSED', 1, 'old')), quiet: [], tables: [], sequences: [], schemas: {} },
  };
  document: WorkflowDocument;

  constructor(more: object = {}) {
    this.document = workflowDocumentSchema.parse({
      nonce: 'n',
      name: 'move',
      source: 'old',
      target: 'new',
      tables,
      limits: {},
      state: 'running',
      createdAt: 'now',
      journal: [],
      progress: tables.map((table) => ({ table, rowsCopied: 1, rowsTotal: 1, done: true })),
      verification: { finishedAt: new Date(this.clock.now()).toISOString(), durationMs: 1, rowsCompared: 1, differences: 0, sample: [] },
      ...more,
    });
  }

  async run(to: SideName = 'target', stop = new AbortController()): Promise<PrecheckResult> {
    const deps = {
      clock: this.clock,
      log: createLogger('test', 'silent'),
      topology: {
        readRules: async () => this.rules,
        registrations: () => this.#registrations(),
        workflow: async () => (this.again === null ? null : { value: { ...this.document, ...this.again }, index: 1 }),
      },
    } as unknown as ControlDeps;
    return await whileTimePasses(this.clock, precheck(this.#move(), this.document, to, this.streams, deps, stop.signal), 20_000);
  }

  /** The problems alone, as "reason table". */
  async problems(to: SideName = 'target'): Promise<readonly string[]> {
    return (await this.run(to)).problems.map(({ reason, table }) => (table === null ? reason : `${reason} ${table}`));
  }

  #registrations(): Promise<unknown> {
    if (this.registrations instanceof Error) return Promise.reject(this.registrations);
    return this.registrations === 'silent' ? new Promise(() => {}) : Promise.resolve(this.registrations);
  }

  #move(): Move {
    const side = (name: SideName) => {
      const played = this.sides[name];
      const answer = <T>(value: T): Promise<T> => {
        if (played.fails === 'silent') return new Promise(() => {});
        return played.fails === undefined ? Promise.resolve(value) : Promise.reject(played.fails);
      };
      return {
        name,
        keyspace: name === 'source' ? 'old' : 'new',
        kind: played.kind,
        owner: {
          fenceRows: () => answer(played.rows),
          checkQuiet: () => answer(played.quiet),
          checkTables: (_: unknown, as: string) => answer(played.tables.map((problem) => ({ ...problem, message: `${as}: ${name}` }))),
          sequences: () => answer(played.sequences),
        },
        player: {
          checkLogin: () => answer(undefined),
          describe: (table: string) => answer(Object.hasOwn(played.schemas, table) ? played.schemas[table] : schema(table)),
        },
      };
    };
    return { name: 'move', tables, source: side('source'), target: side('target') } as unknown as Move;
  }
}

test('nothing stands in the way when everything is as it should be', async () => {
  const rig = new CheckRig();
  const begunMs = rig.clock.monotonic();
  expect(await rig.run()).toEqual({ problems: [], warnings: [], gateways: ['g1'] });
  expect(rig.clock.monotonic() - begunMs).toBeGreaterThanOrEqual(1_000);
});

describe('the copy', () => {
  test.each(['created', 'copying', 'completed', 'cancelled', 'failed'])('is not there while the workflow is %s', async (state) => {
    expect(await new CheckRig({ state }).problems()).toEqual(['WORKFLOW_STATE']);
  });

  test('must be finished for every table on the way there, and is not asked about on the way back', async () => {
    const progress = [
      { table: 'lines', rowsCopied: 1, rowsTotal: 2, done: false },
      { table: 'orders', rowsCopied: 2, rowsTotal: 2, done: true },
      { table: 'foreign', rowsCopied: 0, rowsTotal: 2, done: false },
    ];
    expect(await new CheckRig({ progress }).problems()).toEqual(['WORKFLOW_STATE lines']);
    const back = new CheckRig({ progress, state: 'switched' });
    back.sides.source.rows = tables.map((table) => row(table, 'CLOSED', 1, 'new'));
    back.sides.target.rows = tables.map((table) => row(table, 'OPEN', 1, 'old'));
    back.rules = JSON.parse(JSON.stringify(back.rules).replaceAll('"primary":"old"', '"primary":"new"'));
    expect(await back.problems('source')).toEqual([]);
  });
});

describe('the verification', () => {
  const verification = (more: object) => ({ finishedAt: new Date(1_000).toISOString(), durationMs: 1, rowsCompared: 1, differences: 0, sample: [], ...more });
  test.each([
    ['never made', undefined],
    ['failed', verification({ error: 'it broke' })],
    ['unclean', verification({ differences: 1 })],
  ])('that was %s does not count', async (_, given) => {
    expect(await new CheckRig({ verification: given }).problems()).toEqual(['NOT_VERIFIED']);
  });

  test('counts up to its age', async () => {
    for (const [ageS, found] of [
      [60, []],
      [61, ['NOT_VERIFIED']],
    ] as const) {
      const rig = new CheckRig({ limits: { verificationAgeS: 60 }, verification: verification({ finishedAt: new Date(1_000 - ageS * 1_000).toISOString() }) });
      expect(await rig.problems()).toEqual(found);
    }
  });
});

test('the fence rows must be OPEN where it is left and CLOSED where it goes', async () => {
  const closed = new CheckRig();
  closed.sides.source.rows = tables.map((table) => row(table, 'FROZEN', 1, 'new'));
  closed.sides.target.rows = [row('orders', 'CLOSED', 1, 'old')];
  const { problems } = await closed.run();
  expect(problems.map(({ reason, message }) => [reason, message])).toEqual([
    ['PRECHECK_FAILED', 'the fence of "old" is FROZEN(1), not OPEN'],
    ['PRECHECK_FAILED', expect.stringMatching(/^the fence of "new" is mixed: .*, not CLOSED$/)],
  ]);
});

test('the rules must be there, readable, and as the rows say', async () => {
  const problemsOf = async (rules: unknown): Promise<readonly string[]> => {
    const rig = new CheckRig();
    rig.rules = rules;
    return await rig.problems();
  };
  const { document } = new CheckRig().rules as { readonly document: object };
  expect(await problemsOf({ kind: 'missing', index: 1 })).toEqual(['RULES_MISSING']);
  expect(await problemsOf({ kind: 'valid', index: 1, document: { ...document, tables: {} } })).toEqual(['TOPOLOGY_CONFLICT']);
  expect(await problemsOf({ kind: 'invalid', index: 1, version: 1, message: 'm' })).toEqual(['RULES_INVALID']);
  expect(await problemsOf({ kind: 'valid', index: 1, document: JSON.parse(JSON.stringify(document).replaceAll('"primary":"old"', '"primary":"new"')) })).toEqual([
    'TOPOLOGY_CONFLICT',
  ]);
});

test('what the stores find is passed on, each with its reason', async () => {
  const rig = new CheckRig();
  rig.sides.source.quiet = [{ table: null, message: 'a long transaction', fix: 'wait' }];
  rig.sides.target.quiet = [{ table: null, message: 'of the target: nobody asks', fix: 'wait' }];
  rig.sides.source.tables = [{ table: 'orders', message: '', fix: '' }];
  rig.sides.target.tables = [{ table: 'lines', message: '', fix: '' }];
  const { problems } = await rig.run();
  expect(problems.map(({ reason, table, message }) => [reason, table, message])).toEqual([
    ['LOCK_TIMEOUT', null, 'a long transaction'],
    ['PRECHECK_FAILED', 'orders', 'source: source'],
    ['PRECHECK_FAILED', 'lines', 'target: target'],
  ]);
});

describe('the shapes of a table', () => {
  test('must be alike: of one kind to the digest', async () => {
    const rig = new CheckRig();
    rig.sides.target.schemas = { lines: schema('lines', 'another') };
    expect(await rig.problems()).toEqual(['SCHEMA_CHANGED lines']);
  });

  test('of two kinds by what both can hold', async () => {
    const rig = new CheckRig();
    rig.sides.target.kind = 'another';
    rig.sides.target.schemas = { lines: schema('lines', 'another') };
    expect(await rig.problems()).toEqual([]);
    rig.sides.target.schemas = { lines: { ...schema('lines', 'another'), primaryKey: [] } };
    expect(await rig.problems()).toEqual(['SCHEMA_CHANGED lines']);
  });

  test('must exist at both ends; the end without it is named', async () => {
    for (const [side, keyspace] of [
      ['source', 'old'],
      ['target', 'new'],
    ] as const) {
      const rig = new CheckRig();
      rig.sides[side].schemas = { orders: null };
      expect((await rig.run()).problems.map(({ reason, table, message }) => [reason, table, message])).toEqual([['SCHEMA_CHANGED', 'orders', `does not exist in "${keyspace}"`]]);
    }
  });
});

test('every sequence of the one side must be on the other; how far it is does not matter yet', async () => {
  const rig = new CheckRig();
  const sequence = (table: string, column: string, value: bigint) => ({ table, column, value });
  rig.sides.source.sequences = [sequence('orders', 'no', 1n), sequence('lines', 'no', 3n), sequence('lines', 'id', 5n), sequence('orders', 'id', 9n)];
  rig.sides.target.sequences = [sequence('orders', 'id', 1n), sequence('orders', 'no', 1n), sequence('orders', 'of its own', 1n), sequence('lines', 'id', 0n)];
  expect((await rig.run()).problems.map(({ reason, message }) => [reason, message])).toEqual([['PRECHECK_FAILED', '"new" has no sequence for lines.no']]);
});

describe('the lag', () => {
  test('is taken from the streams where they run here', async () => {
    const rig = new CheckRig();
    rig.streams = { problem: () => null, lagMs: () => 21 } as unknown as MoveStreams;
    expect(await rig.problems()).toEqual(['LAG_TOO_HIGH']);
  });

  test('else from the document, read again', async () => {
    const rig = new CheckRig();
    rig.streams = null;
    expect(await rig.problems()).toEqual(['LAG_TOO_HIGH']);
    rig.again = { lagMs: 1 };
    expect(await rig.problems()).toEqual([]);
    const known = new CheckRig({ lagMs: 1 });
    known.streams = null;
    expect(await known.problems()).toEqual([]);
  });
});

describe('what could not be checked', () => {
  test('is a problem, whose reason is the failure', async () => {
    const rig = new CheckRig();
    rig.sides.source.fails = new SwitchyardError('STORE_UNAVAILABLE', 'away');
    const { problems } = await rig.run();
    expect(new Set(problems.map(({ reason }) => reason))).toEqual(new Set(['STORE_UNAVAILABLE']));
    expect(problems.map(({ message }) => message.replace(/ could not.*/, ''))).toEqual([
      'the fence rows',
      'open transactions',
      'the tables',
      'the shapes of the tables',
      'the sequences',
    ]);
  });

  test('also when it takes too long', async () => {
    const rig = new CheckRig();
    rig.sides.target.fails = 'silent';
    rig.sides.target.rows = [];
    expect(new Set(await rig.problems())).toEqual(new Set(['DEADLINE_EXCEEDED']));
    expect(rig.clock.monotonic() - 1_000).toBeGreaterThanOrEqual(15_000);
  });

  test('but not when the caller leaves', async () => {
    const rig = new CheckRig();
    rig.sides.target.fails = 'silent';
    const stop = new AbortController();
    rig.clock.after(50, () => stop.abort(new SwitchyardError('CANCELLED', 'stop')));
    await expect(rig.run('target', stop)).rejects.toMatchObject({ reason: 'CANCELLED' });
    // Everything that counts was there already: that the gateways were not is not told.
    const late = new CheckRig();
    late.registrations = 'silent';
    const leaves = new AbortController();
    late.clock.after(2_000, () => leaves.abort(new SwitchyardError('CANCELLED', 'stop')));
    expect(await late.run('target', leaves)).toEqual({ problems: [], warnings: [], gateways: [] });
  });
});

describe('gateways', () => {
  const warningsOf = async (registrations: unknown) => {
    const rig = new CheckRig();
    rig.registrations = registrations;
    const { warnings, gateways, problems } = await rig.run();
    return { warnings: warnings.map(({ message }) => message), gateways, problems: problems.length };
  };

  test('that are silent or refuse rules are told of; only those that are alive are waited for', async () => {
    expect(
      await warningsOf([
        { id: 'g1', silent: false, problems: [], storeProblems: [] },
        { id: 'g2', silent: true, problems: [{ message: 'old news' }], storeProblems: [] },
        { id: 'g3', silent: false, problems: [{ message: 'no such keyspace' }, { message: 'and more' }], storeProblems: [] },
      ]),
    ).toEqual({ warnings: ['gateway "g2" is silent', 'gateway "g3" refuses rules: no such keyspace'], gateways: ['g1', 'g3'], problems: 0 });
  });

  test('that the store of the other side does not let in keep everybody from beginning, unless they are silent', async () => {
    const refused = (keyspace: string, reason = 'STORE_LOGIN_REFUSED') => [{ keyspace, reason, message: 'wrong password' }];
    const problemsWith = async (registrations: unknown, to: SideName = 'target') => {
      const rig = new CheckRig();
      rig.registrations = registrations;
      return (await rig.run(to)).problems.filter(({ message }) => message.includes('gateway')).map(({ reason, message }) => `${reason} ${message}`);
    };
    const living = { id: 'g1', silent: false, problems: [], storeProblems: refused('new') };
    expect(await problemsWith([living])).toEqual(['PRECHECK_FAILED gateway "g1" would fail after the switch: wrong password']);
    expect(await problemsWith([{ ...living, storeProblems: refused('new', 'KEYSPACE_INVALID') }])).toHaveLength(1);
    expect(await problemsWith([{ ...living, storeProblems: refused('new', 'STORE_UNAVAILABLE') }])).toEqual([]);
    expect(await problemsWith([{ ...living, silent: true }])).toEqual([]);
    expect(await problemsWith([living], 'source')).toEqual([]);
  });

  test('of which there are none, or that cannot be read, keep nobody from beginning', async () => {
    expect(await warningsOf([])).toEqual({ warnings: ['no gateway is registered'], gateways: [], problems: 0 });
    expect(await warningsOf(new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'no leader'))).toEqual({
      warnings: ['the gateways could not be read: no leader'],
      gateways: [],
      problems: 0,
    });
    expect(await warningsOf('silent')).toEqual({ warnings: ['the gateways could not be read: the gateways could not be read in time'], gateways: [], problems: 0 });
  });
});

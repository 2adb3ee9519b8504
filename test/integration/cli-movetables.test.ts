import type { MessageInitShape } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Server } from '@grpc/grpc-js';
import type { Io } from '../../cli/context.ts';
import { exitCodes } from '../../cli/exit-codes.ts';
import { runCommandLine } from '../../cli/program.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type Workflow, type WorkflowSchema, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { addService, listenGrpc, type RpcImplementation } from '../../runtime/grpc-server.ts';

/* What `switchyard movetables` says, with a control process that plays one workflow: whatever takes a real one minutes, or a fault, to come to. */

type Played = Exclude<MessageInitShape<typeof WorkflowSchema>, Workflow>;

let now: Played = {};
/** What the workflow becomes while it is verified, one after the other; the last one is the answer. */
let verified: readonly Played[] = [];
let ordered: unknown[] = [];

const base: Played = { name: 'm1', source: 'old', target: 'new', tables: ['item', 'line'], state: WorkflowState.RUNNING, runner: 'control-1' };
const play = (fields: Played, ...later: readonly Played[]): void => {
  now = { ...base, ...fields };
  verified = later;
  ordered = [];
};

const unserved = async (): Promise<never> => {
  throw new SwitchyardError('INTERNAL', 'not part of this test');
};
const answer = async (): Promise<{ workflow: Played }> => ({ workflow: now });
const order = async (request: object) => {
  ordered.push(request);
  return answer();
};

const service: RpcImplementation<typeof WorkflowService> = {
  getWorkflow: answer,
  createWorkflow: order,
  updateLimits: order,
  async *watchWorkflow(_, { signal }) {
    for (let shown: Played | null = null; ; ) {
      if (now !== shown) yield await answer();
      shown = now;
      await systemClock.sleep(2, signal);
    }
  },
  async verifyWorkflow(request, { signal }) {
    for (const next of verified) {
      await systemClock.sleep(60, signal);
      now = { ...base, ...next };
    }
    return order(request);
  },
  listWorkflows: unserved,
  switchTraffic: unserved,
  reverseTraffic: unserved,
  completeWorkflow: unserved,
  cancelWorkflow: unserved,
  repairWorkflow: unserved,
};

const server = new Server();
let address = '';
beforeAll(async () => {
  addService(server, WorkflowService, service, { clock: systemClock, defaultDeadlineMs: 5_000, onFault: () => {} });
  address = `127.0.0.1:${await listenGrpc(server, { host: '127.0.0.1', port: 0 })}`;
});
afterAll(() => server.forceShutdown());

/** Runs `switchyard movetables`. */
async function run(args: readonly string[], { terminal = false, control = address } = {}): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const io: Io = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    person: 'somebody@here',
    terminal,
    readFile: unserved,
    edit: unserved,
    settings: { path: '', read: async () => null, write: unserved },
    runProcess: unserved,
    pause: async () => {},
    interrupted: new AbortController().signal,
  };
  const code = await runCommandLine(['-c', control, ...args], io);
  return { code, out, err };
}
const movetables = (...args: readonly string[]) => run(['movetables', ...args]);

describe('verify', () => {
  const comparing = (rowsCompared: bigint, done: boolean, repair = false, differences = 0n): Played => ({
    progress: [
      { table: 'item', rowsCopied: 1_500n, rowsTotal: 1_500n, done: true },
      { table: 'line', rowsCopied: 500n, rowsTotal: 500n, done: true },
    ],
    verifying: { repair, tables: [{ table: 'item', rowsCompared, differences, done }] },
  });
  const clean: Played = { verification: { rowsCompared: 2_000n } };
  const shown = [
    'm1: verifying, 1,000 of about 2,000 rows compared 50 %, 0 of 2 tables done',
    'm1: verifying, 1,500 of about 2,000 rows compared 75 %, 1 of 2 tables done, 1 difference so far',
  ];
  const steps = [comparing(1_000n, false), comparing(1_500n, true, false, 1n), clean];

  test('shows how far it is while it runs', async () => {
    play({}, ...steps);
    const { code, out, err } = await movetables('verify', 'm1');
    expect(code).toBe(exitCodes.ok);
    expect(err.trimEnd().split('\n')).toEqual(shown);
    expect(out).toMatch(/2,000 rows compared, no difference/);
  });

  test('in one place on a terminal, and not at all among JSON', async () => {
    play({}, ...steps);
    expect((await run(['movetables', 'verify', 'm1'], { terminal: true })).err).toBe([...shown, ''].join('\n').replaceAll('m1: ', '\r\u001b[Km1: ').replace('done\n', 'done'));
    play({}, ...steps);
    expect((await run(['-o', 'json', 'movetables', 'verify', 'm1'])).err).toBe('');
  });

  test('says what a repair would write over', async () => {
    const different: Played = { verification: { rowsCompared: 9n, differences: 1n, sample: [{ table: 'item', key: '1', what: 'size' }] } };
    play({}, different);
    const refusal = (text: RegExp) => ({ code: exitCodes.differences, err: expect.stringMatching(text) });
    expect(await movetables('verify', 'm1')).toMatchObject(refusal(/1 row differs; .*verify m1 --repair writes over the rows of "new" with those of "old", which serves/));
    play({}, { ...different, state: WorkflowState.SWITCHED });
    expect(await movetables('verify', 'm1')).toMatchObject(refusal(/--repair writes over the rows of "old" with those of "new", which serves/));
  });

  test('says whose result it gives, and what it ends', async () => {
    play(comparing(1n, false, true), clean);
    expect((await movetables('verify', 'm1')).err).toMatch(/^a verification with --repair runs already: this is how it goes on and ends\n/);
    play(comparing(1n, false), clean);
    expect((await movetables('verify', 'm1', '--repair')).err).toMatch(/^a verification without --repair runs: this one takes its place and begins anew\n/);
    expect(ordered).toMatchObject([{ name: 'm1', repair: true }]);
  });
});

describe('limits', () => {
  test.each([
    ['--attempts', '0', '1 to 20'],
    ['--attempts', '-5', '1 to 20'],
    ['--attempts', 'many', '1 to 20'],
    ['--hold-budget-ms', '0', '20 to 1,000'],
    ['--lag-ms', '10001', '1 to 10,000'],
    ['--most-copy-share', '0', '1 to 100'],
    ['--verification-age-s', '999999999999', '1 to 2,147,483,647'],
  ])('%s %s is refused by its name, with what it takes, by limits and by create', async (flag, value, range) => {
    play({});
    const refused = {
      code: exitCodes.usage,
      err: expect.stringMatching(new RegExp(`^error: option '${flag} <n>' argument '${value}' is invalid. must be a whole number, ${range}\n`)),
    };
    expect(await movetables('limits', 'm1', flag, value)).toMatchObject(refused);
    expect(await movetables('create', 'm1', '--source', 'old', '--target', 'new', '--tables', 'item', flag, value)).toMatchObject(refused);
    expect(ordered).toEqual([]);
  });

  test('those that are given are sent, and no other', async () => {
    play({});
    expect(await movetables('limits', 'm1', '--attempts', '3', '--lag-ms', '1')).toMatchObject({ code: exitCodes.ok });
    expect(ordered).toMatchObject([{ limits: { attempts: 3, lagMs: 1, holdBudgetMs: 0, mostCopyShare: 0 } }]);
  });
});

describe('status and create say what helps next', () => {
  const created: Played = { state: WorkflowState.CREATED, tables: ['item', 'line'] };
  const make = (...more: readonly string[]) => movetables('create', 'm1', '--source', 'old', '--target', 'new', '--tables', 'item,line', ...more);

  test('a workflow that has failed: cancel it, and begin again', async () => {
    play({ state: WorkflowState.FAILED, message: 'COLUMN_UNKNOWN: no "size"' });
    const next = /switchyard movetables cancel m1 .*mend the cause.*switchyard movetables create, under another name/;
    const { code, out } = await movetables('status', 'm1');
    expect({ code, out }).toEqual({ code: exitCodes.ok, out: expect.stringMatching(new RegExp(`m1: failed, COLUMN_UNKNOWN: no "size"[\\s\\S]*\nnext: ${next.source}`)) });
    expect(await make()).toMatchObject({ code: exitCodes.precondition, err: expect.stringMatching(next) });
  });

  test('create --no-wait: every table, and to look again', async () => {
    play(created);
    const { out } = await make('--no-wait');
    expect(out).toMatch(
      /^m1: created\n[\s\S]*TABLE +ROWS COPIED +BYTES\nitem +– +–\nline +– +–\n[\s\S]*next: switchyard movetables status m1 --watch {3}\(then verify, once it is running\)\n$/,
    );
  });

  test('create that has waited: verify', async () => {
    play({});
    expect((await make()).out).toMatch(/next: switchyard movetables verify m1\n$/);
  });
});

test('where no control process answers, every command that asks one says what helps, by one exit code', async () => {
  const nowhere = { control: '127.0.0.1:1' };
  const help = /PEER_UNREACHABLE[\s\S]*start a control process \(switchyard control --listen HOST:PORT\), or say where one is/;
  expect(await run(['movetables', 'status'], nowhere)).toMatchObject({ code: exitCodes.unavailable, err: expect.stringMatching(help) });
  expect(await run(['doctor'], nowhere)).toMatchObject({ code: exitCodes.unavailable, out: expect.stringMatching(help) });
});

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { exitCodes } from '../../cli/exit-codes.ts';
import { getRules, putRules } from '../bench/cutover/consul-rules.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { quoteLiteral } from '../support/servers/postgres.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { type CommandResult, runCommandLine, runSwitchyard } from '../support/shell/run-switchyard.ts';

/* The real command against a live cluster, in the order in which somebody moves two tables. Each test goes on where the one before it ended. */

const move = 'cli-move';
const tables = ['pgbench_branches', 'pgbench_tellers'];
const caseLimitMs = 60_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 1, controls: 2 });
}, 60_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const control = (): string => cluster.controls[0]?.address ?? '';
const run = (args: readonly string[], input?: string): Promise<CommandResult> => runSwitchyard(control(), args, input);

/** Runs a command that must succeed and resolves to what it printed on stdout. */
async function ok(args: readonly string[], input?: string): Promise<string> {
  const result = await run(args, input);
  expect({ args, ...result }).toMatchObject({ code: exitCodes.ok });
  return result.out;
}

/** Runs a command with `-o json`, which must succeed and print nothing but JSON. */
async function json(args: readonly string[], input?: string): Promise<Record<string, unknown>> {
  return JSON.parse(await ok(['-o', 'json', ...args], input)) as Record<string, unknown>;
}

/** Runs a command that must fail with this code, reason and text on stderr. */
async function refused(args: readonly string[], code: number, reason: string, text: RegExp, input?: string): Promise<void> {
  const result = await run(args, input);
  expect({ args, ...result }).toMatchObject({ code, err: expect.stringMatching(text) });
  expect(result.err).toContain(reason);
}

describe('the command itself', () => {
  test('explains itself, and says what is wrong with its usage', async () => {
    expect(await ok(['--help'])).toMatch(/movetables/);
    expect(await ok(['movetables', 'create', '--help'])).toMatch(/Example:\n {2}switchyard movetables create/);
    expect(await run(['movetable'])).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/Did you mean movetables\?/) });
    expect(await run(['movetables', 'create', 'x', '--source', 'old'])).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/--target/) });
    expect(await run(['movetables', 'create', 'x', '--source', 'old', '--target', 'new', '--tables', 't', '--attempts', 'many'])).toMatchObject({ code: exitCodes.usage });
  });

  test('without a control process it says who could not be reached', async () => {
    const result = await runSwitchyard('127.0.0.1:1', ['gateways']);
    expect(result).toMatchObject({ code: exitCodes.unavailable, err: expect.stringMatching(/127\.0\.0\.1:1[\s\S]*PEER_UNREACHABLE/) });
  });
});

describe('keyspaces', () => {
  const yaml = (changes: Readonly<Record<string, unknown>> = {}): string => {
    return stringify({ name: 'old', shards: [{ ...postgresShard(cluster.old, cluster.database), ...changes }] });
  };
  const apply = ['keyspace', 'apply', '-f', '-'];

  test('apply: a document, its dry run, as text and as JSON', async () => {
    expect(await ok([...apply, '--dry-run'], yaml())).toBe('keyspace old is valid\n');
    expect(await ok(apply, yaml())).toMatch(
      /^keyspace old applied\n\nnext, as an administrator of the store [^\n]*\n {2}switchyard keyspace grants old \| psql -h \S+ -p \d+ -d \S+ -U …\n$/,
    );
    expect(await json(apply, yaml())).toMatchObject({ keyspace: { name: 'old', shards: [{ kind: 'postgres', port: cluster.old.port }] } });
  });

  test('apply: what is wrong is named, with the field', async () => {
    const secret = { user: 'shop_owner', password: 'in-clear' };
    await refused(apply, exitCodes.usage, 'KEYSPACE_INVALID', /owner\.password: must be "env:NAME" or "file:\/path": secrets are given by reference only/, yaml({ owner: secret }));
    await refused(apply, exitCodes.usage, 'KEYSPACE_INVALID', /document 1: .*colour/, yaml({ colour: 'red' }));
    await refused(['keyspace', 'apply', '-f', '/no/such/file'], exitCodes.usage, 'ARGUMENT_INVALID', /\/no\/such\/file cannot be read/);
    await refused(apply, exitCodes.usage, 'KEYSPACE_INVALID', /no kind of store "papyrus"; known are postgres/, yaml({ kind: 'papyrus' }));
    const second = stringify({ name: 'attic', shards: [postgresShard(cluster.old, cluster.database)] });
    await refused(apply, exitCodes.usage, 'KEYSPACE_INVALID', /shards\.0: the store \S+ is keyspace "old" already: use that name, or give another database/, second);
  });

  test('get: one, all, and an unknown one', async () => {
    expect(await ok(['keyspace', 'get'])).toMatch(/new[\s\S]*old/);
    const { keyspaces } = await json(['keyspace', 'get', 'new']);
    expect(keyspaces).toMatchObject([{ name: 'new' }]);
    await refused(['keyspace', 'get', 'attic'], exitCodes.usage, 'KEYSPACE_UNKNOWN', /no keyspace "attic"; known: new, old/);
  });

  test('grants: a script that psql takes, again and again', async () => {
    const script = await ok(['keyspace', 'grants', 'old']);
    expect(script).toMatch(/GRANT/);
    await cluster.old.psql(cluster.database, script);
    await cluster.old.psql(cluster.database, await ok(['keyspace', 'grants', 'old', '--tables', tables.join(',')]));
    await refused(['keyspace', 'grants', 'attic'], exitCodes.usage, 'KEYSPACE_UNKNOWN', /attic/);
  });
});

describe('rules', () => {
  const apply = ['rules', 'apply', '-f', '-'];

  test('get, apply, history', async () => {
    expect(await ok(['rules', 'get'])).toMatch(/^rules version \d+, by control .*\ndefault keyspace old\n/);
    const before = await json(['rules', 'get']);
    expect(await ok([...apply, '--dry-run'], JSON.stringify(before))).toBe('the document is valid; nothing was changed\n');
    expect(await ok([...apply, '--reason', 'a test of the command'], JSON.stringify(before))).toMatch(/: a test of the command\n/);
    expect(await ok(['rules', 'history', '-n', '2'])).toMatch(/a test of the command/);
    await refused(apply, exitCodes.aborted, 'RULES_STALE', /made from version \d+, current is \d+: read again and repeat it/, JSON.stringify(before));
  });

  test('what is wrong is named, with the field', async () => {
    const { rules } = await json(['rules', 'get']);
    const changed = (change: object): string => JSON.stringify({ ...(rules as object), ...change });
    await refused(apply, exitCodes.usage, 'KEYSPACE_UNKNOWN', /default_keyspace: there is no keyspace "attic"/, changed({ defaultKeyspace: 'attic' }));
    await refused(apply, exitCodes.usage, 'RULES_INVALID', /colour/, changed({ colour: 'red' }));
    await refused(
      apply,
      exitCodes.usage,
      'RULES_INVALID',
      /version must be the version that the change was made from; start from: switchyard -o json rules get/,
      changed({ version: '0' }),
    );
  });
});

describe('rules, their past and their future', () => {
  const withTable = async (table: string, primary: string): Promise<string> => {
    const { rules } = (await json(['rules', 'get'])) as { rules: { tables?: object } };
    return JSON.stringify({ ...rules, tables: { ...rules.tables, [table]: { primary } } });
  };
  const versionNow = async (): Promise<number> => Number(((await json(['rules', 'get'])) as { rules: { version: string } }).rules.version);

  test('diff, rollback, and their dry run', async () => {
    const before = await versionNow();
    const wanted = await withTable('attic_box', 'new');
    expect(await ok(['rules', 'diff', '-f', '-'], wanted)).toMatch(/\+ table attic_box: primary new/);
    await ok(['rules', 'apply', '-f', '-', '--reason', 'a box'], wanted);
    expect(await ok(['rules', 'diff'])).toMatch(new RegExp(`version ${before} → version ${before + 1}\n\\+ table attic_box: primary new`));
    expect(await json(['rules', 'diff', String(before), String(before)])).toMatchObject({ changes: [] });

    expect(await ok(['rules', 'rollback', String(before), '--dry-run'])).toMatch(/- table attic_box \(primary new\)\nthe document is valid; nothing was changed/);
    expect(await versionNow()).toBe(before + 1);
    expect(await ok(['rules', 'rollback', String(before)])).toMatch(/- table attic_box/);
    expect(await versionNow()).toBe(before + 2);
    expect(await ok(['rules', 'history', '-n', '1'])).toMatch(new RegExp(`rollback to version ${before}`));
    expect(await ok(['rules', 'rollback', String(before)])).toMatch(/nothing to change/);
    await refused(['rules', 'rollback', '99999'], exitCodes.usage, 'ARGUMENT_INVALID', /history has no version 99999/);
    expect(await run(['rules', 'rollback', 'yesterday'])).toMatchObject({ code: exitCodes.usage });
  });

  test('a document that nobody can read is found by doctor and rolled back', async () => {
    const good = await getRules(cluster.consul);
    await putRules(cluster.consul, '{ "version": 99', good.index);
    await waitUntil('doctor naming the document', { limitMs: 10_000, everyMs: 200 }, async () => {
      const { code, out } = await run(['doctor']);
      return code === exitCodes.precondition && /FAULT {2}RULES_INVALID[\s\S]*rules rollback VERSION/.test(out) ? true : undefined;
    });
    const result = await run(['rules', 'rollback', String(good.document.version)]);
    expect({ code: result.code, err: result.err }).toEqual({ code: exitCodes.ok, err: '' });
    expect((await getRules(cluster.consul)).document).toMatchObject({ defaultKeyspace: good.document.defaultKeyspace, changedBy: expect.stringMatching(/@/) });
  });

  test('lint: valid, suspicious, wrong', async () => {
    expect(await ok(['rules', 'lint'])).toMatch(/^the document is valid/);
    expect(await ok(['rules', 'lint', '-f', '-'], await withTable('attic_box', 'old'))).toMatch(/table attic_box: says what holds without it/);
    await refused(['rules', 'lint', '-f', '-'], exitCodes.usage, 'KEYSPACE_UNKNOWN', /tables\.attic_box\.primary/, await withTable('attic_box', 'attic'));
    await refused(['rules', 'lint', '-f', '-'], exitCodes.usage, 'RULES_INVALID', /-: /, '{ not: [yaml');
  });

  test('edit: what an editor leaves is applied, and not lost when it is refused', async () => {
    const edit = (editor: string): Promise<CommandResult> => runCommandLine(['-c', control(), 'rules', 'edit'], { env: { VISUAL: '', EDITOR: editor } });
    const before = await versionNow();
    expect(await edit('true')).toMatchObject({ code: exitCodes.ok, out: 'nothing was changed\n' });
    expect(await edit("sed -i 's/defaultKeyspace: old/defaultKeyspace: new/'")).toMatchObject({ code: exitCodes.ok, out: expect.stringMatching(/~ default keyspace old → new/) });
    await ok(['rules', 'rollback', String(before)]);

    const refusedEdit = await edit("sed -i 's/defaultKeyspace: old/defaultKeyspace: attic/'");
    expect(refusedEdit).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/KEYSPACE_UNKNOWN/) });
    const kept = /kept in (\S+);/.exec(refusedEdit.err)?.[1] ?? '';
    expect(await readFile(kept, 'utf8')).toMatch(/defaultKeyspace: attic/);
    await rm(dirname(kept), { recursive: true });
    expect(await edit('false')).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/editor "false" ended with 1; nothing was changed/) });
    expect(await edit('')).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/there is no editor/) });
  });

  test('get --watch shows a change and ends at Ctrl-C', async () => {
    const watching = runCommandLine(['-c', control(), 'rules', 'get', '--watch'], { stopAfter: { output: /watched[\s\S]*attic_box/, signal: 'SIGINT' } });
    // Whenever the watch begins, it shows the document after one of the changes.
    let done = false;
    const ended = watching.finally(() => {
      done = true;
    });
    for (let turn = 0; !done && turn < 20; turn += 1) {
      await ok(['rules', 'apply', '-f', '-', '--reason', `watched ${turn}`], await withTable('attic_box', turn % 2 === 0 ? 'new' : 'old'));
      await sleep(500);
    }
    expect((await ended).out).toMatch(/rules version [\s\S]*rules version/);
  }, 60_000);
});

describe('doctor, contexts, completion', () => {
  test('doctor: all well, and what is wrong with what helps', async () => {
    expect(await ok(['doctor'])).toMatch(
      /^ok {5}control answers and knows 2 keyspaces: new, old\n(ok {5}the store of keyspace \w+ lets owner and player in.*\n){2}ok {5}rules version \d+ is in force\nok {5}gateway gateway-1 applies version/,
    );
    const alone = await runSwitchyard('127.0.0.1:1', ['doctor']);
    expect(alone).toMatchObject({ code: exitCodes.unavailable, out: expect.stringMatching(/^FAULT {2}PEER_UNREACHABLE[\s\S]*start a control process/) });
  });

  test('a context leads to its cluster; what is nearer wins', async () => {
    const home = await mkdtemp(join(tmpdir(), 'switchyard-contexts-'));
    const here = (...args: readonly string[]): Promise<CommandResult> => runCommandLine(args, { env: { XDG_CONFIG_HOME: home, SWITCHYARD_CONTROL: undefined } });
    try {
      expect(await here('context')).toMatchObject({ code: exitCodes.ok, out: expect.stringMatching(/no contexts yet/) });
      expect(await here('context', 'set', 'here', '--control', control())).toMatchObject({ code: exitCodes.ok });
      expect(await here('gateways')).toMatchObject({ code: exitCodes.ok, out: expect.stringMatching(/gateway-1/) });
      await here('context', 'set', 'nowhere', '--control', '127.0.0.1:1');
      expect(await here('--context', 'nowhere', 'gateways')).toMatchObject({ code: exitCodes.unavailable });
      expect(await here('-c', control(), '--context', 'nowhere', 'gateways')).toMatchObject({ code: exitCodes.ok });
      expect(await here('context', 'use', 'nowhere')).toMatchObject({ code: exitCodes.ok });
      expect(await here('gateways')).toMatchObject({ code: exitCodes.unavailable });
      expect(await here('context', 'use', 'attic')).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/no context "attic"; known: here, nowhere/) });
      expect(await here('context', 'remove', 'nowhere')).toMatchObject({ code: exitCodes.ok });
      await writeFile(join(home, 'switchyard', 'contexts.yaml'), 'contexts: { here: { colour: red } }');
      expect(await here('gateways')).toMatchObject({ code: exitCodes.usage, err: expect.stringMatching(/contexts\.yaml: contexts\.here/) });
    } finally {
      await rm(home, { recursive: true });
    }
  }, 60_000);

  test('completion: a script for the shell, and what it asks', async () => {
    expect(await ok(['complete', 'bash'])).toMatch(/bash completion for switchyard/);
    expect((await runCommandLine(['complete', '--', 'movetables', 'switch-'])).out).toMatch(/^switch-traffic\t/);
  });
});

describe('gateways', () => {
  test('list, remove', async () => {
    expect(await ok(['gateways'])).toMatch(/gateway-1 .*alive/);
    expect(await json(['gateways', 'list'])).toMatchObject({ gateways: [{ id: 'gateway-1' }] });
    await refused(['gateways', 'remove', 'gateway-1'], exitCodes.precondition, 'GATEWAY_ALIVE', /stop it first/);
    await refused(['gateways', 'remove', 'gateway-9'], exitCodes.usage, 'GATEWAY_UNKNOWN', /gateway-9/);
  });
});

describe('a move', () => {
  const create = (name: string, list: readonly string[], ...more: readonly string[]): readonly string[] => [
    ...['movetables', 'create', name, '--source', 'old', '--target', 'new', '--tables', list.join(',')],
    ...more,
  ];
  const movetables = (...args: readonly string[]): readonly string[] => ['movetables', ...args];

  test(
    'create: its checks, its dry run, the move itself',
    async () => {
      expect(await ok(['movetables', 'status'])).toMatch(/no workflows yet: switchyard movetables create/);
      await refused(create('x', ['no_such_table']), exitCodes.precondition, 'PRECHECK_FAILED', /no_such_table/);
      const unknown = ['movetables', 'create', 'x', '--source', 'attic', '--target', 'new', '--tables', 'pgbench_tellers'];
      await refused(unknown, exitCodes.usage, 'KEYSPACE_UNKNOWN', /attic/);
      expect(await ok(create(move, tables, '--dry-run'))).toMatch(/the checks passed; nothing was done/);
      await refused(movetables('status', move), exitCodes.usage, 'WORKFLOW_UNKNOWN', new RegExp(move));

      expect(await ok(create(move, tables))).toMatch(new RegExp(`${move}: running[\\s\\S]*next: switchyard movetables verify ${move}\n$`));
      await refused(create(move, tables), exitCodes.precondition, 'WORKFLOW_EXISTS', new RegExp(move));
      await refused(create('other', ['pgbench_tellers', 'pgbench_history']), exitCodes.precondition, 'TABLE_OWNED', new RegExp(`pgbench_tellers[\\s\\S]*${move}`));
      expect(await json(movetables('status', move))).toMatchObject({ workflow: { name: move, state: 'WORKFLOW_STATE_RUNNING', tables } });
      expect(await ok(['movetables', 'status'])).toMatch(new RegExp(move));
    },
    caseLimitMs,
  );

  test('what comes too early says what to do first', async () => {
    await refused(movetables('switch-traffic', move), exitCodes.precondition, 'NOT_VERIFIED', /verif/);
    await refused(movetables('switch-traffic', move, '--dry-run'), exitCodes.precondition, 'NOT_VERIFIED', /verif/);
    await refused(movetables('complete', move), exitCodes.precondition, 'WORKFLOW_STATE', /switch its traffic first/);
    await refused(movetables('verify', 'x'), exitCodes.usage, 'WORKFLOW_UNKNOWN', /"?x"?/);
  });

  test(
    'verify: clean, and with a difference, which bars the switch',
    async () => {
      const { player } = cluster.logins;
      const spoil = (balance: number): Promise<string> =>
        cluster.new.psql(cluster.database, `UPDATE pgbench_tellers SET tbalance = ${balance}, filler = ${quoteLiteral('x')} WHERE tid = 7;`, { login: player });
      expect(await ok(movetables('verify', move))).toMatch(new RegExp(`11 rows compared, no difference\n\nnext: switchyard movetables switch-traffic ${move}\n$`));
      await spoil(13);
      const different = await run(movetables('verify', move));
      expect(different).toMatchObject({ code: exitCodes.differences, out: expect.stringMatching(/pgbench_tellers/), err: expect.stringMatching(/DIFFERENCES_FOUND/) });
      await refused(movetables('switch-traffic', move), exitCodes.precondition, 'NOT_VERIFIED', /verif/);
      await cluster.new.psql(cluster.database, 'UPDATE pgbench_tellers SET tbalance = 0, filler = NULL WHERE tid = 7;', { login: player });
      expect(await json(movetables('verify', move))).toMatchObject({ workflow: { verification: { rowsCompared: '11' } } });
    },
    caseLimitMs,
  );

  test(
    'status --watch with -o json prints one line a change',
    async () => {
      const twoLines = { output: /^.+\n.+\n/, signal: 'SIGINT' } as const;
      let over = false;
      const watching = runCommandLine(['-c', control(), '-o', 'json', ...movetables('status', move, '--watch')], { stopAfter: twoLines }).finally(() => {
        over = true;
      });
      // Whenever the watch begins, it sees one of them.
      for (let turn = 0; !over && turn < 20; turn += 1) await ok(movetables('verify', move));
      const states = (await watching).out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
      expect(states.length).toBeGreaterThanOrEqual(2);
      for (const state of states) expect(state).toMatchObject({ workflow: { name: move, verification: { rowsCompared: '11' } } });
    },
    caseLimitMs,
  );

  test(
    'switch-traffic and reverse-traffic: dry run, steps with their times, JSON',
    async () => {
      expect(await ok(movetables('switch-traffic', move, '--dry-run'))).toBe('every pre-check passed; nothing was done\n');
      const switched = await ok(movetables('switch-traffic', move));
      expect(switched).toMatch(/^cutover source → target, attempt \d+, .*: switched/);
      for (const step of ['rules-hold', 'fence', 'catch-up', 'commit', 'ready', 'close', 'open', 'flip', 'reverse-start']) expect(switched).toContain(step);
      expect(switched).toMatch(new RegExp(`next: switchyard movetables reverse-traffic ${move}`));
      expect(await ok(['rules', 'get'])).toMatch(/pgbench_tellers *│? *new /);
      await refused(movetables('cancel', move), exitCodes.precondition, 'WORKFLOW_STATE', /reverse its traffic first/);

      const reversed = await json(movetables('reverse-traffic', move));
      expect(reversed).toMatchObject({ workflow: { state: 'WORKFLOW_STATE_RUNNING', cutovers: [{ outcome: 'switched' }, { outcome: 'switched', to: 'SIDE_SOURCE' }] } });
    },
    caseLimitMs,
  );

  test('repair: nothing to do', async () => {
    expect(await run(movetables('repair', move))).toMatchObject({ code: exitCodes.ok });
    expect(await json(movetables('repair', move))).toMatchObject({ workflow: { name: move } });
  });

  test(
    'cancel a move that is not switched, complete one that is',
    async () => {
      expect(await ok(movetables('cancel', move, '--dry-run'))).toMatch(/may be cancelled; nothing was done/);
      expect(await ok(movetables('cancel', move))).toMatch(new RegExp(`${move}: cancelled`));
      await refused(movetables('verify', move), exitCodes.precondition, 'WORKFLOW_STATE', /it has ended/);

      await ok(create('again', tables));
      await ok(movetables('verify', 'again'));
      await ok(movetables('switch-traffic', 'again'));
      expect(await ok(movetables('complete', 'again', '--dry-run'))).toMatch(/may be completed; nothing was done/);
      expect(await ok(movetables('complete', 'again'))).toMatch(/again: completed/);
      expect(await ok(movetables('status', 'again'))).toMatch(/pgbench_tellers[\s\S]*CLOSED/);
    },
    caseLimitMs,
  );
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { exitCodes } from '../../cli/exit-codes.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { runCommand } from '../support/servers/command.ts';
import { quoteLiteral } from '../support/servers/postgres.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { type CommandResult, runSwitchyard } from '../support/shell/run-switchyard.ts';

/* What the real command tells an operator who got something wrong, against a live cluster. Each test mends what it broke; they are in the order of a move. */

const caseLimitMs = 120_000;
const create = ['movetables', 'create', 'faults', '--source', 'old', '--target', 'new', '--tables', 'pgbench_branches'];

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 1, controls: 1 });
}, 120_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const control = (): string => cluster.controls[0]?.address ?? '';
const run = (...args: readonly string[]): Promise<CommandResult> => runSwitchyard(control(), args);
const ok = async (...args: readonly string[]): Promise<string> => {
  const result = await run(...args);
  expect({ args, ...result }).toMatchObject({ code: exitCodes.ok });
  return result.out;
};

/** Gives a login of the new store another password than its process has. */
async function withWrongPassword(role: 'gateway' | 'player' | 'owner', act: () => Promise<void>): Promise<void> {
  const { user, password } = cluster.logins[role];
  const set = (text: string): Promise<string> => cluster.new.psql('postgres', `ALTER ROLE ${user} PASSWORD ${quoteLiteral(text)};`);
  await set('another');
  try {
    await act();
  } finally {
    await set(password);
  }
}
const place = (): string => `127\\.0\\.0\\.1:${cluster.new.port}/${cluster.database}, the store of keyspace "new"`;

test(
  'a wrong password of player or owner: doctor and the dry run of a move say which, and go on as before when it is right again',
  async () => {
    await waitUntil('all well', { limitMs: 30_000, everyMs: 500 }, async () => ((await run('doctor')).code === exitCodes.ok ? true : undefined));
    for (const role of ['player', 'owner'] as const) {
      await withWrongPassword(role, async () => {
        const refused = new RegExp(`${place()}, refuses the login of ${role} "shop_${role}": password authentication failed.*\\n? *.*env:SHOP_${role.toUpperCase()}_PASSWORD`);
        expect(await run('doctor')).toMatchObject({ code: exitCodes.precondition, out: expect.stringMatching(refused) });
        const dryRun = await run(...create, '--dry-run');
        expect(dryRun).toMatchObject({ code: exitCodes.precondition, err: expect.stringMatching(refused) });
        expect(dryRun.err).toContain('PRECHECK_FAILED');
      });
    }
    expect(await ok('doctor')).toMatch(/^ok {5}the store of keyspace new lets owner and player in/m);
    expect(await ok(...create, '--dry-run')).toMatch(/the checks passed/);
  },
  caseLimitMs,
);

test(
  'a wrong password of the gateway: it says so itself, although its open connections serve on',
  async () => {
    await withWrongPassword('gateway', async () => {
      const seen = await waitUntil('the gateway to notice', { limitMs: 60_000, everyMs: 1_000 }, async () => {
        const { out } = await run('gateways');
        return out.includes('STORE_LOGIN_REFUSED') ? out : undefined;
      });
      expect(seen).toMatch(
        new RegExp(`gateway-1 cannot use keyspace new: STORE_LOGIN_REFUSED: ${place()}, refuses the login of gateway "shop_gateway".*env:SHOP_GATEWAY_PASSWORD`),
      );
      expect(await run('doctor')).toMatchObject({ code: exitCodes.precondition, out: expect.stringMatching(/FAULT {2}gateway gateway-1 cannot use keyspace new/) });
    });
    await waitUntil('the gateway to be let in', { limitMs: 30_000, everyMs: 500 }, async () => ((await run('doctor')).code === exitCodes.ok ? true : undefined));
  },
  caseLimitMs,
);

test(
  'a password that control does not have: apply notes it, doctor names the process, and neither the variable of a gateway is asked for',
  async () => {
    const shard = postgresShard(cluster.new, cluster.database);
    const apply = (given: object): Promise<CommandResult> => runSwitchyard(control(), ['keyspace', 'apply', '-f', '-'], stringify({ name: 'new', shards: [given] }));
    const lost = { ...shard, player: { user: 'shop_player', password: 'env:NO_SUCH_VARIABLE' }, gateway: { ...shard.gateway } };
    const said = /the password of player "shop_player" of keyspace "new" is env:NO_SUCH_VARIABLE, and control process "control-1" has no such environment variable/;
    try {
      expect(await apply(lost)).toMatchObject({ code: exitCodes.ok, out: expect.stringMatching(said) });
      expect(await run('doctor')).toMatchObject({ code: exitCodes.precondition, out: expect.stringMatching(said) });
      expect(await run(...create)).toMatchObject({ err: expect.stringMatching(said) });
    } finally {
      expect((await apply(shard)).out).not.toMatch(/environment variable/);
    }
  },
  caseLimitMs,
);

test('a reader that has seen enough ends the command without a word', async () => {
  const line = `{ '${process.execPath}' --disable-warning=ExperimentalWarning cli/main.ts --control ${control()} keyspace grants old 2>&3 | true; } 3>&1; echo "\${PIPESTATUS[0]}"`;
  expect(await runCommand('bash', ['-c', line], { timeoutMs: 60_000 })).toBe('141\n');
}, 60_000);

test(
  'a switch to where the tables are says that nothing was done, and why; a name serves one move',
  async () => {
    await ok(...create);
    expect(await run(...create)).toMatchObject({ code: exitCodes.precondition, err: expect.stringMatching(/movetables status faults/) });
    const idle = await ok('movetables', 'reverse-traffic', 'faults');
    expect(idle).toBe('nothing was done: the tables of faults are served by the source already ("old", they have not been switched)\n');
    expect(await ok('movetables', 'reverse-traffic', 'faults', '--dry-run')).toBe(idle);
    await ok('movetables', 'verify', 'faults');
    expect(await ok('movetables', 'switch-traffic', 'faults')).toMatch(/: switched/);
    const again = await ok('movetables', 'switch-traffic', 'faults');
    expect(again).toMatch(/^nothing was done: the tables of faults are served by the target already \("new", since the cutover of \S+ \S+\)\n$/);
    await ok('movetables', 'verify', 'faults');
    expect(await ok('movetables', 'reverse-traffic', 'faults')).toMatch(/: switched/);
    expect(await ok('movetables', 'cancel', 'faults')).toMatch(/movetables create, under another name/);
  },
  caseLimitMs,
);

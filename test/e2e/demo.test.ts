import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { exitCodes } from '../../cli/exit-codes.ts';
import { storeKinds } from '../support/cluster/store.ts';
import { runCommand } from '../support/servers/command.ts';
import { topologyServerKinds } from '../support/servers/topology-server.ts';
import { runCommandLine } from '../support/shell/run-switchyard.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

const root = resolve(import.meta.dirname, '../..');
const limitMs = 170_000;

/** Processes that bear this mark in their environment, as all do that the demo starts. */
async function processesWith(mark: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return environment.includes(mark) ? [pid] : [];
    }),
  );
  return found.flat();
}

test(
  'npm run demo tells the whole story in a pipe, loses nothing, and leaves nothing running',
  async () => {
    const mark = randomUUID();
    const running = spawn('npm', ['run', '-s', 'demo'], { cwd: root, timeout: limitMs, env: { ...process.env, DEMO_MARK: mark } });
    let out = '';
    const ended = new Promise<number | null>((done) => running.once('close', done));
    for (const stream of [running.stdout, running.stderr]) stream.on('data', (text: Buffer) => (out += text.toString()));
    await waitUntil('the start of the services', { limitMs: 60_000, everyMs: 200, explain: () => out }, async () => (out.includes('services run now') ? true : undefined));
    // Two gateways, two controls, the clients, npm and the demo itself, at least.
    expect((await processesWith(mark)).length).toBeGreaterThanOrEqual(7);

    const code = await ended;
    expect({ code, out: code === 0 ? '' : out }).toEqual({ code: 0, out: '' });
    for (const part of ['copied:', 'verified:', 'switch: ', 'reverse: ', 'switch again: ', 'complete:', '0 missing, 0 doubled, 0 different, 0 stale', 'Nothing was lost'])
      expect(out).toContain(part);
    expect(out).not.toContain('\x1b');
    await waitUntil('the end of all that the demo started', { limitMs: 5_000 }, async () => ((await processesWith(mark)).length === 0 ? true : undefined));
  },
  limitMs + 5_000,
);

test('switchyard dev says what to try, that works as it stands, and one Ctrl-C ends all of it', async () => {
  const mark = randomUUID();
  const running = spawn(join(root, 'cli/bin/switchyard'), ['dev'], { timeout: 140_000, killSignal: 'SIGKILL', env: { ...process.env, DEMO_MARK: mark } });
  let out = '';
  const ended = new Promise<number | null>((done) => running.once('close', done));
  for (const stream of [running.stdout, running.stderr]) stream.on('data', (text: Buffer) => (out += text.toString()));
  await waitUntil('what to try next', { limitMs: 90_000, everyMs: 100, explain: () => out }, async () => (out.includes('It stays until Ctrl-C') ? true : undefined));

  // The move itself takes a while, and the demo's test makes it: here it is only checked that it could begin.
  const toType = (/another terminal:\n([\s\S]*?)\n\n/.exec(out)?.[1] ?? '').replace(/create .*/, '$& --dry-run').replaceAll(/^.*(verify|switch-traffic) first\n/gm, '');
  const printed = await runCommand('bash', ['-ec', toType], { env: { no_proxy: '*' } });
  for (const part of ['{"aid":"1",', 'the checks passed', 'rules version']) expect(printed).toContain(part);

  running.kill('SIGINT');
  expect({ code: await ended, out }).toEqual({ code: exitCodes.ok, out: expect.stringMatching(/ending …\n$/) });
  await waitUntil('the end of all that it started', { limitMs: 5_000 }, async () => ((await processesWith(mark)).length === 0 ? true : undefined));
}, 150_000);

test('switchyard dev knows the stores and topologies of the demo, and says so where there is no demo', async () => {
  const { out: help } = await runCommandLine(['dev', '--help']);
  const choices = (kinds: readonly string[]): string => `(choices: ${kinds.map((kind) => `"${kind}"`).join(', ')})`;
  const shown = help.replaceAll(/\s+/g, ' ');
  expect(shown.split(choices(storeKinds)).length).toBe(3);
  expect(shown).toContain(choices(topologyServerKinds));
  expect((await runCommandLine(['complete', '--', 'dev', '--topo', ''])).out).toMatch(/^consul\s+embedded\s/);

  const installed = await mkdtemp(join(tmpdir(), 'switchyard-installed-'));
  try {
    for (const folder of ['cli', 'client', 'core', 'gen', 'runtime']) await cp(join(root, folder), join(installed, folder), { recursive: true });
    await symlink(join(root, 'node_modules'), join(installed, 'node_modules'));
    await expect(runCommand(join(installed, 'cli/bin/switchyard'), ['dev'])).rejects.toThrow(
      /test\/demo\/main\.ts is not there: this command needs a checkout of the sources; clone/,
    );
  } finally {
    await rm(installed, { recursive: true });
  }
});

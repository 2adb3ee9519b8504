import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, test } from '@jest/globals';
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

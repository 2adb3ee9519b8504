import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { findFreePorts } from '../support/servers/free-port.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { BashSession } from '../support/shell/bash-session.ts';
import { examplesOf } from '../support/shell/page-examples.ts';

/*
 * docs/sample-schema.md, typed as it stands but for its ports: the tables of a package that others wrote move there, back and there again under load, and every row of both stores is compared. What is printed has to be what the
 * page shows, but for numbers and how often progress is told. A command that fails ends the test: each of the example's programs judges what it sees.
 */

const root = resolve(import.meta.dirname, '../..');
const keyspaces = 'examples/sample-schema/keyspaces.yaml';
const foreground = 'npm run servers -- up';
const portOptions = { '--old-port': '6432', '--new-port': '6433', '--consul-port': '8500' };
const otherPorts = ['7201', '7202', '7101', '7102', '7111', '7112'];
const limitMs = 300_000;

/** The page's ports → free ones. */
async function freePorts(): Promise<ReadonlyMap<string, string>> {
  const pagePorts = [...Object.values(portOptions), ...otherPorts];
  const free = await findFreePorts(pagePorts.length);
  return new Map(pagePorts.map((port, i) => [port, String(free[i])]));
}

/** How far the move is, which is told as often as there is time for; what a cutover does after its last word; the fences, which are left out where a store is slow to tell them; attempts of a cutover that a busy machine was too slow for. */
const occasional = /^((journal|unlock) .*|jobs: .*|attempt .* came to nothing: .*|FENCE OF .*|\S+ +(old|new) +(OPEN|CLOSED) .*|)$/;
/** What does not differ from run to run. */
const essence = (text: string): readonly string[] =>
  text
    .split('\n')
    .filter((line) => !occasional.test(line))
    .map((line) =>
      line
        .replace(/ after \d+ attempts$/, '')
        .replaceAll(/\d[\d.,]*/g, '#')
        .replaceAll(/# (ms|s)\b/g, '# s')
        .replaceAll(/# (B|kB|MB)\b/g, '# B')
        .replaceAll(/\s+/g, ' ')
        // A step of a cutover: what it saw.
        .replace(/^(\S+ # s # s) .*/, '$1'),
    );

test('docs/sample-schema.md: the tables of pg-boss move, and every row of them', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'switchyard-sample-')), (path) => rm(path, { recursive: true, force: true }));
  const ports = await freePorts();
  const here = (text: string): string =>
    [...ports].reduce((changed, [ofPage, free]) => changed.replaceAll(ofPage, free), text.replaceAll(keyspaces, join(directory, 'keyspaces.yaml')));
  await writeFile(join(directory, 'keyspaces.yaml'), here(await readFile(join(root, keyspaces), 'utf8')));
  const env = {
    OLD_PORT: here('6432'),
    NEW_PORT: here('6433'),
    CONSUL: here('http://127.0.0.1:8500'),
    SWITCHYARD_CONTROL: here('127.0.0.1:7201'),
    XDG_CONFIG_HOME: directory,
  };
  const servers = stack.use(new BashSession(root, env));
  const processes = stack.use(new BashSession(root, env));
  const operator = stack.use(new BashSession(root, { ...env, TMPDIR: directory }));

  const [up, start, ...rest] = examplesOf(await readFile(join(root, 'docs/sample-schema.md'), 'utf8'));
  expect(up?.command.trim()).toBe(foreground);
  const options = Object.entries(portOptions).map(([option, port]) => `${option} ${here(port)}`);
  await servers.run(`${foreground} ${options.join(' ')} &`, limitMs);
  await waitUntil('the servers', { limitMs, everyMs: 100, explain: () => servers.output }, async () => (servers.output.includes('Ctrl-C here') ? true : undefined));
  await processes.run(here(start?.command ?? ''), limitMs);

  let all = '';
  for (const { command, answer } of rest) {
    const printed = await operator.run(here(command), limitMs);
    expect([command, ...essence(printed)]).toEqual([command, ...essence(answer ?? '')]);
    all += printed;
  }
  expect(all.match(/: switched( after \d+ attempts)?$/gm)).toHaveLength(3);
  expect(all.match(/^jobs: (running|completed)/gm)?.at(-1)).toBe('jobs: completed');
  expect(all.match(/ rows( in \d partitions)?: equal$/gm)).toHaveLength(10);
  expect(all.match(/[1-9]\d* (differ|errors|faults)/gi)).toBeNull();
  // Thousands of rows, and hundreds of writes through all of it.
  expect(Number(/^10 tables, (\d+) rows$/m.exec(all)?.[1])).toBeGreaterThan(4_000);
  expect(Number(/^(\d+) writes/m.exec(all)?.[1])).toBeGreaterThan(200);
}, 900_000);

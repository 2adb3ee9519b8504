import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { workflowDocumentSchema } from '../../core/workflow-document.ts';
import { findConsul, findPostgres } from '../support/servers/debian.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { BashSession } from '../support/shell/bash-session.ts';
import { examplesOf, type PageExample } from '../support/shell/page-examples.ts';

/*
 * The pages, typed as they stand: every command in one bash for each terminal, which ends at the first that fails, and what is printed compared where the page says it. What a person waits for between terminals, the test waits
 * for too. Only `npm ci` is left out: the test runs from the folder that it would replace. The README's fixed ports must be free. Each test goes on where the one before it ended.
 */

const root = resolve(import.meta.dirname, '../..');
const readyLimitMs = 120_000;
const blockLimitMs = 300_000;
const testLimitMs = 900_000;
const foreground = 'npm run servers -- up';
const teller = 'node examples/first-move/teller.ts';
const toStop = 'kill $(jobs -p)';

const pageOf = (path: string): Promise<string> => readFile(join(root, path), 'utf8');

let readme: string;
let directory: string;
let env: Record<string, string>;
const terminals = new AsyncDisposableStack();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-docs-'));
  const [consul, postgres] = await Promise.all([findConsul(), findPostgres()]);
  // What a reader has installed, and an editor that leaves all as it is.
  env = { ...postgres.env, PATH: [dirname(consul), postgres.folder, process.env.PATH].join(':'), no_proxy: '*', VISUAL: '', EDITOR: 'true' };
  readme = await pageOf('README.md');
  const [start] = examplesOf(readme, 'Try it');
  expect(start?.command.trim().split('\n')).toEqual(['npm ci', foreground]);
  const first = openTerminal();
  await first.run(`${foreground} &`, blockLimitMs);
  await waitUntil('the servers', { limitMs: readyLimitMs, everyMs: 100, explain: () => first.output }, async () => (first.output.includes('Ctrl-C here') ? true : undefined));
}, readyLimitMs);

afterAll(async () => {
  await terminals.disposeAsync();
  await rm(directory, { recursive: true, force: true });
});

let opened = 0;
/** Opens a terminal in the checkout, with contexts of its own. The last one that was opened is closed first. */
function openTerminal(): BashSession {
  opened += 1;
  return terminals.use(new BashSession(root, { ...env, XDG_CONFIG_HOME: join(directory, `config-${opened}`) }));
}

async function type(terminal: BashSession, examples: readonly PageExample[]): Promise<string> {
  let text = '';
  for (const { command, answer } of examples) {
    const printed = await terminal.run(command, blockLimitMs);
    if (answer !== null) expect(`${command}${printed.trim()}`).toBe(`${command}${answer.trim()}`);
    text += printed;
  }
  return text;
}

let processes: BashSession;
let operator: BashSession;

test(
  "the README's first move, and the flip by plain Consul",
  async () => {
    const [second, stores, ...moves] = examplesOf(readme, 'Try it').slice(1);
    expect(moves.length).toBeGreaterThanOrEqual(3);
    for (const part of [teller, toStop]) expect(readme).toContain(part);

    processes = openTerminal();
    await processes.run(second?.command ?? '', blockLimitMs);
    operator = openTerminal();
    await operator.run('. examples/first-move/env; until switchyard gateways 2>/dev/null | grep -q gateway-2; do sleep 0.2; done', blockLimitMs);
    await type(operator, stores === undefined ? [] : [stores]);
    const calls = openTerminal();
    await calls.run(`. examples/first-move/env; ${teller} > ${directory}/teller 2>&1 &`, blockLimitMs);

    const ending = moves.at(-1);
    let text = await type(operator, moves.slice(0, -1));
    // The page's flip leads back; once more with the other word, and the tables are where the README goes on.
    const flip = examplesOf(await pageOf('docs/operations.md'), 'The flip by plain Consul');
    for (const [want, keyspace] of [
      ['source', 'old'],
      ['target', 'new'],
    ] as const) {
      await operator.run(`cd ${directory}`, blockLimitMs);
      await type(
        operator,
        flip.map(({ command }) => ({ command: command.replace('want=source', `want=${want}`), answer: null })),
      );
      await operator.run(`cd ${root}; until switchyard movetables status first-move | grep -q 'pgbench_accounts *${keyspace} *OPEN'; do sleep 0.2; done`, blockLimitMs);
      await operator.run(`until switchyard movetables status first-move | grep -q '^first-move: ${want === 'target' ? 'switched' : 'running'}'; do sleep 0.2; done`, blockLimitMs);
    }
    text += await type(operator, ending === undefined ? [] : [ending]);
    await new Promise((done) => setTimeout(done, 1_500));

    expect(text).toMatch(/no difference/);
    expect(text.match(/: switched/g)?.length).toBeGreaterThanOrEqual(3);
    expect(text).toMatch(/first-move: completed/);
    await expectEndState();
    await expectUndisturbedTeller();
  },
  testLimitMs,
);

test(
  'docs/data-api.md, docs/types.md and docs/cli.md',
  async () => {
    for (const page of ['docs/data-api.md', 'docs/types.md', 'docs/cli.md']) await type(operator, examplesOf(await pageOf(page)));
    await processes.run(`${toStop}; wait`, blockLimitMs);
  },
  testLimitMs,
);

test(
  'docs/first-move.md: own stores, from nothing to the end',
  async () => {
    const terminal = openTerminal();
    const text = await type(terminal, examplesOf(await pageOf('docs/first-move.md')));
    expect(text).not.toMatch(/^FAULT/m);
    for (const part of ['the checks passed', 'orders-move: completed', 'notes-move: completed']) expect(text).toContain(part);
    expect(text.match(/no difference/g)?.length).toBeGreaterThanOrEqual(4);
    await terminal.run(`${toStop}; wait`, blockLimitMs);
  },
  testLimitMs,
);

async function expectEndState(): Promise<void> {
  const document = workflowDocumentSchema.parse(JSON.parse(await operator.run('npm run -s servers -- consul kv get switchyard/default/workflows/first-move', blockLimitMs)));
  expect(document.state).toBe('completed');
  const states = "SELECT string_agg(state, ',') FROM (SELECT DISTINCT state FROM switchyard.fence) AS f";
  const stateIn = async (admin: string): Promise<string> => (await operator.run(`npm run -s servers -- psql -qAt -c ${quoted(states)} $${admin}`, blockLimitMs)).trim();
  expect(await stateIn('OLD_ADMIN')).toBe('CLOSED');
  expect(await stateIn('NEW_ADMIN')).toBe('OPEN');
}

/** The small service called on all the while, and no call of it failed. */
async function expectUndisturbedTeller(): Promise<void> {
  const lines = (await readFile(join(directory, 'teller'), 'utf8')).trim().split('\n');
  expect(lines.filter((line) => !/^\S+ {2}\d+ calls {2}0 errors {2}slowest/.test(line))).toEqual([]);
  expect(lines.length).toBeGreaterThan(3);
}

const quoted = (text: string): string => `"${text}"`;

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { workflowDocumentSchema } from '../../core/workflow-document.ts';
import { BashSession } from '../support/shell/bash-session.ts';
import { shellBlocks } from '../support/shell/readme-blocks.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * The README's first page, typed as it stands: every command of "Try it" in one bash, which ends at the first that fails. What a person waits for between terminals, the test waits for too. Only `npm ci` is left out: the test
 * runs from the folder that it would replace. The page's fixed ports must be free.
 */

const root = resolve(import.meta.dirname, '../..');
const readyLimitMs = 120_000;
const blockLimitMs = 180_000;
const foreground = 'npm run servers -- up';
const teller = 'node examples/first-move/teller.ts';

let bash: BashSession;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-readme-'));
  bash = new BashSession(root);
});

afterAll(async () => {
  await bash?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const untilPrinted = (text: string): Promise<true> =>
  waitUntil(`"${text}" printed`, { limitMs: readyLimitMs, everyMs: 100, explain: () => bash.output }, async () => (bash.output.includes(text) ? true : undefined));

/** Waits until control answers and both gateways apply rules that they may be told of later. */
const untilServing = (): Promise<string> => bash.run('until switchyard gateways 2>/dev/null | grep -q gateway-2; do sleep 0.2; done', blockLimitMs);

test('a first move, command by command', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [servers = '', processes = '', ...rest] = shellBlocks(readme, 'Try it');
  expect(servers.trim().split('\n')).toEqual(['npm ci', foreground]);
  expect(rest.length).toBeGreaterThanOrEqual(4);
  expect(readme).toContain(teller);

  await bash.run(`${foreground} > ${directory}/servers 2>&1 &\ntail -F ${directory}/servers 2>/dev/null &`, blockLimitMs);
  await untilPrinted('Ctrl-C here');
  // Their logs are for the person in front of that terminal.
  await bash.run(processes.replaceAll(/ &$/gm, ` 2>> ${directory}/processes &`), blockLimitMs);
  await untilServing();

  const [stores = '', ...moves] = rest;
  await bash.run(stores, blockLimitMs);
  await bash.run(`${teller} > ${directory}/teller 2>&1 &`, blockLimitMs);
  const printed = [];
  for (const block of moves) printed.push(await bash.run(block, blockLimitMs));
  await new Promise((done) => setTimeout(done, 1_500));

  const text = printed.join('');
  expect(text).toMatch(/no difference/);
  expect(text.match(/: switched/g)?.length).toBeGreaterThanOrEqual(3);
  expect(text).toMatch(/first-move: completed/);
  await expectEndState();
  await expectUndisturbedTeller();
}, 600_000);

async function expectEndState(): Promise<void> {
  const document = workflowDocumentSchema.parse(JSON.parse(await bash.run('npm run -s servers -- consul kv get switchyard/default/workflows/first-move', blockLimitMs)));
  expect(document.state).toBe('completed');
  const states = "SELECT string_agg(state, ',') FROM (SELECT DISTINCT state FROM switchyard.fence) AS f";
  const stateIn = async (admin: string): Promise<string> => (await bash.run(`npm run -s servers -- psql -qAt -c ${quoted(states)} $${admin}`, blockLimitMs)).trim();
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

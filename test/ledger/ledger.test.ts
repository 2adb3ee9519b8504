import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flowLimitMs } from '../fault/flow.ts';
import { codeState } from './fingerprint.ts';
import { ledgerFile, openLedger, readLedger } from './ledger.ts';
import { hasFailed, readResults, renderResults } from './results.ts';
import { plainFlowLimitMs } from './wording.ts';

let root: string;
const git = (...args: readonly string[]): string =>
  execFileSync('git', ['-C', root, '-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-ledger-'));
  for (const folder of ['core', 'gateway']) await mkdir(join(root, folder));
  await writeFile(join(root, 'core/a.ts'), 'a\n');
  await writeFile(join(root, 'core/a.test.ts'), 'test of a\n');
  await writeFile(join(root, 'gateway/b.ts'), 'b\n');
  await writeFile(join(root, '.gitignore'), '*.log\n');
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the state of the code', () => {
  const state = async (): Promise<string> => (await codeState(root, ['core'])).fingerprint;

  test('is of the contents, whatever is committed', async () => {
    const clean = await state();
    await writeFile(join(root, 'core/a.ts'), 'changed\n');
    const changed = await state();
    expect(changed).not.toBe(clean);
    git('commit', '-qam', 'second');
    expect(await state()).toBe(changed);
    await writeFile(join(root, 'core/a.ts'), 'a\n');
    expect(await state()).toBe(clean);
  });

  test('changes with a new file, a deleted one and another name', async () => {
    const seen = new Set([await state()]);
    await writeFile(join(root, 'core/new.ts'), 'new\n');
    seen.add(await state());
    await rm(join(root, 'core/new.ts'));
    git('mv', 'core/a.ts', 'core/c.ts');
    seen.add(await state());
    expect(seen.size).toBe(3);
  });

  test('does not change with what runs neither do nor exercise', async () => {
    const before = await state();
    await writeFile(join(root, 'core/a.test.ts'), 'another test\n');
    await writeFile(join(root, 'core/run.log'), 'ignored\n');
    await writeFile(join(root, 'gateway/b.ts'), 'outside of the paths\n');
    expect(await state()).toBe(before);
  });

  test('is refused for a path that is not there', async () => {
    await expect(codeState(root, ['core', 'corr'])).rejects.toThrow('there is no code under "corr"');
  });
});

describe('a ledger', () => {
  const open = () => openLedger('simulation', ['core'], root);

  test('goes on where another process stopped, until the code changes', async () => {
    const first = await open();
    await first.append({ subject: 'pairs', seeds: { first: 0, count: 5 }, outcome: 'passed', figures: { operations: 10 } });
    const second = await open();
    expect(await second.current()).toMatchObject([{ kind: 'simulation', commit: git('rev-parse', 'HEAD').trim(), dirty: false, subject: 'pairs', seeds: { first: 0, count: 5 } }]);
    await writeFile(join(root, 'core/a.ts'), 'changed\n');
    const third = await open();
    expect(await third.current()).toEqual([]);
    expect(await third.append({ subject: 'pairs', outcome: 'passed' })).toMatchObject({ dirty: true, figures: {} });
    await writeFile(join(root, 'core/a.ts'), 'a\n');
    expect(await (await open()).current()).toHaveLength(1);
  });

  test('takes nothing of code that changed while it was run', async () => {
    const ledger = await open();
    await writeFile(join(root, 'core/a.ts'), 'changed\n');
    await expect(ledger.append({ subject: 'pairs', outcome: 'passed' })).rejects.toThrow('code has changed while it was run: core');
    expect((await readLedger('simulation', root)).entries).toEqual([]);
  });

  test('loses nothing to a line that was cut off', async () => {
    const ledger = await open();
    await ledger.append({ subject: 'one', outcome: 'passed' });
    await appendFile(ledgerFile('simulation', root), '{"kind":"simulation","at"');
    await ledger.append({ subject: 'two', outcome: 'failed' });
    const { entries, unreadable } = await readLedger('simulation', root);
    expect({ subjects: entries.map(({ subject }) => subject), unreadable }).toEqual({ subjects: ['one', 'two'], unreadable: 1 });
    expect((await readFile(ledgerFile('simulation', root), 'utf8')).split('\n')).toHaveLength(4);
  });

  test('refuses what it could not read again', async () => {
    const ledger = await open();
    await expect(ledger.append({ subject: 'none', seeds: { first: 0, count: 0 }, outcome: 'passed' })).rejects.toThrow('no entry');
  });
});

test('what counts today is told from what was run on other code', async () => {
  const ledger = await openLedger('fault', ['core', 'gateway'], root);
  await ledger.append({ subject: 'pairs', minutes: 3, outcome: 'failed' });
  const models = await openLedger('model', ['core'], root);
  await models.append({ subject: 'fence', outcome: 'passed' });
  await (await openLedger('model', ['core', 'gateway'], root)).append({ subject: 'marker', outcome: 'passed' });
  await writeFile(join(root, 'gateway/b.ts'), 'changed\n');
  const results = await readResults(root);
  expect(results).toMatchObject([
    { kind: 'model', current: [{ subject: 'fence', failed: 0 }], stale: [{ subject: 'marker' }] },
    { kind: 'simulation', current: [], stale: [] },
    { kind: 'fault', current: [], stale: [{ subject: 'pairs', failed: 1 }] },
  ]);
  const text = renderResults(results);
  expect(text).toContain('model: passed, 1 subject in 1 run; 1 subject of code that has changed since\n');
  expect(text).toContain('simulation: nothing has been run');
  expect(text).toContain('fault: nothing counts: the code has changed since all of it');
  expect(hasFailed(results)).toBe(false);

  await models.append({ subject: 'fence', outcome: 'failed' });
  const failed = await readResults(root);
  expect(renderResults(failed)).toContain('model: FAILED, 1 subject in 2 runs, 1 of which failed; ');
  expect(hasFailed(failed)).toBe(true);
});

test('the results know the limit of a fault run', () => expect(plainFlowLimitMs).toBe(flowLimitMs));

test('the results say where times are no evidence', async () => {
  const ledger = await openLedger('fault', ['core'], root);
  const append = (subject: string, slowdown: number, longestWithoutFlowMs: number) =>
    ledger.append({ subject, seeds: { first: 0, count: 1 }, minutes: 3, outcome: 'passed', figures: { slowdown, longestWithoutFlowMs } });
  for (const slowdown of [3.5, 1.2]) await append('pairs', slowdown, plainFlowLimitMs + 1);
  await append('alone', 2, plainFlowLimitMs + 1);
  await append('kept all the same', 7, plainFlowLimitMs);
  const text = renderResults(await readResults(root));
  expect(text).toContain('fault: passed, 3 subjects in 4 runs, 3 seeds, 12 minutes\npairs: passed, but the machine was up to 3.5 times slower: its times are no evidence\n┌');
});

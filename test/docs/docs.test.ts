import { expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import { decodeKeyspace } from '../../control/services/decode-keyspace.ts';
import { KeyspaceSchema } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { examplesOf, testsOfPages } from '../support/shell/page-examples.ts';
import { configurationPage } from './configuration-page.ts';
import { errorsPage } from './errors-page.ts';

const root = join(import.meta.dirname, '../..');

test('docs/errors.md is what the catalogue says', async () => {
  expect(await readFile(join(root, 'docs/errors.md'), 'utf8')).toBe(errorsPage());
});

test('docs/configuration.md is what the schemas say', async () => {
  expect(await readFile(join(root, 'docs/configuration.md'), 'utf8')).toBe(configurationPage());
});

const pageNames = ['README.md', ...(await readdir(join(root, 'docs'), { recursive: true })).filter((file) => file.endsWith('.md')).map((file) => join('docs', file))];
const pages = await Promise.all(pageNames.map(async (page) => ({ page, text: await readFile(join(root, page), 'utf8') })));

test('links between pages lead somewhere', async () => {
  const broken: string[] = [];
  for (const { page, text } of pages) {
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) if (!existsSync(join(root, dirname(page), target))) broken.push(`${page}: ${target}`);
  }
  expect(broken).toEqual([]);
});

test('every page from which somebody can copy a command is run by a test', async () => {
  const withCommands = pages.filter(({ text }) => /^```(sh|bash|shell|console)$/m.test(text)).map(({ page }) => page);
  expect(withCommands.toSorted()).toEqual(Object.keys(testsOfPages).toSorted());
  for (const [page, file] of Object.entries(testsOfPages)) expect(await readFile(join(root, file), 'utf8')).toContain(page);
  // Commands have no other place than their fences.
  const indented = pages.flatMap(({ page, text }) => [...text.matchAll(/^ {4}(?:switchyard|consul|npm|npx|curl|psql|source) .*/gm)].map(([line]) => `${page}: ${line}`));
  expect(indented).toEqual([]);
});

test("the README's commands outside of its first move are those that other tests and CI run", async () => {
  const readme = pages.find(({ page }) => page === 'README.md')?.text ?? '';
  const all = examplesOf(readme).map(({ command }) => command);
  const tried = examplesOf(readme, 'Try it').map(({ command }) => command);
  expect(all.filter((command) => !tried.includes(command))).toEqual(['npm ci && npm run demo\n', 'npm ci && npm test\n']);
});

test('keyspaces are written as control reads them', async () => {
  const documents = pages
    .flatMap(({ text }) => [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, document = '']) => parse(document) as Readonly<Record<string, JsonValue>>))
    .filter((document) => 'shards' in document);
  expect(documents.length).toBeGreaterThanOrEqual(1);
  for (const document of documents) expect(() => decodeKeyspace(fromJson(KeyspaceSchema, document))).not.toThrow();
});

import { expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorsPage } from './errors-page.ts';

const root = join(import.meta.dirname, '../..');

test('docs/errors.md is what the catalogue says', async () => {
  expect(await readFile(join(root, 'docs/errors.md'), 'utf8')).toBe(errorsPage());
});

test('links between pages lead somewhere', async () => {
  const pages = ['README.md', ...(await readdir(join(root, 'docs'), { recursive: true })).filter((file) => file.endsWith('.md')).map((file) => join('docs', file))];
  const broken: string[] = [];
  for (const page of pages) {
    const text = await readFile(join(root, page), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) if (!existsSync(join(root, dirname(page), target))) broken.push(`${page}: ${target}`);
  }
  expect(broken).toEqual([]);
});

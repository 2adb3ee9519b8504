import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { ConfigError, loadConfig } from './config-file.ts';

const schema = z.strictObject({ name: z.string() });

async function load(content: string): Promise<unknown> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-config-'));
  try {
    const path = join(directory, 'config.yaml');
    await writeFile(path, content);
    return await loadConfig(path, schema);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('a file that no person wrote is refused at once: reading 200 KB of broken YAML would take minutes', async () => {
  const startedAt = performance.now();
  await expect(load(`{"r,${'"requestId,'.repeat(20_000)}`)).rejects.toThrow(ConfigError);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(await load(`name: x\n${'# a comment\n'.repeat(2_000)}`)).toEqual({ name: 'x' });
});

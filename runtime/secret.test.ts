import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { resolveSecret } from './secret.ts';

const resolve = (reference: string) => resolveSecret(reference, { env: { SHOP: 'from the environment' }, what: 'the password', process: 'control "c1"' });
const refused = (message: RegExp) => expect.objectContaining({ reason: 'KEYSPACE_INVALID', message: expect.stringMatching(message) });

test('a secret comes from the environment or a file, whose trailing newline is none of it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-secret-'));
  try {
    const path = join(directory, 'secret');
    await writeFile(path, 'of a file\n');
    expect([await resolve('env:SHOP'), await resolve(`file:${path}`)]).toEqual(['from the environment', 'of a file']);
    await writeFile(path, 'x'.repeat(64 * 1024 + 1));
    await expect(resolve(`file:${path}`)).rejects.toEqual(refused(/ordinary file of at most 64 KiB/));
    await expect(resolve(`file:${directory}`)).rejects.toEqual(refused(/ordinary file/));
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('what is missing is named, and what never ends is not begun with', async () => {
  await expect(resolve('env:NONE')).rejects.toEqual(refused(/the password is env:NONE, and control "c1" has no such environment variable/));
  await expect(resolve('file:/nowhere/secret')).rejects.toEqual(refused(/cannot read that file/));
  for (const path of ['/dev/null', '/dev/zero']) await expect(resolve(`file:${path}`)).rejects.toEqual(refused(/ordinary file/));
});

import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const folder = join(import.meta.dirname, 'corpus');

export interface CorpusEntry {
  readonly file: string;
  readonly input: Buffer;
}

/** The inputs that are kept for a target, in order of name: each once led to a finding, or is a way into the format that generation does not find. */
export async function readCorpus(target: string): Promise<readonly CorpusEntry[]> {
  const names = await readdir(join(folder, target)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return Promise.all(names.toSorted().map(async (name) => ({ file: join('test/fuzz/corpus', target, name), input: await readFile(join(folder, target, name)) })));
}

/** Keeps an input and returns its path from the project's root. */
export async function keepInput(target: string, label: string, input: Buffer): Promise<string> {
  const name = `${label}-${createHash('sha256').update(input).digest('hex').slice(0, 8)}`;
  await mkdir(join(folder, target), { recursive: true });
  await writeFile(join(folder, target, name), input);
  return join('test/fuzz/corpus', target, name);
}

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RulesDisk } from './saved-rules.ts';

const fileName = 'last-good-rules.json';

/** The disk as a file in this directory, which is made with the first write. */
export function rulesDirectory(directory: string): RulesDisk {
  const path = join(directory, fileName);
  return {
    async read() {
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
        throw error;
      }
    },
    async write(text) {
      await mkdir(directory, { recursive: true });
      await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
      await rename(`${path}.new`, path);
    },
  };
}

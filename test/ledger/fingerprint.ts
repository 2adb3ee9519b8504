import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A state of some of the repository's files, as they lie in the work tree. */
export interface CodeState {
  /** Folders and files, from the repository's root, whose contents the fingerprint is of. */
  readonly paths: readonly string[];
  /** The same for the same contents under the same names, wherever and whenever. */
  readonly fingerprint: string;
}

/** Where the work tree came from. */
export interface Origin {
  readonly commit: string;
  /** Some of the paths differ from the commit. */
  readonly dirty: boolean;
}

// Neither decides what a run does.
const isBesideTheCode = (file: string): boolean => file.endsWith('.test.ts') || file.endsWith('.md');

async function git(root: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', root, ...args], { maxBuffer: 64 << 20 });
  return stdout;
}

/**
 * Reads every file under `paths` that git tracks or would track, but for unit tests and pages. Uncommitted changes count: what runs is the work tree. Rejects for a path under which there is nothing, and outside of a repository.
 */
export async function codeState(root: string, paths: readonly string[]): Promise<CodeState> {
  const sorted = [...new Set(paths)].sort();
  const hash = createHash('sha256');
  for (const path of sorted) {
    const listed = await git(root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', path);
    // While a merge is undecided git lists a file once for each side.
    const files = [...new Set(listed.split('\0'))].filter((file) => file !== '' && !isBesideTheCode(file)).sort();
    let present = 0;
    for (const file of files) {
      const content = await contentOf(join(root, file));
      if (content === null) continue;
      present += 1;
      hash.update(`${file}\0${content.length}\0`).update(content);
    }
    if (present === 0) throw new Error(`there is no code under "${path}"`);
  }
  return { paths: sorted, fingerprint: hash.digest('hex').slice(0, 16) };
}

/** Null for a file that is tracked and deleted. */
async function contentOf(file: string): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The commit that is checked out, and whether `paths` are as they are in it. */
export async function originOf(root: string, paths: readonly string[]): Promise<Origin> {
  const [commit, changed] = await Promise.all([git(root, 'rev-parse', 'HEAD'), git(root, 'status', '--porcelain', '--untracked-files=all', '--', ...paths)]);
  return { commit: commit.trim(), dirty: changed.trim() !== '' };
}

import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/* `npm run lint`: everything about the sources that needs no server. Prints one line a check and what is wrong. */

const root = join(import.meta.dirname, '../..');

function run(command: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(join(root, 'node_modules/.bin', command), args, { cwd: root, timeout: 120_000, maxBuffer: 16 << 20 }, (error, stdout, stderr) =>
      resolve(error === null ? null : `${stdout}${stderr}` || error.message),
    );
  });
}

async function treeOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [file.slice(folder.length + 1), await readFile(file, 'utf8')] as const)));
}

/** Null when `gen/` is what buf makes of `proto/` now, else what differs. */
async function staleGenerated(): Promise<string | null> {
  const fresh = await mkdtemp(join(tmpdir(), 'switchyard-gen-'));
  try {
    const failure = await run('buf', ['generate', '--output', fresh]);
    if (failure !== null) return failure;
    const [made, committed] = await Promise.all([treeOf(join(fresh, 'gen')), treeOf(join(root, 'gen'))]);
    const different = [...new Set([...made.keys(), ...committed.keys()])].filter((file) => made.get(file) !== committed.get(file));
    return different.length === 0 ? null : `gen/ is not what buf makes of proto/ now; run: npm run build:proto\n${different.map((file) => `  gen/${file}`).join('\n')}`;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

const checks: readonly (readonly [name: string, check: () => Promise<string | null>])[] = [
  ['biome (format, lint, import rules)', () => run('biome', ['ci', '--colors=off', '.'])],
  ['buf lint', () => run('buf', ['lint'])],
  ['buf format', () => run('buf', ['format', '--diff', '--exit-code', 'proto'])],
  ['gen/ is current', staleGenerated],
];

const results = await Promise.all(checks.map(async ([name, check]) => ({ name, failure: await check() })));
for (const { name, failure } of results) console.log(failure === null ? `ok    ${name}` : `FAIL  ${name}\n${failure}`);
if (results.some(({ failure }) => failure !== null)) process.exitCode = 1;

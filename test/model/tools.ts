import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian packages with what a search is made with. */
const packages = ['spin', 'gcc', 'libc6-dev'];
const installLimitMs = 300_000;

const works = async (command: string, ...args: readonly string[]): Promise<boolean> => {
  try {
    await run(command, args);
    return true;
  } catch {
    return false;
  }
};

const areThere = async (): Promise<boolean> => (await works('spin', '-V')) && (await works('gcc', '--version'));

/** Sees to it that Spin and a C compiler are there: installs Debian's packages where this process may. Rejects with what to type where it may not. */
export async function requireTools(isRoot: boolean, say: (line: string) => void): Promise<void> {
  if (await areThere()) return;
  const hint = `the models need Spin and a C compiler: apt-get install ${packages.join(' ')}`;
  if (!isRoot || !(await works('apt-get', '--version'))) throw new Error(hint);
  say(`installing ${packages.join(', ')}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update', '-q'], { timeout: installLimitMs }).catch(() => undefined); // the lists that are there may do
    await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], { timeout: installLimitMs, maxBuffer: 16 << 20, env: environment });
  } catch (error) {
    throw new Error(`${hint} (${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)})`);
  }
  if (!(await areThere())) throw new Error(hint);
}

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, hostname, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { systemClock } from '../runtime/clock.ts';
import type { EditedText, Io } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { runCommandLine } from './program.ts';

const interrupt = new AbortController();

const root = join(import.meta.dirname, '..');
const mains = { gateway: 'gateway/main.ts', control: 'control/main.ts', topology: 'topo/embedded/main.ts', demo: 'test/demo/main.ts' } as const;

async function runProcess(name: keyof typeof mains, args: readonly string[]): Promise<number> {
  const main = join(root, mains[name]);
  if (!existsSync(main))
    throw new SwitchyardError(
      'ARGUMENT_INVALID',
      `${main} is not there: this command needs a checkout of the sources; clone the repository, run "npm ci" in it and use its cli/bin/switchyard`,
    );
  // A young generation that holds all calls under way: fewer collections, and those that there are copy less.
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=32', main, ...args], { stdio: 'inherit' });
  process.removeAllListeners('SIGINT');
  // The terminal sends Ctrl-C to the child as well, and a second one ends what still drains; here it only must not end the parent first. The demo takes many for one.
  process.on('SIGINT', () => name === 'demo' && child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** A file that a person has named, "-" for stdin. ARGUMENT_INVALID when it cannot be read. */
async function readGiven(path: string): Promise<string> {
  try {
    return path === '-' ? await text(process.stdin) : await readFile(path, 'utf8');
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Runs the person's editor over a file of its own, which is gone afterwards unless it is kept. */
async function edit(before: string, name: string): Promise<EditedText> {
  const editor = [process.env.VISUAL, process.env.EDITOR].find((name) => name !== undefined && name !== '');
  if (editor === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'there is no editor: set EDITOR, or change a file and use `rules apply -f FILE`');
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-edit-'));
  const path = join(directory, name);
  await writeFile(path, before);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      // By the shell, as git does: "code --wait" is an editor too. The path is an argument of its own.
      const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' });
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new SwitchyardError('ARGUMENT_INVALID', `the editor "${editor}" ended with ${code ?? 'a signal'}; nothing was changed`);
    const after = await readFile(path, 'utf8');
    return {
      text: after,
      path,
      keep: async () => {
        await mkdir(directory, { recursive: true });
        await writeFile(path, after);
      },
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const configHome = process.env.XDG_CONFIG_HOME ?? '';
const settingsPath = join(configHome === '' ? join(homedir(), '.config') : configHome, 'switchyard', 'contexts.yaml');
/** Watches end by themselves at Ctrl-C; whatever else is waited for is left. */
const interruptedLimitMs = 300;

function person(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `someone@${hostname()}`; // a user id without a name
  }
}

/** The person's settings; null when there are none yet. */
async function readSettings(): Promise<string | null> {
  try {
    return await readFile(settingsPath, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new SwitchyardError('ARGUMENT_INVALID', `${settingsPath} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function writeSettings(given: string): Promise<void> {
  await mkdir(dirname(settingsPath), { recursive: true });
  await writeFile(settingsPath, given, { mode: 0o600 });
}

// Who reads the output may have seen enough (`| head`): that ends the command as SIGPIPE ends others, without a word. Nobody reads the progress on stderr: the work goes on.
process.stdout.on('error', (error) => {
  if (!('code' in error) || error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.closedPipe);
});
process.stderr.on('error', () => undefined);

const io: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  person: person(),
  terminal: process.stderr.isTTY === true,
  readFile: readGiven,
  edit,
  settings: { path: settingsPath, read: readSettings, write: writeSettings },
  pause: (ms) => systemClock.sleep(ms, interrupt.signal).catch(() => undefined),
  runProcess,
  interrupted: interrupt.signal,
};

process.once('SIGINT', () => {
  process.exitCode = 130;
  interrupt.abort();
  systemClock.after(interruptedLimitMs, () => process.exit(130));
});
const code = await runCommandLine(process.argv.slice(2), io);
process.exitCode = interrupt.signal.aborted ? 130 : code;

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Io } from './context.ts';
import { runCommandLine } from './program.ts';

const interrupt = new AbortController();

const mains = { gateway: 'gateway/main.ts', control: 'control/main.ts', topology: 'topo/embedded/main.ts' } as const;

function runProcess(name: keyof typeof mains, args: readonly string[]): Promise<number> {
  // A young generation that holds all calls under way: fewer collections, and those that there are copy less.
  const child = spawn(process.execPath, ['--max-semi-space-size=32', join(import.meta.dirname, '..', mains[name]), ...args], { stdio: 'inherit' });
  process.removeAllListeners('SIGINT');
  // The terminal sends Ctrl-C to the child as well; here it only must not end the parent first.
  process.on('SIGINT', () => undefined);
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

const io: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  terminal: process.stderr.isTTY === true,
  readFile: readGiven,
  runProcess,
  interrupted: interrupt.signal,
};

process.once('SIGINT', () => {
  interrupt.abort();
  process.exitCode = 130;
});
process.exitCode = await runCommandLine(process.argv.slice(2), io);

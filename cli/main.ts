import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Io } from './context.ts';
import { runCommandLine } from './program.ts';

const interrupt = new AbortController();

function runProcess(name: 'gateway' | 'control', args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', name, 'main.ts'), ...args], { stdio: 'inherit' });
  process.removeAllListeners('SIGINT');
  // The terminal sends Ctrl-C to the child as well; here it only must not end the parent first.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

const io: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  terminal: process.stderr.isTTY === true,
  readFile: (path) => readFile(path === '-' ? '/dev/stdin' : path, 'utf8'),
  runProcess,
  interrupted: interrupt.signal,
};

process.once('SIGINT', () => {
  interrupt.abort();
  process.exitCode = 130;
});
process.exitCode = await runCommandLine(process.argv.slice(2), io);

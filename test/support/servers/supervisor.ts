// Runs as a process of its own between a test (or bench, or the sandbox) and one server. It is in another session than
// its starter, so that a Ctrl-C or a killed process group does not reach it, and it notices the end of the starter,
// however violent, by the end of the IPC channel. Then it kills the server and removes the server's directory.
// Should the supervisor itself be killed, the kernel signals the server (setpriv, Linux); the directory stays then.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SupervisorReport, SupervisorRequest, SupervisorSpec } from './supervisor-protocol.ts';

const GRACE_MS = 5_000;

const spec = JSON.parse(process.argv[2] ?? '') as SupervisorSpec;
const directory = mkdtempSync(join(spec.parentDirectory, spec.prefix));
if (spec.diskMiB !== undefined) mount(directory, spec.diskMiB);
if (spec.user !== undefined) chownSync(directory, spec.user.uid, spec.user.gid);

let server: ChildProcess | undefined;
let ending = false;

function report(message: SupervisorReport): void {
  // The starter may go away at any moment; its 'disconnect' says so and is where that is handled.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

function mount(folder: string, sizeMiB: number): void {
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'switchyard-test', folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`no disk of its own for ${folder}: ${stderr}`);
}

function hasSetpriv(): boolean {
  return spawnSync('setpriv', ['--help'], { encoding: 'utf8' }).stdout?.includes('--pdeathsig') ?? false;
}

/** The same command as a child of the right user that the kernel ends with this process, where the system can do so. */
function prepare(command: string, args: readonly string[]) {
  const { user } = spec;
  if (!hasSetpriv()) return { file: command, args, ids: user === undefined ? {} : { uid: user.uid, gid: user.gid } };
  const identity = user === undefined ? [] : ['--reuid', `${user.uid}`, '--regid', `${user.gid}`, '--clear-groups'];
  return { file: 'setpriv', args: [...identity, '--pdeathsig', spec.killSignal, '--', command, ...args], ids: {} };
}

function start(command: string, commandArgs: readonly string[], logFile: string): void {
  if (server !== undefined || ending) {
    report({ kind: 'refused', message: 'a server is still running' });
    return;
  }
  const { file, args, ids } = prepare(command, commandArgs);
  const log = openSync(logFile, 'a');
  const child = spawn(file, args, { cwd: directory, stdio: ['ignore', log, log], env: { ...process.env, LC_ALL: 'C' }, ...ids });
  closeSync(log);
  server = child;
  child.on('spawn', () => report({ kind: 'started', pid: child.pid ?? 0 }));
  child.on('error', (error) => {
    if (child.pid !== undefined) return; // a signal that could not be delivered: 'exit' tells the rest
    server = undefined;
    report({ kind: 'refused', message: error.message });
  });
  child.on('exit', (code, signal) => {
    server = undefined;
    report({ kind: 'exited', code, signal });
  });
}

async function kill(child: ChildProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  child.kill('SIGCONT'); // a paused process does not act on a signal
  child.kill(spec.killSignal);
  const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  await promise;
  clearTimeout(timer);
}

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  if (server !== undefined) await kill(server);
  if (spec.diskMiB !== undefined) spawnSync('umount', ['--lazy', directory]);
  // Retries: the server's own children may still be on their way out and hold or write a last file.
  await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  process.exit(0);
}

process.on('message', (request: SupervisorRequest) => {
  if (request.kind === 'start') start(request.command, request.args, request.logFile);
  else void end();
});
process.on('disconnect', () => void end());
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void end());

// The starter may have died while this file was being loaded, before anybody listened for it.
if (process.connected) report({ kind: 'ready', directory });
else void end();

import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

const main = resolve(import.meta.dirname, '../../../cli/main.ts');
const limitMs = 60_000;

export interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the real `switchyard` command in a process of its own; any exit code is an answer. Killed after a minute. `input` is its standard input. */
export const runSwitchyard = (control: string, args: readonly string[], input = ''): Promise<CommandResult> => runCommandLine(['--control', control, ...args], { input });

export interface CommandLineOptions {
  readonly input?: string;
  /** Beside what this process has; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Sent this signal once standard output has matched. */
  readonly stopAfter?: { readonly output: RegExp; readonly signal: NodeJS.Signals };
}

/** The same without the address of a control process. */
export function runCommandLine(args: readonly string[], { input = '', env, stopAfter }: CommandLineOptions = {}): Promise<CommandResult> {
  const { promise, resolve: answer, reject } = Promise.withResolvers<CommandResult>();
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    if (stopAfter?.output.test(out)) child.kill(stopAfter.signal);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  child.on('error', reject);
  child.on('close', (code) => answer({ code, out, err }));
  return promise;
}

import { spawn } from 'node:child_process';

export interface CommandOptions {
  /** Added to this process's environment. Passwords go here: arguments are visible to every user of the machine. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to the command's standard input, which is otherwise empty. */
  readonly input?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** After this the command is killed and the call rejects. Default 60 s. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const SHOWN_OF_STDERR = 2_000;

/**
 * Runs a program to its end and resolves to its standard output. No shell is involved, and the output is held in
 * memory. Rejects when the program cannot be started, ends with another code than 0, or outlives `timeoutMs`; the
 * error carries the end of its standard error.
 */
export function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const child = spawn(file, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-SHOWN_OF_STDERR);
  });
  // A program that ends before it has read its input is judged by its exit code, not by the broken pipe.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');

  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  child.on('error', (cause) => {
    clearTimeout(timer);
    reject(new Error(`cannot run ${file}: ${cause.message}`, { cause }));
  });
  child.on('close', (code, signal) => {
    clearTimeout(timer);
    if (code === 0) resolve(stdout);
    else {
      const end = timedOut ? `did not end within ${timeoutMs} ms` : `ended with ${signal ?? `code ${code}`}`;
      reject(new Error(`${file} ${end}: ${stderr.trim()}`));
    }
  });
  return promise;
}

import { type ChildProcess, fork } from 'node:child_process';
import { readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { SupervisorReport, SupervisorRequest, SupervisorSpec, UnixUser } from './supervisor-protocol.ts';
import { waitUntil } from './wait-until.ts';

const SUPERVISOR = fileURLToPath(new URL('./supervisor.ts', import.meta.url));
const ANSWER_LIMIT_MS = 20_000;
const SHOWN_OF_LOG = 3_000;

/** How a server's process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SupervisedOptions {
  /** Beginning of the directory's name under the system's folder for temporary files. */
  readonly prefix: string;
  readonly user?: UnixUser;
  readonly killSignal: NodeJS.Signals;
  /** The directory is a disk of its own of this size, in memory. For root on Linux. */
  readonly diskMiB?: number;
}

/**
 * One server's process and private directory, both of which end with this process, even when it is SIGKILLed.
 * The server can be started and ended any number of times, one run at a time; the directory lives until `dispose`.
 * It does not keep this process alive: a program that has nothing else to do ends, and the server with it.
 */
export class SupervisedProcess implements AsyncDisposable {
  readonly directory: string;
  readonly #supervisor: ChildProcess;
  #logFile: string | undefined;
  #pid: number | undefined;
  #refusal: string | undefined;
  #exit: ProcessExit | undefined;

  private constructor(supervisor: ChildProcess, directory: string) {
    this.#supervisor = supervisor;
    this.directory = directory;
    supervisor.on('message', (report: SupervisorReport) => this.#take(report));
    supervisor.on('exit', (code, signal) => {
      this.#pid = undefined;
      this.#exit ??= { code, signal };
    });
  }

  /** Starts the supervisor and makes the directory; no server yet. Rejects after 20 s. */
  static async open(options: SupervisedOptions): Promise<SupervisedProcess> {
    const { prefix, user, killSignal, diskMiB } = options;
    const spec: SupervisorSpec = { parentDirectory: tmpdir(), prefix, killSignal, ...(diskMiB === undefined ? {} : { diskMiB }), ...(user === undefined ? {} : { user }) };
    const supervisor = fork(SUPERVISOR, [JSON.stringify(spec)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let complaint = '';
    supervisor.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    let directory: string | undefined;
    supervisor.once('message', (report: SupervisorReport) => {
      if (report.kind === 'ready') directory = report.directory;
    });
    const explain = () => complaint;
    await waitUntil('the start of a supervisor', { limitMs: ANSWER_LIMIT_MS, everyMs: 5, explain }, async () => {
      if (supervisor.exitCode !== null) throw new Error(`the supervisor of a server ended at once: ${complaint}`);
      return directory;
    });
    supervisor.unref();
    supervisor.channel?.unref();
    // Only pipes of a child have unref, and the type of stderr does not say so.
    (supervisor.stderr as unknown as { unref(): void } | null)?.unref();
    return new SupervisedProcess(supervisor, directory ?? '');
  }

  /** The server's process id while it runs. */
  get pid(): number | undefined {
    return this.#pid;
  }

  get isRunning(): boolean {
    return this.#pid !== undefined;
  }

  /** Starts the server; its output is appended to `logFile`. Rejects when it runs already or cannot be started. */
  async start(command: string, args: readonly string[], logFile: string): Promise<void> {
    if (this.isRunning) throw new Error(`${command} is running already`);
    this.#logFile = logFile;
    this.#exit = undefined;
    this.#refusal = undefined;
    this.#send({ kind: 'start', command, args, logFile });
    await waitUntil(`the start of ${command}`, { limitMs: ANSWER_LIMIT_MS, everyMs: 2 }, async () => {
      if (this.#refusal !== undefined) throw new Error(`cannot start ${command}: ${this.#refusal}`);
      // It may have come and gone between two looks; the caller sees that when it waits for the server to be ready.
      return this.#pid ?? this.#exit;
    });
  }

  /** Sends a signal; a server that does not run is left alone. What it does may come a moment later: see `freeze`. */
  signal(signal: NodeJS.Signals): void {
    if (this.#pid === undefined) return;
    try {
      process.kill(this.#pid, signal);
    } catch (error) {
      // It has just ended, and the supervisor's word of that is on its way.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** SIGSTOP; resolves when all its threads have stopped, which the system tells later than it has taken the signal. */
  async freeze(): Promise<void> {
    this.signal('SIGSTOP');
    if (this.#pid !== undefined) await untilStopped(this.#pid);
  }

  /** Sends `signal` and waits for the end, with SIGKILL after `limitMs`. Resolves at once when nothing runs. */
  async stop(signal: NodeJS.Signals, limitMs: number): Promise<void> {
    this.signal(signal);
    try {
      await this.#waitForExit(limitMs);
    } catch {
      this.signal('SIGKILL');
      await this.#waitForExit(ANSWER_LIMIT_MS);
    }
  }

  /** Throws, with the end of the log, when the server has ended. For use while waiting for it to become ready. */
  async assertRunning(): Promise<void> {
    if (this.isRunning) return;
    const how = this.#exit === undefined ? 'is not running' : `ended with ${this.#exit.signal ?? `code ${this.#exit.code}`}`;
    throw new Error(`the server ${how}: ${await this.logTail()}`);
  }

  /** The last lines that the server wrote, or an empty text. */
  async logTail(): Promise<string> {
    if (this.#logFile === undefined) return '';
    const text = await readFile(this.#logFile, 'utf8').catch(() => '');
    return text.slice(-SHOWN_OF_LOG).trim();
  }

  /** Kills the server, removes the directory and waits until both are gone. Harmless when repeated. */
  async dispose(): Promise<void> {
    const isGone = () => this.#supervisor.exitCode !== null || this.#supervisor.signalCode !== null;
    if (!isGone() && this.#supervisor.connected) this.#send({ kind: 'end' });
    await waitUntil('the end of a supervisor', { limitMs: ANSWER_LIMIT_MS, everyMs: 5 }, async () => (isGone() ? true : undefined));
    // Still there when somebody killed the supervisor; the kernel has ended the server then.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #take(report: SupervisorReport): void {
    if (report.kind === 'started') this.#pid = report.pid;
    else if (report.kind === 'refused') this.#refusal = report.message;
    else if (report.kind === 'exited') {
      this.#pid = undefined;
      this.#exit = { code: report.code, signal: report.signal };
    }
  }

  #send(request: SupervisorRequest): void {
    if (!this.#supervisor.connected) throw new Error('the supervisor of this server is gone');
    this.#supervisor.send(request, () => {});
  }

  async #waitForExit(limitMs: number): Promise<void> {
    await waitUntil('the end of a server', { limitMs, everyMs: 5 }, async () => (this.isRunning ? undefined : true));
  }
}

/** Resolves when a process that was sent SIGSTOP stands still. */
export async function untilStopped(pid: number): Promise<void> {
  await waitUntil('a process that stands still', { limitMs: ANSWER_LIMIT_MS, everyMs: 1 }, async () => ((await hasStopped(pid)) ? true : undefined));
}

/** Whether every thread has stopped, or has ended. */
async function hasStopped(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const stateOf = (thread: string): Promise<string | undefined> =>
    readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8').then(
      (text) => /\) (.)/.exec(text)?.[1],
      () => 'Z',
    );
  return (await Promise.all(threads.map(stateOf))).every((state) => state === 'T' || state === 'Z');
}

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SupervisedProcess } from '../servers/supervised-process.ts';

const stopLimitMs = 15_000;

export interface ClusterProcessOptions {
  readonly name: string;
  /** Absolute path of the file that Node runs. */
  readonly main: string;
  /** Written as JSON, which is YAML, into a file of its own; the process is given `--config <file>`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly moreArguments?: readonly string[];
  /** "host:port" that it will serve on. */
  readonly address: string;
  readonly env: Readonly<Record<string, string>>;
  /** Default: a file in the process's own directory, which is removed with it. */
  readonly logFile?: string;
}

/** One gateway or control process: the real `main.ts` in a real process, which ends with this one however this one ends. */
export class ClusterProcess implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly logFile: string;
  readonly #process: SupervisedProcess;
  readonly #command: readonly string[];

  private constructor(options: ClusterProcessOptions, process: SupervisedProcess, configFile: string) {
    this.name = options.name;
    this.address = options.address;
    this.logFile = options.logFile ?? join(process.directory, 'log');
    this.#process = process;
    const env = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
    this.#command = [
      ...env,
      nodeBinary,
      '--disable-warning=ExperimentalWarning',
      '--max-semi-space-size=32',
      options.main,
      '--config',
      configFile,
      ...(options.moreArguments ?? []),
    ];
  }

  /** Makes the process's directory and starts it; it may not serve yet. */
  static async start(options: ClusterProcessOptions): Promise<ClusterProcess> {
    const supervised = await SupervisedProcess.open({ prefix: `switchyard-${options.name}-`, killSignal: 'SIGKILL' });
    const configFile = join(supervised.directory, 'config.yaml');
    await writeFile(configFile, JSON.stringify(options.config, null, 2));
    const started = new ClusterProcess(options, supervised, configFile);
    await started.start();
    return started;
  }

  /** 0 while it does not run. */
  get processId(): number {
    return this.#process.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  /** Starts it again with the same configuration and address. */
  async start(): Promise<void> {
    await this.#process.start('env', this.#command, this.logFile);
  }

  /** SIGTERM, and SIGKILL when it has not ended after 15 s. */
  async terminate(): Promise<void> {
    await this.#process.stop('SIGTERM', stopLimitMs);
  }

  /** SIGKILL; resolves when it is gone. Works on a paused one too. */
  async kill(): Promise<void> {
    await this.#process.stop('SIGKILL', stopLimitMs);
  }

  /** SIGSTOP: its connections stay and nothing answers. */
  pause(): Promise<void> {
    return this.#process.freeze();
  }

  /** SIGCONT. */
  resume(): void {
    this.#process.signal('SIGCONT');
  }

  /** Throws, with the log's end, when it has ended. */
  assertRunning(): Promise<void> {
    return this.#process.assertRunning();
  }

  logTail(): Promise<string> {
    return this.#process.logTail();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.dispose();
  }
}

const nodeBinary = process.execPath;

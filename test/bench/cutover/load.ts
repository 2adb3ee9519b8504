import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type LoadPlan, type LoadProgress, type LoadReport, type LoadRequest, noProgress } from './load-protocol.ts';
import type { LoadRecord } from './load-record.ts';

const worker = fileURLToPath(new URL('./load-worker.ts', import.meta.url));
const answerLimitMs = 60_000;

/** The clients of a bench in a process of their own, which ends with this one. */
export class Load implements AsyncDisposable {
  readonly #child: ChildProcess;
  #progress: LoadProgress = noProgress;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (report: LoadReport) => {
      if (report.kind === 'progress') this.#progress = report.progress;
    });
  }

  /** Connects to every gateway, once; nothing is sent yet. */
  static async connect(plan: LoadPlan): Promise<Load> {
    const load = new Load(fork(worker, [], { serialization: 'advanced', execArgv: ['--disable-warning=ExperimentalWarning'] }));
    await load.#ask({ kind: 'connect', plan }, 'connected');
    return load;
  }

  /** As of at most half a second ago. */
  get progress(): LoadProgress {
    return this.#progress;
  }

  run(): void {
    this.#send({ kind: 'run' });
  }

  /** Ends the load; resolves, when every call has ended, to all that the clients know. */
  async finish(): Promise<LoadRecord> {
    const report = await this.#ask({ kind: 'stop' }, 'record');
    return report.record;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
  }

  #send(request: LoadRequest): void {
    this.#child.send(request);
  }

  #ask<K extends LoadReport['kind']>(request: LoadRequest, kind: K): Promise<Extract<LoadReport, { kind: K }>> {
    const { promise, resolve, reject } = Promise.withResolvers<Extract<LoadReport, { kind: K }>>();
    const onMessage = (report: LoadReport): void => {
      if (report.kind === kind) resolve(report as Extract<LoadReport, { kind: K }>);
    };
    const onExit = (code: number | null): void => reject(new Error(`the clients' process ended with ${code} before it was ${kind}`));
    const timer = setTimeout(() => reject(new Error(`the clients' process was not ${kind} within ${answerLimitMs} ms`)), answerLimitMs);
    this.#child.on('message', onMessage);
    this.#child.on('exit', onExit);
    this.#send(request);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#child.off('message', onMessage);
      this.#child.off('exit', onExit);
    });
  }
}

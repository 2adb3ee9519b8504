import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Measured } from '../overhead/measure.ts';
import type { Subject } from '../overhead/subjects.ts';
import type { DirectRequest } from './direct-worker.ts';

/** The direct driver in a process of its own. */
export class Direct implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(options: Omit<Extract<DirectRequest, { kind: 'open' }>, 'kind'>): Promise<Direct> {
    const direct = new Direct(fork(fileURLToPath(new URL('./direct-worker.ts', import.meta.url)), [], { execArgv: ['--disable-warning=ExperimentalWarning'] }));
    await direct.#ask({ kind: 'open', ...options });
    return direct;
  }

  get processId(): number {
    return this.#child.pid ?? 0;
  }

  get subject(): Subject {
    const refuse = (): Promise<never> => Promise.reject(new Error('the direct driver measures by itself'));
    return {
      name: 'pg',
      operations: { get: refuse, insert: refuse },
      measure: async (operation, concurrency, milliseconds) => (await this.#ask({ kind: 'measure', operation, concurrency, milliseconds })) as Measured,
      async [Symbol.asyncDispose]() {},
    };
  }

  async stream(url: string, text: string): Promise<{ readonly rows: number; readonly seconds: number }> {
    return (await this.#ask({ kind: 'stream', url, text })) as { readonly rows: number; readonly seconds: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
  }

  async #ask(request: DirectRequest): Promise<unknown> {
    const answered = once(this.#child, 'message');
    this.#child.send(request);
    const [{ result, error }] = (await answered) as [{ readonly result?: unknown; readonly error?: string }];
    if (error !== undefined) throw new Error(error);
    return result;
  }
}

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { isFenced, resultCode } from '../../backends/sqlite/errors.ts';

/** What an application's connection is asked to do. `prepare` keeps the statements for `execute`, by their place. */
export type Order = { readonly exec: string } | { readonly prepare: readonly string[] } | { readonly execute: number };

/** A program that knows nothing of Switchyard, with one connection to a file. Answers are "none", "FENCED" or "SQLITE_" and the extended code. */
export interface Program extends AsyncDisposable {
  do(order: Order): Promise<string>;
}

/** A program within this process. */
export class LocalProgram implements Program {
  readonly database: DatabaseSync;
  readonly #prepared: StatementSync[] = [];

  constructor(path: string, begin: string) {
    this.database = new DatabaseSync(path);
    this.database.exec(begin);
  }

  async do(order: Order): Promise<string> {
    try {
      if ('exec' in order) this.database.exec(order.exec);
      else if ('execute' in order) this.#prepared[order.execute]?.all();
      else this.#prepared.splice(0, Number.POSITIVE_INFINITY, ...order.prepare.map((text) => this.database.prepare(text)));
      return 'none';
    } catch (error) {
      if (isFenced(error)) return 'FENCED';
      if (resultCode(error) === null) throw error;
      return `SQLITE_${resultCode(error)}`;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.database.close();
  }
}

/** A program in a process of its own, which answers one order at a time. Disposing of it kills it, whatever it has begun. */
export class RemoteProgram implements Program {
  readonly #child: ChildProcess;
  #answer = (_: string): void => {};

  constructor(path: string, begin: string) {
    this.#child = fork(fileURLToPath(new URL('./sqlite-program-process.ts', import.meta.url)), [path, begin], { execArgv: ['--disable-warning=ExperimentalWarning'] });
    this.#child.on('message', (answer) => this.#answer(String(answer)));
    this.#child.on('exit', (code) => this.#answer(`the process ended with ${code}`));
  }

  do(order: Order): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#answer = resolve;
    this.#child.send(order);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

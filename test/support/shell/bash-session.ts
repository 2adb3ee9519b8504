import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../servers/wait-until.ts';

const endLimitMs = 20_000;
const shownOfOutput = 4_000;

/**
 * One bash that is given command after command, as a person types them, and ends at the first that fails (`set -e -o pipefail`). What it starts in the background belongs to it: all of it ends when the session is disposed of and
 * when this process ends in whatever way.
 */
export class BashSession implements AsyncDisposable {
  readonly #bash: ChildProcess;
  #output = '';
  #blocks = 0;

  constructor(cwd: string, env: Readonly<Record<string, string>> = {}) {
    // A group of its own, so that one signal reaches all that it starts.
    this.#bash = spawn('bash', ['--norc', '-e', '-o', 'pipefail', '-s'], { cwd, env: { ...process.env, ...env }, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#bash.stdout, this.#bash.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    this.#bash.stdin?.on('error', () => {});
    this.#bash.stdin?.write(`trap 'trap "" TERM; kill -TERM 0' EXIT\n`);
  }

  /** Everything printed so far, by background processes too. */
  get output(): string {
    return this.#output;
  }

  /** Runs commands to their end and resolves to what was printed meanwhile. Rejects when one fails and when they take longer. */
  async run(commands: string, limitMs: number): Promise<string> {
    this.#blocks += 1;
    const marker = `end of block ${this.#blocks} of ${this.#bash.pid}`;
    const from = this.#output.length;
    this.#bash.stdin?.write(`${commands}\necho '${marker}'\n`);
    const explain = (): string => this.#output.slice(from).slice(-shownOfOutput);
    await waitUntil(`the end of:\n${commands}\n`, { limitMs, everyMs: 20, explain }, async () => {
      if (this.#output.includes(marker)) return true;
      if (this.#isOver) throw new Error(`a command of these failed:\n${commands}\n${explain()}`);
      return undefined;
    });
    return this.#output.slice(from).replace(`${marker}\n`, '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#bash.stdin?.end();
    this.#signalAll('SIGTERM');
    const limit = performance.now() + endLimitMs;
    while (this.#groupIsThere() && performance.now() < limit) await sleep(20);
    this.#signalAll('SIGKILL');
  }

  get #isOver(): boolean {
    return this.#bash.exitCode !== null || this.#bash.signalCode !== null;
  }

  #signalAll(signal: NodeJS.Signals): void {
    if (this.#groupIsThere()) process.kill(-(this.#bash.pid ?? 0), signal);
  }

  #groupIsThere(): boolean {
    if (this.#bash.pid === undefined) return false;
    try {
      process.kill(-this.#bash.pid, 0);
      return true;
    } catch {
      return false;
    }
  }
}

import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Subject } from './variants.ts';

const run = promisify(execFile);

export interface SearchLimits {
  readonly memoryMiB: number;
  readonly timeoutMs: number;
}

/** What a search found. `incomplete`: it ended before it had seen every state, and says nothing. */
export type SearchResult =
  | { readonly kind: 'clean' | 'caught'; readonly states: number; readonly depth: number; readonly seconds: number /** What failed, for people. */; readonly message: string }
  | { readonly kind: 'incomplete'; readonly states: number; readonly depth: number; readonly seconds: number; readonly message: string };

/** Steps of one run at most; a longer one makes the search incomplete. */
const deepest = 100_000;
/** Processes that fairness is told of, at most; the build needs a number. */
const fairProcesses = 5;
const buildLimitMs = 120_000;
const historyLimitMs = 60_000;

/** One model in one size, built. Disposing removes the build. */
export class Search implements AsyncDisposable {
  readonly #subject: Subject;
  readonly #folder: string;
  /** Numbers of the safeguards by their names. */
  readonly #safeguards: ReadonlyMap<string, number>;

  private constructor(subject: Subject, folder: string, safeguards: ReadonlyMap<string, number>) {
    this.#subject = subject;
    this.#folder = folder;
    this.#safeguards = safeguards;
  }

  /** Makes Spin's search of the model and compiles it. `models`: where the files are. */
  static async build(subject: Subject, models: string, limits: SearchLimits): Promise<Search> {
    const folder = await mkdtemp(join(tmpdir(), 'switchyard-model-'));
    try {
      // Spin looks for what a model includes, and leaves the history of an error, beside the model.
      await cp(models, folder, { recursive: true, filter: (path) => path === models || path.endsWith('.pml') });
      const file = `${subject.model}.pml`;
      const sizes = Object.entries(subject.sizes).map(([name, value]) => `-D${name}=${value}`);
      const live = subject.property !== 'assertions';
      const spun = await run('spin', ['-a', ...sizes, ...(live ? ['-DLIVE'] : []), file], { cwd: folder, timeout: buildLimitMs });
      if (/error/i.test(spun.stdout + spun.stderr)) throw new Error(spun.stdout + spun.stderr);
      const options = live ? [`-DNFAIR=${fairProcesses}`] : ['-DSAFETY'];
      await run('gcc', ['-O1', '-w', '-DCOLLAPSE', `-DMEMLIM=${limits.memoryMiB}`, ...options, '-o', 'pan', 'pan.c'], { cwd: folder, timeout: buildLimitMs });
      return new Search(subject, folder, safeguardsOf(await readFile(join(folder, file), 'utf8')));
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw new Error(`model "${subject.model}" cannot be built: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  /** Looks at every state of the model, without this safeguard where one is named. The caller's limits bound it. */
  async run(weakness: string | null, limits: SearchLimits): Promise<SearchResult> {
    const startedAt = performance.now();
    const output = await this.#pan(weakness, [...this.#panOptions()], limits.timeoutMs);
    return resultOf(output, (performance.now() - startedAt) / 1_000);
  }

  /** The shortest history that the last caught run found its way to, one line a step. */
  async history(weakness: string | null): Promise<readonly string[]> {
    const output = await this.#pan(weakness, ['-r'], historyLimitMs);
    const lines = output.split('\n').map((line) => line.trim());
    return lines
      .filter((line) => line.startsWith('@ ') || line.includes('START OF CYCLE'))
      .map((line) => (line.startsWith('@ ') ? line.slice(2) : '… and from here on again and again:'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  #panOptions(): readonly string[] {
    const { property } = this.#subject;
    const bounds = [`-m${deepest}`, '-w20'];
    return property === 'assertions' ? [...bounds, '-E'] : [...bounds, '-a', '-f', '-N', property.ltl];
  }

  /** Whatever it printed, also when it failed or was ended. */
  #pan(weakness: string | null, options: readonly string[], timeoutMs: number): Promise<string> {
    const number = weakness === null ? 0 : this.#safeguards.get(weakness);
    if (number === undefined) throw new Error(`model "${this.#subject.model}" has no safeguard "${weakness}"`);
    return new Promise((resolve, reject) => {
      const child = spawn(join(this.#folder, 'pan'), options, {
        cwd: this.#folder,
        env: { WEAK: String(number) },
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      child.on('error', reject);
      child.on('close', (_, signal) => resolve(signal === null ? output : `${output}\nended by ${signal} after ${timeoutMs} ms`));
    });
  }
}

/** Names and numbers of a model's safeguards: its lines `#define NAME number  /​* meaning *​/`. */
export function safeguardsOf(model: string): ReadonlyMap<string, number> {
  return new Map([...model.matchAll(/^#define ([A-Z_]+) +(\d+) +\/\* .* \*\/$/gm)].map(([, name = '', number]) => [name, Number(number)]));
}

/** Reads what the search printed. A search that met one of its limits is incomplete, unless it found an error before. */
export function resultOf(output: string, seconds: number): SearchResult {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? 0);
  const figures = { states: number(/([\d.e+]+) states, stored/), depth: number(/depth reached (\d+)/), seconds };
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const failed = /^pan:1: (.*)$/m.exec(output)?.[1];
  if (errors !== undefined && Number(errors) > 0) {
    if (failed === undefined || /out of memory|max search depth|too small/.test(failed)) return { kind: 'incomplete', ...figures, message: failed ?? 'the search failed' };
    return { kind: 'caught', ...figures, message: failed };
  }
  const met = /max search depth too small|reached -DMEMLIM|out of memory|Search not completed|ended by .*/.exec(output)?.[0];
  if (errors === undefined || met !== undefined) return { kind: 'incomplete', ...figures, message: met ?? (output.trim().split('\n').at(-1) || 'the search printed nothing') };
  return { kind: 'clean', ...figures, message: '' };
}

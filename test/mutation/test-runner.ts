import { globSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Ignorer } from '@stryker-mutator/api/ignore';
import { declareClassPlugin, declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';
import {
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  type TestRunnerCapabilities,
  TestStatus,
  determineHitLimitReached,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import { type CollectedTest, takeTests } from './plain-jest.ts';

/** Unit tests of the guards: no servers, no real time, so that hundreds of mutants cost minutes. */
const testFiles = ['gateway/{rules,flow}/*.test.ts', 'control/cutover/{repair-decision,rules-change}.test.ts', 'test/guards/*.test.ts'];
const testLimitMs = 5_000;

/** What the mutated code looks at to know which mutant is active, and where it counts. */
interface Switchboard {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: DryRunResult extends infer R ? (R extends { mutantCoverage?: infer C } ? C : never) : never;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
}

const shared = globalThis as unknown as { __stryker__?: Switchboard };

function switchboard(): Switchboard {
  shared.__stryker__ ??= {};
  return shared.__stryker__;
}

interface NamedTest extends CollectedTest {
  readonly id: string;
  readonly fileName: string;
}

/** Runs the tests in the one process that loaded them, for every mutant anew: a fresh jest for each would take a hundred times as long. */
class GuardTestRunner implements TestRunner {
  #tests: readonly NamedTest[] = [];
  #stray: unknown = null;

  capabilities(): TestRunnerCapabilities {
    return { reloadEnvironment: false };
  }

  async init(): Promise<void> {
    const url = import.meta.resolve('./plain-jest.ts');
    registerHooks({ resolve: (specifier, context, next) => (specifier === '@jest/globals' ? { url, shortCircuit: true } : next(specifier, context)) });
    // What a mutant leaves behind without anybody waiting for it belongs to the test that runs.
    for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
      process.on(event, (error: unknown) => {
        this.#stray = error;
      });
    }
    switchboard();
    const tests: NamedTest[] = [];
    for (const fileName of testFiles.flatMap((pattern) => globSync(pattern)).toSorted()) {
      await import(pathToFileURL(join(process.cwd(), fileName)).href);
      for (const test of takeTests()) tests.push({ ...test, id: `${fileName} › ${test.name}`, fileName });
    }
    this.#tests = tests;
  }

  async dryRun({ coverageAnalysis }: DryRunOptions): Promise<DryRunResult> {
    const result = await this.#run(this.#tests, false, coverageAnalysis === 'perTest');
    const coverage = shared.__stryker__?.mutantCoverage;
    return result.status === DryRunStatus.Complete && coverage !== undefined ? { ...result, mutantCoverage: coverage } : result;
  }

  async mutantRun({ activeMutant, testFilter, hitLimit, disableBail }: MutantRunOptions): Promise<MutantRunResult> {
    const board = switchboard();
    Object.assign(board, { activeMutant: activeMutant.id, hitCount: hitLimit === undefined ? undefined : 0, hitLimit });
    const chosen = testFilter === undefined ? this.#tests : this.#tests.filter(({ id }) => testFilter.includes(id));
    try {
      const result = await this.#run(chosen, !disableBail, false);
      return toMutantRunResult(determineHitLimitReached(board.hitCount, board.hitLimit) ?? result);
    } finally {
      Object.assign(board, { activeMutant: undefined, hitCount: undefined, hitLimit: undefined });
    }
  }

  async #run(tests: readonly NamedTest[], bail: boolean, perTest: boolean): Promise<DryRunResult> {
    const board = switchboard();
    const results: TestResult[] = [];
    for (const { id, name, fileName, run } of tests) {
      if (perTest) board.currentTestId = id;
      const startedAt = performance.now();
      const failure = await this.#failureOf(run);
      board.currentTestId = undefined;
      const common = { id, name, fileName, timeSpentMs: Math.round(performance.now() - startedAt) };
      results.push(failure === null ? { ...common, status: TestStatus.Success } : { ...common, status: TestStatus.Failed, failureMessage: failure });
      if (bail && failure !== null) break;
    }
    return { status: DryRunStatus.Complete, tests: results };
  }

  async #failureOf(run: () => unknown): Promise<string | null> {
    this.#stray = null;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the test did not end within ${testLimitMs} ms`)), testLimitMs);
    });
    try {
      await Promise.race([Promise.try(run), late]);
      await new Promise((resolve) => setImmediate(resolve));
      return this.#stray === null ? null : `nobody heard of ${String(this.#stray)}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The part of a path in Babel's tree that is asked for; Stryker's own type shows nothing of it. */
interface TreePath {
  readonly node: unknown;
  isCallExpression(): boolean;
  isExpressionStatement(): boolean;
  isBlockStatement(): boolean;
  isIfStatement(): boolean;
  get(name: 'callee' | 'expression' | 'consequent' | 'alternate'): TreePath;
  get(name: 'body'): readonly TreePath[];
  toString(): string;
}

/** Whether nothing but a log line comes of it, with the conditions on which there is one. */
function onlySays(path: TreePath): boolean {
  if (path.isCallExpression()) return /(?:\blog|#log)\.(?:debug|info|warn|error)$/.test(path.get('callee').toString());
  if (path.isExpressionStatement()) return onlySays(path.get('expression'));
  if (path.isIfStatement()) return path.get('alternate').node === null && onlySays(path.get('consequent'));
  return path.isBlockStatement() && path.get('body').length > 0 && path.get('body').every(onlySays);
}

/** What is told to people decides nothing. */
const saying: Ignorer = {
  shouldIgnore: (path) => (onlySays(path as unknown as TreePath) ? 'a log line' : undefined),
};

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'guards', GuardTestRunner), declareValuePlugin(PluginKind.Ignore, 'saying', saying)];

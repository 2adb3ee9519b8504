import { beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAsExpected, nameOf, type Outcome, runModels } from './run-models.ts';
import { resultOf, safeguardsOf } from './search.ts';
import { requireTools } from './tools.ts';
import { type Subject, subjects } from './variants.ts';

const root = join(import.meta.dirname, '../..');
const models = import.meta.dirname;
const limits = { memoryMiB: 4_000, timeoutMs: 200_000 };

beforeAll(() => requireTools(process.getuid?.() === 0, () => {}), 600_000);

const search = (searched: readonly Subject[], folder = models, given = limits): Promise<readonly Outcome[]> =>
  runModels({ subjects: searched, models: folder, limits: given, ledgerOf: null, resume: false, show: true, onOutcome: () => {} });

const small = subjects.filter((subject) => !subject.full);

describe('every state of', () => {
  test.each(small.map((subject) => [nameOf(subject, null), subject] as const))(
    '%s is without error, and every weakened variant is caught',
    async (_, subject) => {
      const outcomes = await search([subject]);
      const wrong = outcomes
        .filter((outcome) => !isAsExpected(outcome))
        .map(({ expected, result, subject: name }) => `${name}: ${result.kind} instead of ${expected}: ${result.message}`);
      expect(wrong).toEqual([]);
      // A run in which nothing ever happens is a history too, for what should have happened at last.
      if (subject.property !== 'assertions') return;
      for (const { expected, history, subject: name } of outcomes) if (expected === 'caught') expect([name, history.length > 0]).toEqual([name, true]);
    },
    600_000,
  );
});

describe('the table of variants', () => {
  test('names every safeguard of every model, in the small form but for what only a larger size shows', async () => {
    const files = (await readdir(models)).filter((file) => file.endsWith('.pml') && file !== 'words.pml');
    expect([...new Set(small.map(({ model }) => `${model}.pml`))].toSorted()).toEqual(files.toSorted());
    for (const file of files) {
      const known = [...safeguardsOf(await readFile(join(models, file), 'utf8')).keys()];
      const tried = subjects.filter(({ model }) => `${model}.pml` === file).flatMap(({ weaknesses }) => weaknesses);
      expect([file, tried.toSorted()]).toEqual([file, known.toSorted()]);
    }
  });

  test('every path that a model says it follows is there', async () => {
    for (const file of (await readdir(models)).filter((name) => name.endsWith('.pml'))) {
      const text = await readFile(join(models, file), 'utf8');
      for (const [path] of text.matchAll(/\b(?:backends|control|gateway|core|topo)\/[a-z/-]+\.ts\b/g))
        expect([file, path, existsSync(join(root, path))]).toEqual([file, path, true]);
    }
  });
});

describe('the run itself', () => {
  const guarded = `
#define CARELESS  1   /* adds without looking */
hidden byte weak; byte n;
active proctype Counter() {
  c_code { weak = getenv("WEAK") ? atoi(getenv("WEAK")) : 0; };
  do :: atomic { n < 3 || weak == CARELESS -> n++; printf("@ counts to %d\\n", n); assert(n <= 3) } :: n == 3 -> break od
}
`;
  const subject: Subject = { model: 'counter', sizes: {}, property: 'assertions', whole: true, weaknesses: ['CARELESS'], full: false };

  async function searchText(text: string, searched: Subject, given = limits): Promise<readonly Outcome[]> {
    const folder = await mkdtemp(join(tmpdir(), 'switchyard-models-'));
    try {
      await writeFile(join(folder, 'counter.pml'), text);
      return await search([searched], folder, given);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  test('a sound model passes and its history is told', async () => {
    const outcomes = await searchText(guarded, subject);
    expect(outcomes.map((outcome) => [outcome.result.kind, isAsExpected(outcome)])).toEqual([
      ['clean', true],
      ['caught', true],
    ]);
    expect(outcomes[1]?.history).toEqual(['counts to 1', 'counts to 2', 'counts to 3', 'counts to 4']);
  });

  test('a variant that is not caught fails the run', async () => {
    const outcomes = await searchText(guarded.replace('|| weak == CARELESS', ''), subject);
    expect(outcomes.map((outcome) => [outcome.subject, outcome.result.kind, isAsExpected(outcome)])).toEqual([
      ['counter', 'clean', true],
      ['counter, weakened: CARELESS', 'clean', false],
    ]);
  });

  test('a model with an error fails the run', async () => {
    const outcomes = await searchText(guarded.replace('n <= 3', 'n <= 2'), { ...subject, weaknesses: [] });
    expect(outcomes.map((outcome) => [outcome.result.kind, isAsExpected(outcome)])).toEqual([['caught', false]]);
  });

  test('a search that had to stop is never a pass', async () => {
    const endless = guarded.replace('byte n;', 'int n;').replaceAll('n < 3', 'n < 100000000').replace('n <= 3', 'true').replace('n == 3', 'false');
    const deep = await searchText(endless, { ...subject, weaknesses: [] });
    const late = await searchText(endless, { ...subject, weaknesses: [] }, { ...limits, timeoutMs: 50 });
    const small = await searchText(endless, { ...subject, weaknesses: [] }, { ...limits, memoryMiB: 150 });
    expect([...deep, ...late, ...small].map((outcome) => [outcome.result.kind, isAsExpected(outcome)])).toEqual(Array(3).fill(['incomplete', false]));
  });

  test('a model that does not build, and a safeguard that it does not have, are told', async () => {
    await expect(searchText('active proctype Broken( {', subject)).rejects.toThrow('model "counter" cannot be built');
    await expect(searchText(guarded, { ...subject, weaknesses: ['UNKNOWN'] })).rejects.toThrow('no safeguard "UNKNOWN"');
  });

  test('nothing printed is no result', () => {
    expect(resultOf('', 0).kind).toBe('incomplete');
    expect(resultOf('State-vector 0 byte, depth reached 5, errors: 0\n', 0).kind).toBe('clean');
  });
});

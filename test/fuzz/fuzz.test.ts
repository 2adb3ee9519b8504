import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { toGrpcError } from '../../runtime/grpc-error.ts';
import { readCorpus } from './corpus.ts';
import { trap } from './controls/planted.ts';
import { fuzz, type FuzzReport } from './fuzz.ts';
import { answersIn } from './inputs/raw-http.ts';
import { sqlSkeleton, sqlWithoutNames } from './inputs/sql-skeleton.ts';
import { minimise } from './minimise.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { Finding } from './target.ts';
import { fuzzTargets } from './targets.ts';
import { reasonOnTheWire } from './targets/grpc.ts';
import { judge } from './targets/http.ts';
import { outcomeOf } from './verdict.ts';

/** For all targets together, beside what it takes to open them. */
const totalSeconds = 60;
/** `npm run fuzz` takes another one every time; here a failure is the change's, not the day's. */
const gateSeed = 2_026;
const controlSeed = 7;

/** What cannot be read is left out and reported there: that is no failure. */
const targetsOfOneOutcome = ['history-entry'];

function shown({ found, ...report }: FuzzReport): string {
  return found === null ? 'nothing' : `${found.kind}: ${found.message}\n${found.file ?? ''}\n${found.command}\n${JSON.stringify(report)}`;
}

describe('bad input', () => {
  test.each(fuzzTargets)(
    'to $name: the corpus, and some seconds of new ones',
    async ({ name, module }) => {
      const report = await fuzz({ name, module, seed: gateSeed, seconds: totalSeconds / fuzzTargets.length, keep: true });
      expect(shown(report)).toBe('nothing');
      expect(report.inputs).toBeGreaterThan((await readCorpus(name)).length);
      // More than one thing came of them: they are not all refused in the same first step.
      expect(Object.keys(report.outcomes).length).toBeGreaterThan(targetsOfOneOutcome.includes(name) ? 0 : 1);
    },
    180_000,
  );
});

describe('a fault is found that', () => {
  const control = (name: string, seconds: number, hangMs?: number): Promise<FuzzReport> =>
    fuzz({
      name: `control-${name}`,
      module: new URL(`./controls/${name}.ts`, import.meta.url),
      seed: controlSeed,
      seconds,
      keep: false,
      minimiseTries: name === 'slow' ? 0 : 200,
      ...(hangMs === undefined ? {} : { hangMs }),
    });
  const inputOf = ({ found }: FuzzReport): string => Buffer.from(found?.input ?? []).toString('latin1');

  test('is an error without a reason, and the smallest input that leads to it', async () => {
    const report = await control('throws', 30);
    expect([report.found?.kind, inputOf(report)]).toEqual(['answer', trap]);
  });

  test('ends the process', async () => {
    const report = await control('crash', 30);
    expect([report.found?.kind, inputOf(report)]).toEqual(['crash', expect.stringContaining(trap)]);
  });

  test('ends the process by a signal', async () => {
    const report = await control('signal', 30);
    expect([report.found?.kind, report.found?.message, inputOf(report)]).toEqual(['crash', expect.stringContaining('SIGSEGV'), expect.stringContaining(trap)]);
  });

  test('hangs', async () => {
    const report = await control('hang', 30, 3_000);
    expect([report.found?.kind, inputOf(report)]).toEqual(['hang', expect.stringContaining(trap)]);
  });

  test('takes long', async () => {
    const report = await control('slow', 30, 120_000);
    expect([report.found?.kind, inputOf(report)]).toEqual(['slow', expect.stringContaining(trap)]);
  }, 180_000);

  test('grows', async () => {
    expect((await control('leak', 60)).found).toMatchObject({ kind: 'growth', message: expect.stringMatching(/grew by \d+ MiB|filled/) });
  });

  test('takes an identifier for SQL', async () => {
    const report = await control('injection', 60);
    expect([report.found?.kind, inputOf(report)]).toEqual(['state', expect.stringMatching(/canary/)]);
  });
});

describe('the judges of answers', () => {
  const failureOf = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (error) {
      return error instanceof Finding ? error.kind : error;
    }
  };
  const wire = (error: unknown): string => failureOf(() => reasonOnTheWire(error as ServiceError)) as string;

  test('over gRPC ask for a reason that is none of ours', () => {
    expect(wire(toGrpcError(new SwitchyardError('TABLE_UNKNOWN', 'no such table')))).toBe('TABLE_UNKNOWN');
    for (const error of [
      toGrpcError(new TypeError('x is undefined')),
      toGrpcError(new SwitchyardError('STORE_FAILED', 'near ";": syntax error')),
      toGrpcError(new SwitchyardError('TABLE_UNKNOWN', ' ')),
      { code: status.INTERNAL, details: 'Error deserializing request', metadata: new Metadata() },
    ])
      expect(wire(error)).toBe('answer');
  });

  test('over HTTP ask for whole answers with a problem document', () => {
    const answer = (code: number, body: string, type = 'application/problem+json'): Buffer =>
      Buffer.from(`HTTP/1.1 ${code} Something\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    const judged = (sent: Buffer): unknown => failureOf(() => answersIn(sent).forEach(judge));
    const good = answer(404, '{"status":404,"reason":"TABLE_UNKNOWN","detail":"no such table"}');
    expect(judged(Buffer.concat([good, answer(200, '{}', 'application/json'), good]))).toBe(undefined);
    for (const sent of [
      answer(500, 'Error: at x.ts:1:1', 'text/plain'),
      answer(500, '{"status":500,"reason":"INTERNAL","detail":"internal fault"}'),
      answer(404, '{"status":404,"reason":"NO_SUCH_REASON","detail":"x"}'),
      answer(404, '{"status":400,"reason":"TABLE_UNKNOWN","detail":"x"}'),
      answer(404, '{"status":404,"reason":"TABLE_UNKNOWN","detail":""}'),
      answer(404, 'no JSON'),
      good.subarray(0, good.length - 1),
      Buffer.concat([good, Buffer.from('0\r\n\r\n')]),
    ])
      expect(judged(sent)).toBe('answer');
  });

  test('of scripts tell a name from SQL', () => {
    const script = (name: string): string =>
      `-- For ${name.replaceAll('\n', ' ')}\nGRANT x TO "${name.replaceAll('"', '""')}"; DO $a$ BEGIN PERFORM '${name.replaceAll("'", "''")}'; END $a$;`;
    for (const name of ['b"; DROP TABLE c; --', "b'; DROP TABLE c; --", '$b$', '*/ c /*', 'b\n; c']) expect(sqlSkeleton(script(name))).toBe(sqlSkeleton(script('a')));
    for (const [plain, other] of [
      ['-- a\nCOMMIT', '-- a\nDROP TABLE c; --\nCOMMIT'],
      ['DO $a$x$a$', "DO $a$x '$a$; DROP TABLE c; --'$a$"],
      ['SELECT "a"', 'SELECT "a"; c --"'],
      ["SELECT 'a'", "SELECT 'a'; c --'"],
    ] as const)
      expect(sqlSkeleton(plain)).not.toBe(sqlSkeleton(other));
  });

  test.each(['postgres', 'mariadb', 'sqlite'] as const)('of definitions tell a name, a text and a number from SQL in the words of %s', (dialect) => {
    const quote = dialect === 'mariadb' ? '`' : '"';
    const named = (name: string): string =>
      `CREATE TABLE ${quote}${name.replaceAll(quote, quote + quote)}${quote} (a int DEFAULT '${(dialect === 'mariadb' ? name.replaceAll('\\', '\\\\') : name).replaceAll("'", "''")}')`;
    for (const name of ['b', 'b"; DROP TABLE c; --', 'b`; DROP TABLE c; -- `', "b'; DROP TABLE c; --", 'b\\', '/*'])
      expect(sqlWithoutNames(dialect, named(name))).toBe(sqlWithoutNames(dialect, named('a')));
    for (const [plain, other] of [
      ['CHECK (a >= -128)', 'CHECK (a >= 0 OR TRUE)'],
      ["DEFAULT 'a'", "DEFAULT 'a'; DROP TABLE c; --'"],
      [`ADD ${quote}a${quote}`, `ADD ${quote}a${quote}; DROP TABLE c; --${quote}`],
      ["DO 'BEGIN END'", "DO 'BEGIN DROP TABLE c; END'"],
    ] as const)
      if (dialect === 'postgres' || !plain.startsWith('DO')) expect(sqlWithoutNames(dialect, plain)).not.toBe(sqlWithoutNames(dialect, other));
    expect(sqlWithoutNames(dialect, 'CHECK (a >= -128)')).toBe(sqlWithoutNames(dialect, 'CHECK (a >= 7.5)'));
  });

  test('of decoders pass values, reasons and what is promised', async () => {
    const fails = (error: unknown) => () => {
      throw error;
    };
    expect(await outcomeOf(() => 1)).toBe('value');
    expect(await outcomeOf(fails(new SwitchyardError('VALUE_INVALID', 'x')))).toBe('VALUE_INVALID');
    expect(await outcomeOf(fails(new SyntaxError('x')), [SyntaxError])).toBe('SyntaxError');
    for (const error of [new SyntaxError('x'), 'a text', new SwitchyardError('INTERNAL', 'x')]) await expect(outcomeOf(fails(error))).rejects.toThrow(Finding);
  });
});

describe('inputs', () => {
  test('are the same for the same seed, and others for another', () => {
    const made = (seed: number): string[] => {
      const random = new Random(seed);
      return Array.from({ length: 50 }, () => mutate(random, Buffer.from('{"a":1,"b":[2,3]}'), { words: ['x'], others: [Buffer.from('other')] }).toString('hex'));
    };
    expect(made(5)).toEqual(made(5));
    expect(made(5)).not.toEqual(made(6));
    expect(new Set(made(5)).size).toBeGreaterThan(30);
  });

  test('are made smaller as long as they fail', async () => {
    const smallest = await minimise(Buffer.from(`${'padding '.repeat(40)}<${trap}>${'more '.repeat(40)}`), async (candidate) => candidate.includes(trap), 500);
    expect(smallest.toString()).toBe(trap);
  });
});

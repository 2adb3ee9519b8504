import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ScalarKind } from '../../core/cell.ts';
import { openDatabase } from '../../client/client.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';

// Random values of every kind: program → typed client → gateway → store → gateway → client, bit by bit the same, over both protocols, in a watch, and as the store's own tool sees them.
const columns: Readonly<Record<string, readonly [type: string, kind: ScalarKind, element?: true]>> = {
  a: ['boolean', 'bool'],
  b: ['smallint', 'int16'],
  c: ['integer', 'int32'],
  d: ['bigint', 'int64'],
  e: ['real', 'float32'],
  f: ['double precision', 'float64'],
  g: ['numeric', 'decimal'],
  h: ['text', 'text'],
  i: ['bytea', 'bytes'],
  j: ['uuid', 'uuid'],
  k: ['date', 'date'],
  l: ['time', 'time'],
  m: ['timestamp', 'timestamp'],
  n: ['timestamp with time zone', 'timestamptz'],
  o: ['json', 'json'],
  p: ['mood', 'enum'],
  q: ['text[]', 'text', true],
  r: ['bigint[]', 'int64', true],
  s: ['timestamp with time zone[]', 'timestamptz', true],
  t: ['bytea[]', 'bytes', true],
};
const schema = `
CREATE TYPE mood AS ENUM ('calm', 'so so', 'it''s "angry"');
CREATE TABLE every (id int PRIMARY KEY, ${Object.entries(columns)
  .map(([name, [type]]) => `${name} ${type}`)
  .join(', ')});`;
const never = new AbortController().signal;

const two = (value: number): string => String(value).padStart(2, '0');
const micros = fc.integer({ min: 0, max: 999_999 }).map((value) => String(value).padStart(6, '0'));
const day = fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10));
const time = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 59 }), micros)
  .map(([h, m, s, f]) => `${two(h)}:${two(m)}:${two(s)}.${f}`);
const moment = fc.tuple(day, time).map(([date, at]) => `${date}T${at}`);
const text = fc.string({ unit: 'binary', maxLength: 30 }).filter((value) => !value.includes('\0') && value.isWellFormed());
const infinities = fc.constantFrom('infinity', '-infinity');
const digits = fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n });
const decimal = fc.oneof(
  fc.tuple(digits, fc.integer({ min: 0, max: 30 })).map(([value, scale]) => {
    const whole = String(value < 0n ? -value : value).padStart(scale + 1, '0');
    const magnitude = scale === 0 ? whole : `${whole.slice(0, -scale)}.${whole.slice(-scale)}`;
    return value < 0n ? `-${magnitude}` : magnitude;
  }),
  fc.constantFrom('NaN', 'Infinity', '-Infinity'),
);
const values: Readonly<Record<ScalarKind, fc.Arbitrary<unknown>>> = {
  bool: fc.boolean(),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  int32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  float32: fc.float(),
  float64: fc.double(),
  decimal,
  text,
  bytes: fc.uint8Array({ maxLength: 40 }),
  uuid: fc.uuid(),
  date: fc.oneof(day, infinities),
  time,
  timestamp: fc.oneof(moment, infinities),
  timestamptz: fc.oneof(
    moment.map((value) => `${value}Z`),
    infinities,
  ),
  json: fc.json().filter((value) => !value.includes('\\u0000')),
  enum: fc.constantFrom('calm', 'so so', `it's "angry"`),
};

const rowOf = fc.record(
  Object.fromEntries(
    Object.entries(columns).map(([name, [, kind, isArray]]) => {
      const value = values[kind];
      return [name, fc.option(isArray === true ? fc.array(fc.option(value, { nil: null }), { maxLength: 5 }) : value, { nil: null })];
    }),
  ),
);

const every = {
  name: 'every',
  columns: {
    id: { kind: 'int32' },
    ...Object.fromEntries(
      Object.entries(columns).map(([name, [, kind, isArray]]) => [name, isArray === true ? { kind: 'array', element: kind, nullable: true } : { kind, nullable: true }]),
    ),
  },
  primaryKey: ['id'],
} as const;

let stage: GatewayStage;
let running: RunningGateway;
const open = () => openDatabase({ every }, { addresses: running.gateway.address });

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  await stage.prepare('old', (owner) => owner.watch(['every'], true, never));
  running = await stage.start({ http: '127.0.0.1:0' });
});
afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

/** Equal bit by bit: NaN is NaN, −0 is not 0, bytes by their content. */
function same(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((value, index) => same(value, b[index]));
  return Object.is(a, b);
}

/** The value as psql takes it. */
function literal(value: unknown, kind: ScalarKind): string {
  if (value === null) return 'NULL';
  const quote = (given: string): string => `E'${given.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  if (value instanceof Uint8Array) return quote(`\\x${Buffer.from(value).toString('hex')}`);
  if (Array.isArray(value)) return `ARRAY[${value.map((each) => literal(each, kind)).join(', ')}]`;
  return quote(Object.is(value, -0) ? '-0' : String(value));
}

describe('every value', () => {
  test('comes back as it was given, and the store has it', async () => {
    using db = open();
    let id = 0;
    await fc.assert(
      fc.asyncProperty(rowOf, async (row) => {
        id += 1;
        await db.every.insert({ id, ...row });
        const found: Readonly<Record<string, unknown>> | null = await db.every.get({ id });
        for (const [name, value] of Object.entries(row)) if (!same(found?.[name], value)) throw new Error(`${name}: gave ${String(value)}, got ${String(found?.[name])}`);
        const compared = Object.entries(columns).map(([name, [type, kind]]) => `(${name}::text IS NOT DISTINCT FROM (${literal(row[name], kind)})::${type}::text)`);
        const answer = (
          await stage.sql(
            'old',
            `SELECT ${compared.map((condition, index) => `CASE WHEN ${condition} THEN '' ELSE '${Object.keys(columns)[index]} ' END`).join(' || ')} FROM every WHERE id = ${id}`,
          )
        ).trim();
        if (answer !== '') throw new Error(`psql has other values in ${answer}`);
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  test('is the same over HTTP and in a watch', async () => {
    using db = open();
    const base = `http://${running.gateway.httpAddress}/v1/tables/every/rows`;
    let id = 100_000;
    const rows = fc.sample(rowOf, 60);
    const begun = Promise.withResolvers<void>();
    const seen = new Map<unknown, Readonly<Record<string, unknown>> | null>();
    const watching = (async () => {
      for await (const { after } of db.every.watch({ onBegin: () => begun.resolve() })) {
        seen.set(after?.id, after);
        if (rows.every((_, index) => seen.has(100_001 + index))) return;
      }
    })();
    await begun.promise;
    for (const row of rows) {
      id += 1;
      await db.every.insert({ id, ...row });
      // What HTTP says of the row is put back by HTTP under another key: nothing may be lost on the way.
      const answer = await fetch(`${base}/${id}`);
      const copy = (await answer.text()).replace(`"id":${id}`, `"id":${id + 500_000}`);
      const put = await fetch(base, { method: 'POST', headers: { 'content-type': 'application/json' }, body: copy });
      expect([put.status, put.status === 201 ? '' : await put.text()]).toEqual([201, '']);
      const found: Readonly<Record<string, unknown>> | null = await db.every.get({ id: id + 500_000 });
      for (const [name, value] of Object.entries(row)) if (!same(found?.[name], value)) throw new Error(`${name}: gave ${String(value)}, got ${String(found?.[name])} by HTTP`);
      await db.every.delete({ id: id + 500_000 });
    }
    await watching;
    for (const [index, row] of rows.entries()) {
      const after = seen.get(100_001 + index);
      for (const [name, value] of Object.entries(row)) if (!same(after?.[name], value)) throw new Error(`${name}: gave ${String(value)}, the watch has ${String(after?.[name])}`);
    }
  }, 120_000);
});

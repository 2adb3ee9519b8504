import { expect, test } from '@jest/globals';
import { crc32 } from 'node:zlib';
import { position } from '../../../core/ids.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { Charsets } from './binlog/charsets.ts';
import { GtidPosition } from './binlog/gtid-position.ts';
import { LogDecoder } from './binlog/log-events.ts';
import type { LogGround } from './log-shape.ts';
import { type Assembled, TransactionAssembler } from './transaction-assembler.ts';

/* Logs made by hand, for what a server writes only when something goes wrong. */

const schema: TableSchema = {
  name: 't',
  columns: ['id', 'v'].map((name) => ({ name, kind: 'int32', nullable: false, hasDefault: false, generated: false, nativeType: 'int(11)' })),
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: 'f',
};
const ground: LogGround = {
  shapes: new Map([['t', { schema, columns: ['id', 'v'].map((name) => ({ name, form: 'int' })) }]]),
  charsets: new Charsets(new Map([[45, 'utf8mb4']]), new Map()),
  confirmed: position('0-1-1'),
};

const uint = (value: number | bigint, bytes: number): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer.subarray(0, bytes);
};
const text = (value: string): Buffer => Buffer.concat([uint(value.length, 1), Buffer.from(value)]);

function event(type: number, body: Buffer, flags = 0): Buffer {
  const length = 19 + body.length + 4;
  const whole = Buffer.concat([uint(1_700_000_000, 4), uint(type, 1), uint(1, 4), uint(length, 4), uint(0, 4), uint(flags, 2), body]);
  return Buffer.concat([whole, uint(crc32(whole), 4)]);
}

const format = (checksums = 1): Buffer => event(15, Buffer.concat([Buffer.alloc(57), uint(checksums, 1)]));
const gtid = (sequence: number, flags = 0): Buffer => event(162, Buffer.concat([uint(sequence, 8), uint(0, 4), uint(flags, 1), Buffer.alloc(6)]));
const tableMap = (table = 't', database = 'shop', names = ['id', 'v']): Buffer => {
  const metadata = Buffer.concat(names.map(text));
  return event(
    19,
    Buffer.concat([
      uint(7, 6),
      uint(1, 2),
      text(database),
      uint(0, 1),
      text(table),
      uint(0, 1),
      uint(2, 1),
      uint(3, 1),
      uint(3, 1),
      uint(0, 1),
      uint(0, 1),
      uint(1, 1),
      uint(1, 1),
      uint(0, 1),
      uint(4, 1),
      uint(metadata.length, 1),
      metadata,
    ]),
  );
};
const inserted = (...rows: readonly (readonly [number, number])[]): Buffer =>
  event(23, Buffer.concat([uint(7, 6), uint(1, 2), uint(2, 1), uint(3, 1), ...rows.flatMap((row) => [uint(0, 1), ...row.map((value) => uint(value, 4))])]));
const commit = event(16, uint(1, 8));
const query = (sql: string, database = 'shop'): Buffer =>
  event(2, Buffer.concat([Buffer.alloc(8), uint(database.length, 1), uint(0, 2), uint(0, 2), Buffer.from(database), uint(0, 1), Buffer.from(sql)]));

function assembled(...events: readonly Buffer[]): readonly Assembled[] {
  const assembler = new TransactionAssembler({ id: 's', workflow: 'w', tables: ['t'] }, 'shop', ground, GtidPosition.parse('0-1-1'));
  const decoder = new LogDecoder();
  return events.flatMap((bytes) => assembler.take(decoder.decode(bytes)) ?? []);
}

const fault = (problem: string) => expect.objectContaining({ reason: 'STREAM_FAILED', metadata: expect.objectContaining({ problem }) });

test('a transaction', () => {
  expect(assembled(format(), gtid(2), tableMap(), inserted([1, 2], [3, 4]), commit)).toEqual([
    {
      transaction: { id: null, position: '0-1-2', events: [1, 3].map((id) => ({ kind: 'insert', table: 't', row: [id, id + 1] })) },
      bytes: 18 + 2 * 200,
      timestamp: 1_700_000_000,
    },
  ]);
});

test('what a server left behind that broke down in the middle of a transaction is void', () => {
  const seen = assembled(format(), gtid(2), tableMap(), inserted([1, 1]), format(), gtid(2), tableMap(), inserted([2, 2]), commit);
  expect(seen.map(({ transaction }) => transaction.events)).toEqual([[{ kind: 'insert', table: 't', row: [2, 2] }]]);
});

test('a server that lacks events says so', () => {
  expect(() => assembled(format(), gtid(2), event(26, Buffer.concat([uint(1, 2), text('disk full')])))).toThrow(fault('LOG_INCOMPLETE'));
});

test('an event that is not known may be passed over only where it says so', () => {
  expect(assembled(format(), event(199, Buffer.from('x'), 0x80), gtid(2), tableMap(), inserted([1, 1]), commit)).toHaveLength(1);
  expect(() => assembled(format(), gtid(2), event(199, Buffer.from('x')))).toThrow(fault('LOG_INCOMPLETE'));
});

test('an event that is not as it was written is read again', () => {
  const broken = Buffer.from(commit);
  broken[20] = 9;
  expect(() => assembled(format(), gtid(2), broken)).toThrow(expect.objectContaining({ reason: 'STORE_UNAVAILABLE' }));
});

test('changes belong to a transaction, rows to a table, and every transaction ends before the next', () => {
  expect(() => assembled(format(), tableMap())).toThrow(fault('PROTOCOL'));
  expect(() => assembled(format(), gtid(2), inserted([1, 1]))).toThrow(fault('PROTOCOL'));
  expect(() => assembled(format(), gtid(2), gtid(3))).toThrow(fault('PROTOCOL'));
  // A table's description holds for one statement.
  expect(() => assembled(format(), gtid(2), tableMap(), inserted([1, 1]), inserted([2, 2]))).toThrow(fault('PROTOCOL'));
});

test.each([
  // What it ends with is empty.
  ['gtid', [], gtid(2), 7],
  ['table map', [gtid(2)], tableMap(), 1],
  ['rows', [gtid(2), tableMap()], inserted([1, 1]), 1],
] as const)('no piece that is missing goes unnoticed: %s', (_, before, whole, from) => {
  const body = whole.subarray(19, whole.length - 4);
  for (let missing: number = from; missing < body.length; missing += 1) {
    // All rows but none.
    if (whole.readUInt8(4) === 23 && missing === 9) continue;
    const short = event(whole.readUInt8(4), body.subarray(0, body.length - missing));
    expect(() => assembled(format(), ...before, short, commit)).toThrow(expect.objectContaining({ reason: 'STREAM_FAILED' }));
  }
});

test('a table of another shape, or of none that the log tells, ends the stream', () => {
  expect(() => assembled(format(), gtid(2), tableMap('t', 'shop', ['id', 'w']))).toThrow(fault('SCHEMA_CHANGED'));
  expect(assembled(format(), gtid(2), tableMap('t', 'other', ['id', 'w']), inserted([1, 1]), commit)).toEqual([]);
  expect(assembled(format(), gtid(2), tableMap('u', 'shop', ['id', 'w']), inserted([1, 1]), commit)).toEqual([]);
});

test('a transaction that was taken back as a whole leaves its position', () => {
  const seen = assembled(
    format(),
    gtid(2),
    tableMap(),
    inserted([1, 1]),
    query('ROLLBACK'),
    gtid(3),
    tableMap(),
    inserted([2, 2]),
    query('COMMIT'),
    gtid(4, 1),
    query('TRUNCATE t'),
  );
  expect(seen.map(({ transaction }) => [transaction.position, transaction.events.map(({ kind }) => kind)])).toEqual([
    ['0-1-3', ['insert']],
    ['0-1-4', ['truncate']],
  ]);
});

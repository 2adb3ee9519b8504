import { crc32, deflateRawSync, deflateSync } from 'node:zlib';
import { wire } from '../../../backends/mariadb/player/binlog/table-map.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';

/* Events of a MariaDB server's log, as they lie on the wire. */

/** An event without what the sender adds: its header and its checksum. */
export interface BareEvent {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

/** A column of a table that the log describes, with values that it may have. */
export interface LogColumn {
  readonly name: string;
  readonly type: number;
  readonly metadata: readonly number[];
  readonly collation?: number;
  readonly labels?: readonly string[];
  readonly unsigned?: boolean;
  readonly value: (random: Random) => Buffer;
}

export const uint = (value: number | bigint, bytes: number): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return buffer.subarray(0, bytes);
};
const big = (value: number | bigint, bytes: number): Buffer => Buffer.from(uint(value, bytes)).reverse();
export const all = (...parts: readonly (Buffer | string)[]): Buffer => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
/** The protocol's own form of a number. */
const length = (value: number): Buffer => (value < 0xfb ? uint(value, 1) : all(uint(0xfc, 1), uint(value, 2)));
const sized = (bytes: Buffer | string): Buffer => all(length(Buffer.byteLength(bytes)), bytes);
/** Behind a length of so many bytes. */
const behind = (bytes: number, value: Buffer): Buffer => all(uint(value.length, bytes), value);

/** One that is as it should be, but for some. */
const mostly = <T>(random: Random, good: readonly T[], other: readonly T[]): T => random.pick(random.chance(97) ? good : other);

const texts = ['', 'a', 'ä', 'shop', ...nastyTexts.filter((text) => text.length < 50 && !text.includes('\0'))];
const anyText = (random: Random): Buffer => Buffer.from(random.pick(texts));
const moments = [1n, 1_700_000_000n, 0x7fff_ffffn, 0xffff_ffffn];

function packed(random: Random): Buffer {
  const text = anyText(random);
  if (text.length === 0) return text;
  const raw = random.chance(50);
  return random.chance(30) ? all(uint(0, 1), text) : all(uint(0x81 | (raw ? 8 : 0), 1), uint(text.length, 1), raw ? deflateRawSync(text) : deflateSync(text));
}

/** Year and month in one number, day, hours, minutes, seconds. */
function datetime(random: Random): Buffer {
  const good = [
    [2024, 2, 29],
    [9999, 12, 31],
    [1, 1, 1],
  ] as const;
  const [year, month, day] = mostly<readonly [number, number, number]>(random, good, [
    [2023, 2, 30],
    [0, 0, 0],
  ]);
  const days = BigInt(((year * 13 + month) << 5) | day);
  return all(big((days << 17n) | (random.chance(80) ? 0x1_2345n : 0x1_ffffn) | 0x80_0000_0000n, 5), big(random.pick([0, 1, 999_999]), 3));
}

export const itemColumns: readonly LogColumn[] = [
  { name: 'id', type: wire.long, metadata: [], value: (random) => uint(random.pick([1, 2, -1, 2 ** 31 - 1]), 4) },
  { name: 'name', type: wire.varchar, metadata: [0xa0, 0x00], collation: 45, value: (random) => behind(1, anyText(random)) },
  { name: 'long', type: wire.varchar, metadata: [0xe8, 0x03], collation: 45, value: (random) => behind(2, anyText(random)) },
  { name: 'price', type: wire.decimal, metadata: [12, 4], value: (random) => all(uint(random.pick([0x80, 0x7f, 0xff, 0]), 1), random.bytes(5)) },
  { name: 'huge', type: wire.longlong, metadata: [], unsigned: true, value: (random) => random.bytes(8) },
  { name: 'small', type: wire.int24, metadata: [], value: (random) => random.bytes(3) },
  { name: 'flag', type: wire.tiny, metadata: [], value: (random) => uint(mostly(random, [0, 1], [2]), 1) },
  { name: 'part', type: wire.float, metadata: [4], value: (random) => random.bytes(4) },
  { name: 'ratio', type: wire.double, metadata: [8], value: (random) => random.bytes(8) },
  { name: 'day', type: wire.date, metadata: [], value: (random) => uint(mostly(random, [(2024 << 9) | (2 << 5) | 29], [0, (2023 << 9) | (2 << 5) | 30, 0xff_ffff]), 3) },
  {
    name: 'at_time',
    type: wire.time,
    metadata: [2],
    value: (random) => all(big(mostly(random, [0x80_0000, 0x80_1234, 0x81_7efb], [0x7f_0000, 0x81_8000, 0x82_0000]), 3), random.bytes(1)),
  },
  { name: 'wall', type: wire.datetime, metadata: [6], value: datetime },
  { name: 'seen', type: wire.timestamp, metadata: [3], value: (random) => all(big(mostly(random, moments, [0n]), 4), random.bytes(2)) },
  { name: 'ref', type: wire.string, metadata: [254, 16], collation: 63, value: (random) => behind(1, random.bytes(random.pick([16, 16, 3, 0]))) },
  { name: 'mood', type: wire.string, metadata: [wire.enum, 1], collation: 45, labels: ['good', "it's", ''], value: (random) => uint(mostly(random, [1, 2, 3], [0, 9]), 1) },
  { name: 'doc', type: wire.blob, metadata: [4], collation: 45, value: (random) => behind(4, random.chance(50) ? Buffer.from('{"a":[1,null]}') : anyText(random)) },
  { name: 'raw', type: wire.blob, metadata: [2], collation: 63, value: (random) => behind(2, random.bytes(random.size(40))) },
  { name: 'west', type: wire.varchar, metadata: [40, 0], collation: 8, value: (random) => behind(1, Buffer.from(mostly(random, ['', 'west', 'ä'], ['\0', '\x81']), 'latin1')) },
  { name: 'wide', type: wire.varchar, metadata: [80, 0], collation: 54, value: (random) => behind(1, Buffer.from(random.pick(texts), 'utf16le')) },
  { name: 'packed', type: wire.compressedVarchar, metadata: [0xe9, 0x03], collation: 45, value: (random) => behind(2, packed(random)) },
  { name: 'pressed', type: wire.compressedBlob, metadata: [3], collation: 63, value: (random) => behind(3, packed(random)) },
];

/** What the log says of a table's columns. */
export function description(columns: readonly LogColumn[]): Buffer {
  const numeric: readonly number[] = [wire.tiny, wire.int24, wire.long, wire.longlong, wire.decimal, wire.float, wire.double];
  const signs = columns.filter(({ type }) => numeric.includes(type)).map(({ unsigned }) => unsigned === true);
  const bits = Buffer.alloc((signs.length + 7) >> 3);
  for (const [i, isUnsigned] of signs.entries()) if (isUnsigned) bits[i >> 3] = (bits[i >> 3] ?? 0) | (0x80 >> (i & 7));
  const labelled = columns.filter(({ labels }) => labels !== undefined);
  const optional = (code: number, data: Buffer): Buffer => (data.length === 0 ? data : all(uint(code, 1), sized(data)));
  return all(
    length(columns.length),
    Buffer.from(columns.map(({ type }) => type)),
    sized(Buffer.from(columns.flatMap(({ metadata }) => metadata))),
    Buffer.alloc((columns.length + 7) >> 3, 0xfe),
    optional(1, bits),
    optional(3, all(...columns.filter(({ collation, labels }) => collation !== undefined && labels === undefined).map(({ collation = 0 }) => length(collation)))),
    optional(4, all(...columns.map(({ name }) => sized(name)))),
    optional(6, all(...labelled.map(({ labels = [] }) => all(length(labels.length), ...labels.map(sized))))),
    optional(10, labelled.length === 0 ? Buffer.alloc(0) : length(45)),
  );
}

export function tableMap(id: number, database: string, table: string, described: Buffer): BareEvent {
  const name = (text: string): Buffer => all(uint(Buffer.byteLength(text), 1), text, uint(0, 1));
  return { type: 19, flags: 0, body: all(uint(id, 6), uint(1, 2), name(database), name(table), described) };
}

/** Rows that were inserted, updated or deleted, in one of the two versions of the event, compressed or not. */
export function rows(random: Random, id: number, columns: readonly LogColumn[]): BareEvent {
  const change = random.below(3);
  const [first, version] = random.pick([
    [23, 1],
    [30, 2],
    [166, 1],
    [169, 2],
  ] as const);
  const bitmap = Buffer.alloc((columns.length + 7) >> 3, 0xff);
  const image = (): Buffer => {
    const nulls = Buffer.alloc(bitmap.length);
    const values = columns.map(({ value }, i) => {
      if (i === 0 || !random.chance(3)) return value(random);
      nulls[i >> 3] = (nulls[i >> 3] ?? 0) | (1 << (i & 7));
      return Buffer.alloc(0);
    });
    return all(nulls, ...values);
  };
  const images = all(...Array.from({ length: random.pick([1, 1, 2, 3]) * (change === 1 ? 2 : 1) }, image));
  const body = all(
    uint(random.chance(97) ? id : 0xff_ffff, 6),
    uint(random.pick([1, 0]), 2),
    version === 2 ? uint(2, 2) : '',
    length(columns.length),
    bitmap,
    change === 1 ? bitmap : '',
    first < 100 ? images : compressed(images),
  );
  return { type: first + change, flags: 0, body };
}

const compressed = (bytes: Buffer): Buffer => all(uint(0x84, 1), big(bytes.length, 4), deflateSync(bytes));

export function query(random: Random, sql: string, database = 'shop'): BareEvent {
  const text = Buffer.from(sql);
  const isPacked = random.chance(10);
  const variables = all(
    uint(0, 1),
    uint(0, 4),
    uint(1, 1),
    uint(random.chance(80) ? 0 : (1 << 2) | (1 << 20), 8),
    uint(4, 1),
    uint(mostly(random, [45, 8], [54, 999]), 2),
    uint(0, 4),
  );
  const head = all(Buffer.alloc(8), uint(database.length, 1), uint(0, 2), uint(variables.length, 2));
  return { type: isPacked ? 165 : 2, flags: 0, body: all(head, variables, database, uint(0, 1), isPacked ? compressed(text) : text) };
}

export const gtid = (sequence: number, flags: number): BareEvent => ({ type: 162, flags: 0, body: all(uint(sequence, 8), uint(0, 4), uint(flags, 1), Buffer.alloc(6)) });

/** The event as it was sent, checksum included. */
export function eventBytes({ type, flags, body }: BareEvent): Buffer {
  const whole = all(uint(1_700_000_000, 4), uint(type, 1), uint(1, 4), uint(19 + body.length + 4, 4), uint(0, 4), uint(flags, 2), body);
  return all(whole, uint(crc32(whole), 4));
}

/** Events as one input: each behind its type, its flags and its length. */
export const joined = (events: readonly BareEvent[]): Buffer => all(...events.map(({ type, flags, body }) => all(uint(type, 1), uint(flags, 2), uint(body.length, 4), body)));

export function split(input: Buffer): readonly BareEvent[] {
  const events: BareEvent[] = [];
  for (let at = 0; at + 7 <= input.length; ) {
    const size = Math.min(input.readUInt32LE(at + 3), input.length - at - 7);
    events.push({ type: input.readUInt8(at), flags: input.readUInt16LE(at + 1), body: input.subarray(at + 7, at + 7 + size) });
    at += 7 + size;
  }
  return events;
}

/** The packets of a connection, each event behind its byte that says so. */
export function packets(events: readonly Buffer[]): Buffer {
  return all(...events.map((event, i) => all(uint(event.length + 1, 3), uint(i + 1, 1), uint(0, 1), event)));
}

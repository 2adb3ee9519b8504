import type { ScalarKind } from '../../../core/cell.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { decodeFrame, ProtocolFault } from '../../../backends/postgres/player/pgoutput.ts';
import { TRUNCATE_MESSAGE } from '../../../backends/postgres/log-names.ts';
import { type TableShape, TransactionAssembler } from '../../../backends/postgres/player/transaction-assembler.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const kinds: readonly (readonly [ScalarKind, number])[] = [
  ['int64', 20],
  ['text', 25],
  ['bool', 16],
  ['bytes', 17],
  ['decimal', 1700],
  ['date', 1082],
  ['timestamptz', 1184],
  ['float64', 701],
  ['int32', 23],
];
const columns: readonly ColumnSchema[] = kinds.map(([kind], index) => ({ name: `c${index}`, kind, nullable: index > 0, hasDefault: false, generated: false, nativeType: kind }));
const schema: TableSchema = { name: 'item', columns, primaryKey: ['c0'], uniqueKeys: [], fingerprint: 'f' };
const shape: TableShape = { schema, columns: kinds.map(([, typeOid], index) => ({ name: `c${index}`, typeOid, typeModifier: -1 })) };
const stream = { id: 'move.forward', workflow: 'move', tables: ['item'] };
const requestTexts = ['caller', 'request_id', 'table_name', 'digest', 'result', 'recorded_at'];

const u8 = (value: number): Buffer => Buffer.from([value]);
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
};
const zeroed = (text: string): Buffer => Buffer.from(`${text}\0`);
const all = (...parts: readonly (Buffer | string)[]): Buffer => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));

function relation(id: number, namespace: string, table: string, names: readonly { readonly name: string; readonly oid: number }[]): Buffer {
  return all(
    'R',
    u32(id),
    zeroed(namespace),
    zeroed(table),
    'd',
    u16(names.length),
    ...names.map(({ name, oid }, index) => all(u8(index === 0 ? 1 : 0), zeroed(name), u32(oid), u32(-1))),
  );
}

/** Relation id of a partition of `item`, as it may be where that is partitioned. */
const PARTITION = 6;

const texts = (names: readonly string[]): readonly { readonly name: string; readonly oid: number }[] => names.map((name) => ({ name, oid: 25 }));
const relations: readonly Buffer[] = [
  relation(
    1,
    'public',
    'item',
    shape.columns.map(({ name, typeOid }) => ({ name, oid: typeOid })),
  ),
  relation(2, 'switchyard', 'request', texts(requestTexts)),
  relation(3, 'switchyard', 'marker', texts(['workflow', 'attempt'])),
  relation(4, 'switchyard', 'watermark', texts(['stream', 'id'])),
  relation(5, 'switchyard', 'stream', texts(['id'])),
  relation(
    PARTITION,
    'beside',
    'item_part',
    shape.columns.map(({ name, typeOid }) => ({ name, oid: typeOid })),
  ),
];

const values: readonly string[][] = [
  ['1', '-9223372036854775808', 'x', '', '1e3', '0x10'],
  ['text', '\0', 'ä'],
  ['t', 'f', 'true'],
  ['\\x00ff', '\\xzz', 'raw', '\\x0'],
  ['1.50', 'NaN', 'Infinity', 'abc'],
  ['2024-02-29', 'infinity', '0044-03-15 BC', '2024-99-99'],
  ['2024-01-01 00:00:00+00', 'infinity', '294277-01-01 00:00:00+00', '2024-13-40 99:99:99+99'],
  ['1.5', 'NaN', '-Infinity', 'x'],
  ['7', '-1', 'seven', '99999999999'],
];

function tuple(random: Random, cells: readonly (readonly string[])[]): Buffer {
  const parts = cells.map((choices) => {
    if (random.chance(10)) return Buffer.from(random.pick(['n', 'u']));
    const text = Buffer.from(random.pick(choices));
    return all('t', u32(text.length), text);
  });
  return all(u16(parts.length), ...parts);
}

const requestCells = [['me'], ['id-1', ''], ['item', 'other'], ['d'], ['\\x0102', 'x', ''], ['1700000000000000', 'soon', '']];
const signalCells = [
  ['move', 'move.forward', 'other'],
  ['7', 'x', '', '1e400'],
];

function change(random: Random): Buffer {
  const id = random.pick([1, 1, 1, 1, 2, 3, 4, 5, PARTITION, PARTITION, 9]);
  const cells = id === 1 || id === PARTITION ? values : id === 2 ? requestCells : signalCells;
  const row = (): Buffer => tuple(random, cells);
  const kind = random.below(10);
  if (kind < 5) return all('I', u32(id), 'N', row());
  if (kind < 7) return all('U', u32(id), ...(random.chance(50) ? [random.pick(['K', 'O']), row()] : []), 'N', row());
  if (kind < 9) return all('D', u32(id), random.pick(['K', 'O']), row());
  const truncate = all('T', u32(1), u8(0), u32(id));
  return random.chance(50) ? truncate : logged(random.pick([TRUNCATE_MESSAGE, 'other', '']), random.pick(['item', 'other', '']));
}

const logged = (prefix: string, text: string): Buffer => all('M', u8(1), u64(4n), zeroed(prefix), u32(text.length), text);

/** A frame that carries a message, with its length before it so that an input can hold many. */
const framed = (message: Buffer): Buffer => {
  const frame = all('w', u64(1n), u64(2n), u64(3n), message);
  return all(u32(frame.length), frame);
};

function split(input: Buffer): readonly Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 4 <= input.length; ) {
    const length = input.readUInt32BE(at);
    frames.push(input.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return frames;
}

/** The frames of a replication connection, from bytes to transactions. A failure ends the stream with a reason, as in the feed. */
export const target: FuzzTarget = {
  name: 'pgoutput',
  words: ['w', 'k', 'B', 'C', 'I', 'U', 'D', 'T', 'R', 'N', 'K', 'O', 't', 'n', 'u', '\\x', '\xff\xff\xff\xff', 'item', 'switchyard', 'request'],
  generate: (random) => {
    const messages = [
      ...relations,
      all('B', u64(1n), u64(2n), u32(1)),
      ...Array.from({ length: random.below(6) }, () => change(random)),
      all('C', u8(0), u64(5n), u64(6n), u64(7n)),
    ];
    return Buffer.concat(messages.map(framed));
  },
  open: async () => ({
    run: async (input) => {
      const assembler = new TransactionAssembler(stream, new Map([['item', shape]]), new Map([[PARTITION, 'item']]));
      let transactions = 0;
      const outcome = await outcomeOf(
        () => {
          for (const bytes of split(input)) {
            const frame = decodeFrame(bytes);
            if (frame.kind !== 'data') continue;
            const assembled = assembler.take(frame);
            if (assembled === null) continue;
            transactions += 1;
            must(assembled.transaction.ageMs >= 0, 'an age below 0');
            for (const event of assembled.transaction.events) {
              if (event.kind === 'marker') must(Number.isSafeInteger(event.attempt), `a marker of attempt ${event.attempt}`);
              if (event.kind === 'watermark') must(Number.isSafeInteger(event.id), `a watermark of id ${event.id}`);
              if (event.kind === 'insert') must(!event.row.some((cell, index) => Number.isNaN(cell) && columns[index]?.kind === 'int32'), 'an integer that is no number');
              if (event.kind === 'insert') must(event.row.length === columns.length, `a row of ${event.row.length} cells`);
            }
          }
        },
        [ProtocolFault],
        ['STORE_FAILED'],
      );
      return outcome === 'value' ? `${Math.min(transactions, 2)} transactions` : outcome;
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

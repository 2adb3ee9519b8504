import { expect, test } from '@jest/globals';
import { deflateSync } from 'node:zlib';
import { Charsets } from '../../backends/mariadb/player/binlog/charsets.ts';
import { GtidPosition } from '../../backends/mariadb/player/binlog/gtid-position.ts';
import { LogDecoder } from '../../backends/mariadb/player/binlog/log-events.ts';
import { decodeColumns } from '../../backends/mariadb/player/binlog/table-map.ts';
import { type Assembled, TransactionAssembler } from '../../backends/mariadb/player/transaction-assembler.ts';
import { createTableParts } from '../../backends/mariadb/owner/create-table.ts';
import { position } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { all, type BareEvent, description, eventBytes, gtid, type LogColumn, tableMap, uint } from '../fuzz/inputs/binlog.ts';

const value = (): Buffer => Buffer.alloc(0);
const columns: readonly LogColumn[] = [
  { name: 'id', type: 3, metadata: [], value },
  { name: 'packed', type: 141, metadata: [0xe9, 0x03], collation: 45, value },
];
const schema: TableSchema = {
  name: 't',
  columns: [
    { name: 'id', kind: 'int32', nullable: false, hasDefault: false, generated: false, nativeType: 'int(11)' },
    { name: 'packed', kind: 'text', nullable: false, hasDefault: false, generated: false, nativeType: 'varchar(250)' },
  ],
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: 'f',
};
const ground = {
  shapes: new Map([
    [
      't',
      {
        schema,
        columns: [
          { name: 'id', form: 'int' },
          { name: 'packed', form: 'varying(1001) utf8mb4 compressed' },
        ],
      },
    ],
  ]),
  charsets: new Charsets(new Map([[45, 'utf8mb4']]), new Map()),
  confirmed: position('0-1-1'),
};
const inserted = (packed: Buffer): BareEvent => ({
  type: 23,
  flags: 0,
  body: all(uint(7, 6), uint(1, 2), uint(2, 1), uint(3, 1), uint(0, 1), uint(1, 4), uint(packed.length, 2), packed),
});
const commit: BareEvent = { type: 16, flags: 0, body: uint(1, 8) };
const head = [{ type: 15, flags: 0, body: all(Buffer.alloc(57), uint(1, 1)) }, gtid(2, 0), tableMap(7, 'shop', 't', description(columns))];

function assembled(...events: readonly BareEvent[]): readonly Assembled[] {
  const assembler = new TransactionAssembler({ id: 's', workflow: 'w', tables: ['t'] }, 'shop', ground, GtidPosition.parse('0-1-1'));
  const decoder = new LogDecoder();
  return [...head, ...events].flatMap((event) => assembler.take(decoder.decode(eventBytes(event))) ?? []);
}

const protocol = expect.objectContaining({ reason: 'STREAM_FAILED', metadata: expect.objectContaining({ problem: 'PROTOCOL' }) });

// What a transaction may hold in memory is bounded, and a compressed value is small in the log alone.
test('a value counts by its length in memory, however small the log has it', () => {
  const text = 'a'.repeat(200_000);
  const packed = deflateSync(text);
  expect(packed.length).toBeLessThan(1_000);
  const [found] = assembled(inserted(all(uint(0x83, 1), uint(text.length, 3), packed)), commit);
  expect(found?.transaction.events).toEqual([{ kind: 'insert', table: 't', row: [1, text] }]);
  expect(found?.bytes).toBeGreaterThan(text.length);
});

test('compressed bytes that are none end the stream with a reason', () => {
  const broken = all(deflateSync('abc').subarray(0, 6), Buffer.alloc(4, 0xff));
  expect(() => assembled(inserted(all(uint(0x81, 1), uint(3, 1), broken)))).toThrow(protocol);
  expect(() => assembled({ type: 166, flags: 0, body: all(uint(7, 6), uint(1, 2), uint(2, 1), uint(3, 1), uint(0x81, 1), uint(3, 1), broken) })).toThrow(protocol);
  // More than it says.
  expect(() => assembled({ type: 166, flags: 0, body: all(uint(7, 6), uint(1, 2), uint(2, 1), uint(3, 1), uint(0x81, 1), uint(3, 1), deflateSync('a'.repeat(9_000))) })).toThrow(
    protocol,
  );
});

test('a table of more columns than a table can have is none', () => {
  expect(() => decodeColumns(all(uint(0xfd, 1), uint(5_000, 3), Buffer.alloc(5_000, 3), uint(0, 1), Buffer.alloc(625)))).toThrow(protocol);
});

test.each(["\\'", '\\"', "'", '`', '/*', '`a`', '`a`, '])('the parts of a definition that goes on with %s cost no more than its length', (part) => {
  const before = process.cpuUsage();
  for (const begin of ['', 'CONSTRAINT `a` FOREIGN KEY (']) createTableParts(`CREATE TABLE \`t\` (${begin}${part.repeat(60_000)})`);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(1_000);
});

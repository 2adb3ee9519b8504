import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { FollowedLog } from '../../backends/service/followed-log.ts';
import type { Transport } from '../../backends/service/transport.ts';
import { logPieces } from '../../control/peers/log-pieces.ts';
import type { ChangeTransaction } from '../../core/change.ts';
import { position } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { FollowResponseSchema } from '../../gen/switchyard/store/v1/replication_store_pb.ts';

/* A log that is sent in pieces is followed as it was: whole transactions, in arrays that lose nothing, whatever the pieces' size. */

const column = { nullable: true, hasDefault: false, generated: false };
const item: TableSchema = {
  name: 'item',
  columns: [
    { ...column, name: 'id', kind: 'int64', nativeType: 'bigint', nullable: false },
    { ...column, name: 'name', kind: 'text', nativeType: 'text' },
  ],
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: 'f',
};
const schemas = new Map([['item', item]]);
const transaction = (number: number, rows: number): ChangeTransaction => ({
  id: number,
  position: position(`0/${number}`),
  ageMs: 0,
  events: Array.from({ length: rows }, (_, i) => ({ kind: 'insert', table: 'item', row: [BigInt(number * 1_000 + i), 'x'.repeat(i % 50)] })),
});
const arrivals: readonly (readonly ChangeTransaction[])[] = [
  [transaction(1, 1), transaction(2, 300)],
  [],
  [transaction(3, 0), transaction(4, 7), transaction(5, 40)],
  [transaction(6, 120)],
];

test.each([1, 300, 2_000, 20_000, 4_000_000])('in pieces of about %d bytes', async (pieceBytes) => {
  const messages = arrivals.flatMap((transactions) => [...logPieces(schemas, transactions, pieceBytes)]);
  if (pieceBytes < 2_000) expect(messages.length).toBeGreaterThan(100);
  const transport = {
    async *stream() {
      for (const message of messages) yield create(FollowResponseSchema, message);
    },
  } as unknown as Transport;
  const stream = { id: 's', workflow: 'w', tables: ['item'] };
  const log = new FollowedLog({ transport, keyspace: 'there', stream, schemas, from: position('0/0'), reader: 'r', onBackgroundError: () => {} }, new AbortController().signal);
  const seen: ChangeTransaction[] = [];
  const read = async (): Promise<void> => {
    for await (const transactions of log) seen.push(...transactions);
  };
  // The service never ends a log by itself.
  await expect(read()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  expect(seen).toEqual(arrivals.flat());
});

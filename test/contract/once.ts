import type { DataStore } from '../../backends/backend.ts';
import { cellText } from '../../core/cell.ts';
import type { WriteOperation } from '../../core/operation.ts';
import type { OnceRequest, RequestRecord } from '../../core/request-record.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { never } from './move-stores.ts';

/** The request that asks for these writes once: its digest tells their content apart, its result is the text of what they return. */
export const onceRequest = (id: string, operations: readonly WriteOperation[], more: Partial<OnceRequest> = {}): OnceRequest => ({
  caller: 'teller',
  id,
  table: 'item',
  digest: JSON.stringify(operations, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
  encode: (results) => Buffer.from(results.map(({ row, found }) => `${found}:${row?.cells.map(cellText).join() ?? ''}`).join(' | ')),
  answer: { form: 'mutate', maxBytes: 16 * 1024 * 1024 },
  ...more,
});

/** What was answered, readable. */
export interface OnceText {
  readonly result: string;
  readonly repeated: boolean;
}

/** Sends the writes once under the id. */
export async function writeOnce(
  store: DataStore,
  schemas: ReadonlyMap<string, TableSchema>,
  id: string,
  operations: readonly WriteOperation[],
  more: Partial<OnceRequest> = {},
  signal = never(),
): Promise<OnceText> {
  const { result, repeated } = await store.writeOnce(schemas, operations, onceRequest(id, operations, more), signal);
  return { result: Buffer.from(result).toString(), repeated };
}

/** An insert into `item`, whose key the store gives. */
export const insertNamed = (name: string, amount = 0): WriteOperation => ({
  kind: 'insert',
  table: 'item',
  row: { columns: ['name', 'amount'], cells: [name, amount] },
  returning: ['id'],
});

/** A record as a store may hold it. */
export const recordOf = (id: string, more: Partial<RequestRecord> = {}): RequestRecord => ({
  caller: 'teller',
  id,
  table: 'item',
  digest: 'digest',
  result: new Uint8Array([0, 255, 92]),
  recordedAtMicros: 1_790_000_000_000_000n,
  ...more,
});

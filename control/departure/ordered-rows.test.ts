import { expect, test } from '@jest/globals';
import type { Cell } from '../../core/cell.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { OrderedRows, type ReadPage } from './ordered-rows.ts';

const never = new AbortController().signal;
const table = { name: 'ticket', columns: [{ name: 'title' }, { name: 'no' }], primaryKey: ['no'] } as unknown as TableSchema;
const rowOf = (no: bigint): readonly Cell[] => [`ticket ${no}`, no];

/** A service that gives at most two rows, whatever it is asked for. */
const pagesOf =
  (numbers: readonly bigint[]): ReadPage =>
  async (after) =>
    numbers
      .filter((no) => after === null || no > (after[0] as bigint))
      .slice(0, 2)
      .map(rowOf);

async function all(rows: OrderedRows): Promise<readonly Cell[]> {
  const found: Cell[] = [];
  for (let row = await rows.peek(never); row !== null; row = await rows.peek(never)) {
    found.push(...rows.keyOf(row));
    rows.take();
  }
  return found;
}

test('rows come to the last one, also where every page is shorter than it was asked for', async () => {
  expect(await all(new OrderedRows(pagesOf([1n, 2n, 5n, 8n, 9n]), table, 500))).toEqual([1n, 2n, 5n, 8n, 9n]);
  expect(await all(new OrderedRows(pagesOf([]), table, 500))).toEqual([]);
});

test('a service that gives rows out of order, or the same ones again, is refused', async () => {
  for (const pages of [async () => [rowOf(3n), rowOf(2n)], async () => [rowOf(1n), rowOf(2n)]]) {
    const failure = await all(new OrderedRows(pages, table, 500)).then(
      () => null,
      (error: unknown) => error,
    );
    expect(hasReason(failure, 'STREAM_FAILED')).toBe(true);
  }
});

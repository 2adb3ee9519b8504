import { type Cell, cellsEqual } from '../../../core/cell.ts';
import type { OrderTerm } from '../../../core/operation.ts';
import type { ColumnSchema } from '../../../core/table-schema.ts';
import { decodePageToken, encodePageToken, queryDigest } from '../../../gateway/codec/page-token.ts';
import { tableHandle } from '../../../gateway/codec/table-handle.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const column = (name: string, kind: ColumnSchema['kind'], more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  kind,
  nullable: true,
  hasDefault: false,
  generated: false,
  nativeType: kind,
  ...more,
});
const columns = [
  column('id', 'int64'),
  column('name', 'text'),
  column('seen', 'timestamptz'),
  column('ratio', 'float64'),
  column('price', 'decimal'),
  column('tags', 'array', { elementKind: 'text' }),
];
const handle = tableHandle('old', { name: 'item', columns, primaryKey: ['id'], uniqueKeys: [], fingerprint: 'f' });
const orders: readonly (readonly OrderTerm[])[] = [['id'], ['name', 'id'], ['seen', 'ratio', 'id'], ['price', 'tags', 'id']].map((names) =>
  names.map((name) => ({ column: name, descending: false })),
);
const lasts: readonly (readonly Cell[])[] = [[1n], ['a', 1n], [5n, 0.5, 1n], ['1.5', ['x', null], 1n]];

/** Tokens as callers send them back. The first byte chooses the order that they are sent with, the second whether what follows is a token's text or the bytes within one with a true digest. */
export const target: FuzzTarget = {
  name: 'page-token',
  words: ['=', '-', '_', '\x01', '\x0a', '\x1a\x00', '\x12\x02'],
  generate: (random) => {
    const at = random.below(orders.length);
    const order = orders[at] ?? [];
    const token = encodePageToken(handle, order, queryDigest('old.item', undefined, order), lasts[at] ?? []);
    return random.chance(50) ? Buffer.concat([Buffer.from([at, 0]), Buffer.from(token)]) : Buffer.concat([Buffer.from([at, 1]), Buffer.from(token, 'base64url').subarray(13)]);
  },
  open: async () => ({
    run: async (input) => {
      const order = orders[(input[0] ?? 0) % orders.length] ?? [];
      const digest = queryDigest('old.item', undefined, order);
      const body = input.subarray(2);
      const token = (input[1] ?? 0) % 2 === 0 ? body.toString('utf8') : Buffer.concat([Buffer.from([1]), digest, body]).toString('base64url');
      const outcome = await outcomeOf(() => {
        const cells = decodePageToken(handle, order, digest, token);
        must(cells.length === order.length, `${cells.length} cells for ${order.length} columns`);
        const again = decodePageToken(handle, order, digest, encodePageToken(handle, order, digest, cells));
        must(
          again.every((cell, index) => cellsEqual(cell, cells[index] ?? null)),
          'a token is not read as it is written',
        );
      });
      must(outcome === 'value' || outcome === 'PAGE_TOKEN_INVALID', `a token that is none is refused with ${outcome}`);
      return outcome;
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

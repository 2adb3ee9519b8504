import { createHash } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Cell } from '../../core/cell.ts';
import type { OrderTerm } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { FilterSchema, type Filter as WireFilter } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { ArrayValueSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';
import { encodeCell } from '../../runtime/wire/encode-cell.ts';
import type { TableHandle } from './table-handle.ts';

const formVersion = 1;
const digestLength = 12;
/** As large as a page's largest cell may be, and more. */
const longestToken = 4 * 1_024 * 1_024;

/** Says which query a token belongs to: table, filter and order. Page size and columns may differ from page to page; the table may move in between. */
export function queryDigest(key: string, filter: WireFilter | undefined, orderBy: readonly OrderTerm[]): Uint8Array {
  const hash = createHash('sha256').update(JSON.stringify([key, orderBy.map(({ column, descending }) => [column, descending])]));
  if (filter !== undefined) hash.update(toBinary(FilterSchema, filter));
  return hash.digest().subarray(0, digestLength);
}

/** Token of the page behind the row with these cells of the order's columns. */
export function encodePageToken(handle: TableHandle, orderBy: readonly OrderTerm[], digest: Uint8Array, last: readonly Cell[]): string {
  const elements = orderBy.map(({ column: name }, index) => {
    const column = handle.columns.get(name);
    if (column === undefined) throw new Error(`order column ${name} is not a column`);
    return encodeCell(column.kind, last[index] ?? null, column.elementKind);
  });
  const cells = toBinary(ArrayValueSchema, create(ArrayValueSchema, { elements }));
  return Buffer.concat([Uint8Array.of(formVersion), digest, cells]).toString('base64url');
}

/** Cells of the order's columns behind which the page begins. PAGE_TOKEN_INVALID for a token of another query. */
export function decodePageToken(handle: TableHandle, orderBy: readonly OrderTerm[], digest: Uint8Array, token: string): readonly Cell[] {
  const bytes = token.length > longestToken ? Buffer.alloc(0) : Buffer.from(token, 'base64url');
  if (bytes[0] !== formVersion || bytes.length <= digestLength) throw refused('it is malformed');
  if (!bytes.subarray(1, 1 + digestLength).equals(digest)) throw refused('it belongs to a query with another table, filter or order');
  try {
    const { elements } = fromBinary(ArrayValueSchema, bytes.subarray(1 + digestLength));
    if (elements.length !== orderBy.length) throw refused('it has another number of columns than the order');
    return orderBy.map(({ column: name }, index) => {
      const column = handle.columns.get(name);
      if (column === undefined) throw refused(`the table has no column "${name}" any more`);
      return decodeCell(elements[index], column, 'page_token');
    });
  } catch (cause) {
    if (cause instanceof SwitchyardError && cause.reason === 'PAGE_TOKEN_INVALID') throw cause;
    throw refused('it is malformed', cause);
  }
}

const refused = (why: string, cause?: unknown): SwitchyardError =>
  new SwitchyardError('PAGE_TOKEN_INVALID', `page_token: ${why}; give next_page_token of an earlier answer to the same query, or leave it out`, { cause });

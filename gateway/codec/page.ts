import type { QueryPage } from '../../core/operation.ts';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import { rowEncoder } from './encode.ts';
import { encodePageToken } from './page-token.ts';
import type { TableHandle } from './table-handle.ts';
import type { DecodedQuery } from './validate-reads.ts';

/** A page of rows with the token of the next one, empty where there is none. */
export function encodePage(
  handle: TableHandle,
  { operation, columns, digest }: DecodedQuery,
  { rows, more }: QueryPage,
): { readonly rows: WireRow[]; readonly nextPageToken: string } {
  const last = more ? rows.at(-1) : undefined;
  const after = last === undefined ? null : operation.orderBy.map((term) => last.cells[last.columns.indexOf(term.column)] ?? null);
  return { rows: rows.map(rowEncoder(handle, columns)), nextPageToken: after === null ? '' : encodePageToken(handle, operation.orderBy, digest, after) };
}

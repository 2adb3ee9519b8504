import type { MessageInitShape } from '@bufbuild/protobuf';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { StreamQueryRequest, StreamQueryResponseSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { encodePage } from './codec/page.ts';
import { checkRead, decodePiece } from './codec/validate-reads.ts';
import type { Call } from './flow/call.ts';
import type { Executor } from './flow/executor.ts';

type Piece = MessageInitShape<typeof StreamQueryResponseSchema> & { readonly rows: readonly unknown[]; readonly nextPageToken: string };

/** Wide rows end a piece long before its number does, and a store sends what was asked for all the same: so each piece asks for twice the rows that the one before it had. */
const firstPieceRows = 100;
const leastPieceRows = 10;

/**
 * The rows of a query piece by piece. Each is a statement of its own that goes behind the last row of the one before, at the store that serves the table then: no snapshot is held open while a slow caller reads, which a fence
 * would have to wait for, and a cutover in between is not noticed. While the caller takes one piece the next is read, and no more.
 */
export async function* streamRows(executor: Executor, call: Call, request: StreamQueryRequest): AsyncGenerator<Piece> {
  checkRead(request);
  if (request.limit < 0n) throw new SwitchyardError('ARGUMENT_INVALID', `limit: got ${request.limit}; must be 0, for no limit, or more`);
  const limit = request.limit === 0n ? Number.POSITIVE_INFINITY : Number(request.limit);
  let pieceRows = firstPieceRows;
  const read = (pageToken: string, left: number): Promise<Piece> => {
    const most = Math.min(left, pieceRows);
    const piece = executor.read(call, request.table, async (store, handle, ref) => {
      const decoded = decodePiece(handle, ref.table, { ...request, pageToken }, most);
      return encodePage(handle, decoded, await store.query(handle.schema, decoded.operation, call.signal));
    });
    piece.catch(() => {}); // told when it is asked for, if ever
    return piece;
  };
  let left = limit;
  let next = read(request.pageToken, left);
  for (;;) {
    const piece = await next;
    left -= piece.rows.length;
    pieceRows = Math.max(leastPieceRows, 2 * piece.rows.length);
    const isLast = piece.nextPageToken === '' || left <= 0;
    if (!isLast) next = read(piece.nextPageToken, left);
    yield piece;
    if (isLast) return;
  }
}

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChangeTransaction } from '../../core/change.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { ChangeEvent as WireEvent } from '../../gen/switchyard/store/v1/common_pb.ts';
import type { FollowResponseSchema } from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import { eventMessage, transactionMessage } from '../../runtime/wire/change-message.ts';
import { eventBytes } from '../streams/cell-bytes.ts';

type Followed = MessageInitShape<typeof FollowResponseSchema>;

/** What a message carries of a log, about: far less than one may. */
const usualBytes = 4 * 1024 * 1024;
/** What a change takes in a message beside its cells' own bytes, its table's name among it. */
const eventOverhead = 200;

/** The transactions of one arrival as messages; a large one in pieces, each of which says that it goes on. */
export function* logPieces(schemas: ReadonlyMap<string, TableSchema>, transactions: readonly ChangeTransaction[], pieceBytes = usualBytes): Generator<Followed> {
  let piece: NonNullable<Followed['transactions']> = [];
  let bytes = 0;
  for (const transaction of transactions) {
    let events: WireEvent[] = [];
    for (const event of transaction.events) {
      const size = eventBytes(event) + eventOverhead;
      if (bytes > 0 && bytes + size > pieceBytes) {
        const goesOn = events.length > 0;
        yield { transactions: goesOn ? [...piece, transactionMessage(transaction, events)] : piece, goesOn };
        [piece, events, bytes] = [[], [], 0];
      }
      events.push(eventMessage(schemas, event));
      bytes += size;
    }
    piece.push(transactionMessage(transaction, events));
  }
  yield { transactions: piece };
}

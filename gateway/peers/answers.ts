import type { MessageInitShape } from '@bufbuild/protobuf';
import { aggregateColumn } from '../../core/aggregate-column.ts';
import type { AggregateGroup, AggregateOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import type { TableEvent, TableEvents } from '../../core/table-event.ts';
import { columnNamed, type TableSchema } from '../../core/table-schema.ts';
import { Change_Kind } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type {
  AggregateResponseSchema,
  GetResponse,
  QueryResponseSchema,
  TableEventSchema,
  UnreadableEventSchema,
  WriteResponseSchema,
} from '../../gen/switchyard/store/v1/data_store_pb.ts';
import { cellsMessage, columnsOf, namedMessage, orderedCells } from '../../runtime/wire/cells.ts';
import { encodeCell } from '../../runtime/wire/encode-cell.ts';
import { resultMessage } from '../../runtime/wire/write-message.ts';

/* What a store has answered, as messages to a peer. */

export const rowAnswer = (schema: TableSchema, names: readonly string[], row: Row | null): GetResponse => ({
  $typeName: 'switchyard.store.v1.GetResponse',
  ...(row === null ? {} : { row: cellsMessage(columnsOf(schema, names), orderedCells(names, row)) }),
});

export function pageAnswer(schema: TableSchema, names: readonly string[], { rows, more }: QueryPage): MessageInitShape<typeof QueryResponseSchema> {
  const columns = columnsOf(schema, names);
  return { rows: rows.map((row) => cellsMessage(columns, orderedCells(names, row))), more };
}

export function groupsAnswer(
  schema: TableSchema,
  { groupBy, aggregations }: AggregateOperation,
  groups: readonly AggregateGroup[],
): MessageInitShape<typeof AggregateResponseSchema> {
  const column = groupBy === null ? null : columnNamed(schema, groupBy);
  const columns = aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(schema, name)));
  return {
    groups: groups.map(({ group, values }) => ({
      ...(column === null ? {} : { group: encodeCell(column.kind, group, column.elementKind) }),
      values: columns.map(({ kind, elementKind }, index) => encodeCell(kind, values[index] ?? null, elementKind)),
    })),
  };
}

export const writtenAnswer = (
  schemas: ReadonlyMap<string, TableSchema>,
  operations: readonly WriteOperation[],
  results: readonly WriteResult[],
): MessageInitShape<typeof WriteResponseSchema> => ({
  results: operations.flatMap((operation, index) => {
    const result = results[index];
    return result === undefined ? [] : [resultMessage(schemas, operation, result)];
  }),
});

const eventKinds = { insert: Change_Kind.INSERT, update: Change_Kind.UPDATE, delete: Change_Kind.DELETE, truncate: Change_Kind.TRUNCATE } as const;

export const eventAnswer = (schema: TableSchema, { attempt, number, kind, before, after, changedAtMicros }: TableEvent): MessageInitShape<typeof TableEventSchema> => ({
  attempt: BigInt(attempt),
  number,
  kind: eventKinds[kind],
  ...(before === null ? {} : { before: namedMessage(schema, before) }),
  ...(after === null ? {} : { after: namedMessage(schema, after) }),
  changedAtMicros,
});

export const unreadableAnswer = ({ attempt, number, error }: NonNullable<TableEvents['unreadable']>): MessageInitShape<typeof UnreadableEventSchema> => ({
  attempt: BigInt(attempt),
  number,
  message: error.message,
  metadata: { ...error.metadata },
});

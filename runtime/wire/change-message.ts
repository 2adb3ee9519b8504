import type { ChangeEvent, ChangeTransaction } from '../../core/change.ts';
import { attempt, position } from '../../core/ids.ts';
import type { RequestRecord } from '../../core/request-record.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ChangeEvent as WireEvent, RequestRecord as WireRecord } from '../../gen/switchyard/store/v1/common_pb.ts';
import type { ChangeTransaction as WireTransaction } from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { cellsFromMessage, cellsMessage, changedFromMessage, changedMessage, keyColumnsOf } from './cells.ts';
import { schemaOf } from './write-message.ts';

type Schemas = ReadonlyMap<string, TableSchema>;

export const recordMessage = ({ recordedAtMicros, ...record }: RequestRecord): WireRecord => ({
  $typeName: 'switchyard.store.v1.RequestRecord',
  ...record,
  result: Uint8Array.from(record.result),
  recordedAtMicros,
});

export const recordFromMessage = ({ caller, id, table, digest, result, recordedAtMicros }: WireRecord): RequestRecord => ({ caller, id, table, digest, result, recordedAtMicros });

/** A change, or another word of a log, as a message. */
export const eventMessage = (schemas: Schemas, event: ChangeEvent): WireEvent => ({ $typeName: 'switchyard.store.v1.ChangeEvent', kind: kindOf(schemas, event) });

function kindOf(schemas: Schemas, event: ChangeEvent): WireEvent['kind'] {
  switch (event.kind) {
    case 'insert': {
      const row = cellsMessage(schemaOf(schemas, event.table).columns, event.row);
      return { case: 'insert', value: { $typeName: 'switchyard.store.v1.ChangeEvent.Insert', table: event.table, row } };
    }
    case 'update': {
      const schema = schemaOf(schemas, event.table);
      const old = event.oldKey === null ? {} : { oldKey: cellsMessage(keyColumnsOf(schema), event.oldKey) };
      return { case: 'update', value: { $typeName: 'switchyard.store.v1.ChangeEvent.Update', table: event.table, row: changedMessage(schema.columns, event.row), ...old } };
    }
    case 'delete': {
      const key = cellsMessage(keyColumnsOf(schemaOf(schemas, event.table)), event.key);
      return { case: 'delete', value: { $typeName: 'switchyard.store.v1.ChangeEvent.Delete', table: event.table, key } };
    }
    case 'truncate':
      return { case: 'truncate', value: { $typeName: 'switchyard.store.v1.ChangeEvent.Truncate', tables: [...event.tables] } };
    case 'marker':
      return { case: 'marker', value: BigInt(event.attempt) };
    case 'watermark':
      return { case: 'watermark', value: BigInt(event.id) };
    case 'request':
      return { case: 'request', value: recordMessage(event.record) };
  }
}

/** The reverse. STREAM_FAILED: a word that this release does not know, and must not leave out. */
export function eventFromMessage(schemas: Schemas, { kind }: WireEvent): ChangeEvent {
  switch (kind.case) {
    case 'insert': {
      const { table, row } = kind.value;
      return { kind: 'insert', table, row: cellsFromMessage(schemaOf(schemas, table).columns, row, table) };
    }
    case 'update': {
      const { table, row, oldKey } = kind.value;
      const schema = schemaOf(schemas, table);
      return {
        kind: 'update',
        table,
        row: changedFromMessage(schema.columns, row, table),
        oldKey: oldKey === undefined ? null : cellsFromMessage(keyColumnsOf(schema), oldKey, table),
      };
    }
    case 'delete': {
      const { table, key } = kind.value;
      return { kind: 'delete', table, key: cellsFromMessage(keyColumnsOf(schemaOf(schemas, table)), key, table) };
    }
    case 'truncate':
      return { kind: 'truncate', tables: kind.value.tables };
    case 'marker':
      return { kind: 'marker', attempt: attempt(Number(kind.value)) };
    case 'watermark':
      return { kind: 'watermark', id: Number(kind.value) };
    case 'request':
      return { kind: 'request', record: recordFromMessage(kind.value) };
    case undefined:
      throw new SwitchyardError('STREAM_FAILED', 'the log tells of a change that this release does not know: let both services run one release');
  }
}

/** A transaction without its events, or with these of them. */
export const transactionMessage = ({ id, position: at, ageMs }: ChangeTransaction, events: readonly WireEvent[]): WireTransaction => ({
  $typeName: 'switchyard.store.v1.ChangeTransaction',
  position: at,
  ageMs,
  events: [...events],
  ...(id === null ? {} : { id: BigInt(id) }),
});

export const transactionFromMessage = (schemas: Schemas, { id, position: at, ageMs, events }: WireTransaction): ChangeTransaction => ({
  id: id === undefined ? null : Number(id),
  position: position(at),
  ageMs,
  events: events.map((event) => eventFromMessage(schemas, event)),
});

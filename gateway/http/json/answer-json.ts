import { type DescField, type DescMessage, type MessageInitShape, ScalarType } from '@bufbuild/protobuf';
import type { AggregateRequest, AggregateResponseSchema } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row, Value } from '../../../gen/switchyard/data/v1/value_pb.ts';
import type { TableHandle } from '../../codec/table-handle.ts';
import { columnsOfGroups, decodeGrouping } from '../../codec/validate-aggregate.ts';
import { jsonFromValue } from '../../../runtime/json/cell-json.ts';

const rowType = 'switchyard.data.v1.Row';
const valueType = 'switchyard.data.v1.Value';

/** JSON text of an Aggregate's answer: every group and value as its column is written everywhere. */
export function groupsToJson({ groups = [] }: MessageInitShape<typeof AggregateResponseSchema>, handle: TableHandle, request: AggregateRequest): string {
  const columns = columnsOfGroups(handle, decodeGrouping(handle, request));
  const written = groups.map(({ group, values = [] }) => {
    const own = columns.group === null ? 'null' : jsonFromValue(group as Value, columns.group);
    return `{"group":${own},"values":[${values.map((value, index) => jsonFromValue(value as Value, columns.values[index])).join(',')}]}`;
  });
  return `{"groups":[${written.join(',')}]}`;
}

/** Writes a row; `index` is its place in the list that it stands in, 0 outside of one. */
export type WriteRow = (row: Row, index: number) => string;

/** JSON text of an answer: every field under its JSON name, a message that is not there as null. */
export function messageToJson(desc: DescMessage, message: MessageInitShape<DescMessage>, writeRow: WriteRow, index = 0): string {
  const given = message as Record<string, unknown>;
  const members = desc.fields.map((field) => `${JSON.stringify(field.jsonName)}:${fieldToJson(field, given[field.localName], writeRow, index)}`);
  return `{${members.join(',')}}`;
}

/** JSON text of one field. */
export function fieldToJson(field: DescField, value: unknown, writeRow: WriteRow, index = 0): string {
  switch (field.fieldKind) {
    case 'scalar':
      return JSON.stringify(value ?? (field.scalar === ScalarType.BOOL ? false : ''));
    case 'enum':
      return JSON.stringify(field.enum.values.find(({ number }) => number === (value ?? 0))?.name ?? value);
    case 'message':
      return value === undefined ? 'null' : nested(field.message, value, writeRow, index);
    case 'list': {
      const elements = (value ?? []) as readonly unknown[];
      return `[${elements.map((element, place) => (field.message === undefined ? JSON.stringify(element) : nested(field.message, element, writeRow, place))).join(',')}]`;
    }
    case 'map':
      throw new Error(`${field.parent.typeName}.${field.name}: no answer has a map but in its rows`);
  }
}

function nested(desc: DescMessage, value: unknown, writeRow: WriteRow, index: number): string {
  if (desc.typeName === rowType) return writeRow(value as Row, index);
  return desc.typeName === valueType ? jsonFromValue(value as Value) : messageToJson(desc, value as MessageInitShape<DescMessage>, writeRow, index);
}

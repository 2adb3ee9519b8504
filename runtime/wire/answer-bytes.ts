import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { AnswerForm } from '../../core/request-record.ts';
import type { Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { columnNamed, type TableSchema } from '../../core/table-schema.ts';
import {
  DeleteResponseSchema,
  InsertManyResponseSchema,
  InsertResponseSchema,
  MutateResponseSchema,
  UpdateResponseSchema,
  UpsertResponseSchema,
} from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { AnswerForm as WireForm } from '../../gen/switchyard/store/v1/common_pb.ts';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import { encodeCell } from './encode-cell.ts';

/* The answers to writes as the data API's messages: what a record keeps, made wherever the record is written. */

export interface Written {
  readonly schemas: ReadonlyMap<string, TableSchema>;
  readonly operations: readonly WriteOperation[];
}

/** The answer of this form to these writes, as its message's bytes. RESULT_TOO_LARGE: more than `maxBytes`. */
export function answerBytes(form: AnswerForm, written: Written, results: readonly WriteResult[], maxBytes: number): Uint8Array {
  const bytes = bytesOf(form, written, results);
  if (bytes.length <= maxBytes) return bytes;
  throw new SwitchyardError('RESULT_TOO_LARGE', `the answer comes to ${bytes.length} bytes, and ${maxBytes} can be answered with; ask for fewer columns`);
}

function bytesOf(form: AnswerForm, written: Written, results: readonly WriteResult[]): Uint8Array {
  const answers = results.map((result, index) => answerTo(written, index, result));
  const first = answers[0] ?? { deleted: false };
  switch (form) {
    case 'insert':
      return binary(InsertResponseSchema, rowOnly(first));
    case 'upsert':
      return binary(UpsertResponseSchema, rowOnly(first));
    case 'update':
      return binary(UpdateResponseSchema, rowOnly(first));
    case 'delete':
      return binary(DeleteResponseSchema, { deleted: first.deleted });
    case 'insertMany':
      return binary(InsertManyResponseSchema, { rows: answers.flatMap(({ row }) => (row === undefined ? [] : [row])) });
    case 'mutate':
      return binary(MutateResponseSchema, { results: answers });
  }
}

interface Answer {
  readonly row?: WireRow;
  readonly deleted: boolean;
}

function answerTo({ schemas, operations }: Written, index: number, { row, found }: WriteResult): Answer {
  const operation = operations[index];
  const schema = operation === undefined ? undefined : schemas.get(operation.table);
  if (operation === undefined || schema === undefined) throw new Error('the store answered a write that it was not asked for');
  const deleted = operation.kind === 'delete' && found;
  return row === null ? { deleted } : { row: rowMessage(schema, row), deleted };
}

const rowOnly = ({ row }: Answer): { readonly row?: WireRow } => (row === undefined ? {} : { row });

function rowMessage(schema: TableSchema, { columns, cells }: Row): WireRow {
  const entries = columns.map((name, index) => {
    const column = columnNamed(schema, name);
    return [name, encodeCell(column.kind, cells[index] ?? null, column.elementKind)] as const;
  });
  return { $typeName: 'switchyard.data.v1.Row', cells: Object.fromEntries(entries) };
}

const binary = <D extends DescMessage>(desc: D, message: MessageInitShape<D>): Uint8Array => toBinary(desc, create(desc, message));

export const wireForms: Readonly<Record<AnswerForm, WireForm>> = {
  insert: WireForm.INSERT,
  insertMany: WireForm.INSERT_MANY,
  upsert: WireForm.UPSERT,
  update: WireForm.UPDATE,
  delete: WireForm.DELETE,
  mutate: WireForm.MUTATE,
};

const forms: ReadonlyMap<WireForm, AnswerForm> = new Map((Object.keys(wireForms) as AnswerForm[]).map((form) => [wireForms[form], form]));

/** Null: unspecified, or one that this release does not know. */
export const formFromMessage = (form: WireForm): AnswerForm | null => forms.get(form) ?? null;

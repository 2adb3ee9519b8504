import { isGiven } from '../../../core/table-schema.ts';
import type { TableHandle } from '../../codec/table-handle.ts';
import { changeSchema, columnSchema, ref, type Schema } from './json-schema.ts';

/** Names of a table's schemas among the document's components. */
export interface TableSchemaNames {
  readonly row: string;
  readonly newRow: string;
  readonly upsertedRow: string;
  readonly changes: string;
  readonly key: string;
}

export interface DocumentedTable {
  /** As callers name it. */
  readonly name: string;
  readonly handle: TableHandle;
}

/** A table's name as a part of an id: other characters than letters, digits, dots and hyphens become their code. */
export const idOf = (table: string): string => table.replace(/[^A-Za-z0-9.-]/gu, (character) => `_${(character.codePointAt(0) ?? 0).toString(16)}`);

export function tableSchemaNames(table: string): TableSchemaNames {
  const id = idOf(table);
  return { row: `Row.${id}`, newRow: `NewRow.${id}`, upsertedRow: `UpsertedRow.${id}`, changes: `Changes.${id}`, key: `Key.${id}` };
}

/** A table's row as it is read, inserted, upserted and changed, and its primary key. */
export function tableSchemas({ name, handle }: DocumentedTable): Readonly<Record<string, Schema>> {
  const names = tableSchemaNames(name);
  const { columns, primaryKey } = handle.schema;
  const settable = columns.filter((column) => !isGiven(column));
  const key = columns.filter((column) => primaryKey.includes(column.name));
  const object = (of: typeof columns, schemaOf: (column: (typeof columns)[number]) => Schema, required: readonly string[]): Schema => ({
    type: 'object',
    properties: Object.fromEntries(of.map((column) => [column.name, schemaOf(column)])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  });
  const given = (column: (typeof columns)[number]): Schema => columnSchema(column, true);
  return {
    // No column is required: a caller may ask for some.
    [names.row]: object(columns, (column) => columnSchema(column, false), []),
    [names.newRow]: object(settable, given, handle.requiredColumns),
    [names.upsertedRow]: object(
      settable,
      given,
      handle.requiredColumns.filter((column) => !primaryKey.includes(column)),
    ),
    [names.changes]: object(settable, changeSchema, []),
    [names.key]: object(key, given, primaryKey),
  };
}

/** The schema that a field of this name and message has where the table is known: its rows, its new rows, its keys. */
export function rowSchemaOf(method: string, field: string, table: string | null): Schema {
  if (table === null) return ref('AnyRow');
  const names = tableSchemaNames(table);
  if (field === 'key' || field === 'keys') return ref(names.key);
  if (method === 'Insert' || method === 'InsertMany') return ref(names.newRow);
  if (method === 'Upsert') return ref(names.upsertedRow);
  if (method === 'Update') return ref(names.changes);
  return ref(names.row);
}

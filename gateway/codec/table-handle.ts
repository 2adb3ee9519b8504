import type { ColumnSchema, TableSchema } from '../../core/table-schema.ts';

/** A table's shape in one keyspace, prepared so that no request has to search it. */
export interface TableHandle {
  readonly keyspace: string;
  readonly schema: TableSchema;
  readonly columns: ReadonlyMap<string, ColumnSchema>;
  readonly columnNames: readonly string[];
  readonly keyColumns: readonly ColumnSchema[];
  /** Columns without which an insert cannot succeed. */
  readonly requiredColumns: readonly string[];
}

export function tableHandle(keyspace: string, schema: TableSchema): TableHandle {
  const columns = new Map(schema.columns.map((column) => [column.name, column]));
  const keyColumns = schema.primaryKey.map((name) => {
    const column = columns.get(name);
    if (column === undefined) throw new Error(`key column ${name} of table ${schema.name} is not a column`);
    return column;
  });
  const requiredColumns = schema.columns.filter((column) => !column.nullable && !column.hasDefault && !column.generated).map((column) => column.name);
  return { keyspace, schema, columns, columnNames: schema.columns.map((column) => column.name), keyColumns, requiredColumns };
}

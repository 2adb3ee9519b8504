import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';

/** The schema that a service has told. TABLE_UNSUPPORTED: it has two columns of one name, or no primary key of its own columns, and no row of it could be told from another. */
export function soundSchema(schema: TableSchema): TableSchema {
  const names = new Set(schema.columns.map(({ name }) => name));
  const why =
    names.size < schema.columns.length
      ? 'two columns of one name'
      : schema.primaryKey.length === 0 || !schema.primaryKey.every((name) => names.has(name))
        ? 'no primary key of columns that it has'
        : null;
  if (why === null) return schema;
  throw new SwitchyardError('TABLE_UNSUPPORTED', `table "${schema.name}": the service names ${why}`, { metadata: { table: schema.name } });
}

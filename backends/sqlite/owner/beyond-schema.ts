import type { TableExtras } from '../../../core/table-extras.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { Connection } from '../connection.ts';
import { checksOf } from './check-texts.ts';
import { foreignKeyName } from './extras.ts';
import { foldedName } from './names.ts';

/** What the file keeps of a table's rows beside all that another kind can be told; see `TableDefinition.more`. */
export function beyondSchema(connection: Connection, schema: TableSchema, { foreignKeys }: TableExtras): readonly string[] {
  const table = schema.name;
  const isTold = (columns: string, parent: string): boolean => foreignKeys.some((key) => key.columns.join(', ') === columns && foldedName(key.references) === foldedName(parent));
  const keys = connection
    .all(`SELECT group_concat("from", ', '), "table" FROM (SELECT * FROM pragma_foreign_key_list(?, 'main') ORDER BY id, seq) GROUP BY id ORDER BY id`, [table])
    .map(([columns, parent]) => [String(columns), String(parent)] as const);
  const indexes = connection.all(
    `SELECT l.name, l.partial FROM pragma_index_list(?, 'main') l
     WHERE l."unique" = 1 AND (l.partial = 1 OR EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name, 'main') x WHERE x.key = 1 AND x.cid = -2)) ORDER BY l.name`,
    [table],
  );
  const [[sql] = []] = connection.all(`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, [table]);
  return [
    ...keys.filter(([columns, parent]) => !isTold(columns, parent)).map(([columns, parent]) => foreignKeyName([columns], parent)),
    ...indexes.map(([name, partial]) => `unique index "${String(name)}" ${partial === 1n ? 'on a part of the rows' : 'on an expression'}`),
    ...checksOf(schema, String(sql)),
  ];
}

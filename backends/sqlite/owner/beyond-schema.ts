import type { Connection } from '../connection.ts';
import { CHECK_PREFIX } from './portable.ts';

/** What the file keeps of a table's rows beside their columns and keys; see `TableDefinition.more`. */
export function beyondSchema(connection: Connection, table: string): readonly string[] {
  const keys = connection.all(`SELECT group_concat("from", ', '), "table" FROM (SELECT * FROM pragma_foreign_key_list(?, 'main') ORDER BY id, seq) GROUP BY id ORDER BY id`, [
    table,
  ]);
  const indexes = connection.all(
    `SELECT l.name, l.partial FROM pragma_index_list(?, 'main') l
     WHERE l."unique" = 1 AND (l.partial = 1 OR EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name, 'main') x WHERE x.key = 1 AND x.cid = -2)) ORDER BY l.name`,
    [table],
  );
  const [[sql] = []] = connection.all(`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, [table]);
  return [
    ...keys.map(([columns, parent]) => `foreign key (${String(columns)}) to table "${String(parent)}"`),
    ...indexes.map(([name, partial]) => `unique index "${String(name)}" ${partial === 1n ? 'on a part of the rows' : 'on an expression'}`),
    ...checksOf(String(sql)),
  ];
}

/** Names in quotes, texts and comments: whatever stands in them is no word of the definition. */
const quotedParts = /'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;

/** Before a CHECK that a move has made. */
const isExactCheck = new RegExp(`CONSTRAINT "${CHECK_PREFIX}\\d+" $`);

/** The CHECKs of a CREATE TABLE statement, each with its condition. */
export function checksOf(sql: string): readonly string[] {
  const masked = sql.replaceAll(quotedParts, (part) => '_'.repeat(part.length));
  return [...masked.matchAll(/(?<![\w$])CHECK\s*\(/gi)]
    .filter(({ index }) => !isExactCheck.test(sql.slice(0, index)))
    .map(({ index, 0: begin }) => {
      let depth = 1;
      let at = index + begin.length;
      for (; at < masked.length && depth > 0; at += 1) depth += masked[at] === '(' ? 1 : masked[at] === ')' ? -1 : 0;
      return sql.slice(index, at).replaceAll(/\s+/g, ' ');
    });
}

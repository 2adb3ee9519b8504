import type { TableExtras } from '../../../core/table-extras.ts';
import type { ValueRow } from '../session.ts';
import type { Statements } from '../store-client.ts';
import type { ForeignKey } from './create-table.ts';
import { CHECK_PREFIX } from './portable.ts';

const here = (view: string, more = ''): string =>
  `FROM information_schema.${view} WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND CONVERT(TABLE_NAME USING utf8mb4) COLLATE utf8mb4_nopad_bin = ? ${more}`;

/** What the store keeps of the table's rows beside their columns and keys; see `TableDefinition.more`. */
export async function beyondSchema(
  statements: Statements,
  table: string,
  foreignKeys: readonly ForeignKey[],
  extras: TableExtras,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const ask = async (text: string): Promise<readonly ValueRow[]> => (await statements.query(text, [table, table], signal)).rows;
  const checks = await ask(
    `SELECT CONSTRAINT_NAME, CHECK_CLAUSE, LEVEL ${here('CHECK_CONSTRAINTS', 'AND CONSTRAINT_SCHEMA = DATABASE() ORDER BY CONSTRAINT_NAME').replace('TABLE_SCHEMA = DATABASE() AND ', '')}`,
  );
  const partial = await ask(`SELECT DISTINCT INDEX_NAME ${here('STATISTICS', 'AND NON_UNIQUE = 0 AND SUB_PART IS NOT NULL ORDER BY INDEX_NAME')}`);
  const columns = await ask(`SELECT COLUMN_NAME, COLUMN_TYPE, EXTRA ${here('COLUMNS', 'ORDER BY ORDINAL_POSITION')}`);
  return [
    ...foreignKeys.filter(({ name }) => !extras.foreignKeys.some((key) => key.name === name)).map(({ text }) => text),
    ...checks
      .filter(([name, clause, level]) => !isOfJson(name, clause, level) && !String(name).startsWith(CHECK_PREFIX))
      .map(([name, clause]) => `"${String(name)}" CHECK (${String(clause)})`),
    ...partial.map(([name]) => `unique index "${String(name)}" on the beginnings of values`),
    ...columns
      .filter(([name, type]) => /^enum\(/i.test(String(type)) && !extras.labels.has(String(name)))
      .map(([name, type]) => `column "${String(name)}" ${String(type)}, of which the server does not tell the characters of four bytes`),
    ...columns.filter(([, , extra]) => /\bon update\b/i.test(String(extra))).map(([name]) => `column "${String(name)}" that takes the time of every update`),
  ];
}

/** The rule that makes a longtext JSON here. */
const isOfJson = (name: unknown, clause: unknown, level: unknown): boolean => level === 'Column' && clause === `json_valid(\`${String(name).replaceAll('`', '``')}\`)`;

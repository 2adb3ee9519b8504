import type { TableSchema } from '../../../core/table-schema.ts';
import { foldedName } from './names.ts';
import { EXACT_CHECK, OWN_CHECK } from './portable.ts';

/* What a CREATE TABLE statement says of rules: SQLite tells of its checks in no other way. */

interface Check {
  /** "CHECK (…)", as it is written. */
  readonly text: string;
  /** What stands before it. */
  readonly before: string;
}

/** Names in quotes, texts and comments: whatever stands in them is no word of the definition. */
const quotedParts = /'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
const mask = (sql: string): string => sql.replaceAll(quotedParts, (part) => '_'.repeat(part.length));

/** The checks of an application's, each with its condition, but for those that say the labels of an enum. */
export function checksOf(table: Pick<TableSchema, 'columns'>, sql: string): readonly string[] {
  return checksIn(sql)
    .filter((check) => !OWN_CHECK.test(check.before) && labelsIn(table, check) === null)
    .map(({ text }) => text.replaceAll(/\s+/g, ' '));
}

/** Names of the checks that a move has made to keep out what could not go back. */
export const exactChecksOf = (sql: string): readonly string[] => checksIn(sql).flatMap(({ before }) => EXACT_CHECK.exec(before)?.[1] ?? []);

/** Labels of the enum columns of which a check says them: `CHECK (mood IN ('sad', 'so so'))`. */
export function labelsOfChecks(table: TableSchema, sql: string): ReadonlyMap<string, readonly string[]> {
  return new Map(checksIn(sql).flatMap((check) => labelsIn(table, check) ?? []));
}

/** Whether a foreign key of the table may wait for the end of its transaction. */
export const isDeferrable = (sql: string): boolean => /(?<!\bNOT\s+)\bDEFERRABLE\b/i.test(mask(sql));

const text = `'(?:[^']|'')*'`;
const labelsPattern = new RegExp(String.raw`^CHECK\s*\(\s*("(?:[^"]|"")*"|[\w$]+)\s+IN\s*\(\s*(${text}(?:\s*,\s*${text})*)\s*\)\s*\)$`, 'i');

function labelsIn({ columns }: Pick<TableSchema, 'columns'>, check: Check): readonly [readonly [column: string, labels: readonly string[]]] | null {
  const [, name = '', list = ''] = labelsPattern.exec(check.text) ?? [];
  const named = name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
  const column = columns.find((candidate) => candidate.kind === 'enum' && foldedName(candidate.name) === foldedName(named));
  if (column === undefined) return null;
  return [[column.name, [...list.matchAll(new RegExp(text, 'g'))].map(([label]) => label.slice(1, -1).replaceAll("''", "'"))]];
}

function checksIn(sql: string): readonly Check[] {
  const masked = mask(sql);
  return [...masked.matchAll(/(?<![\w$])CHECK\s*\(/gi)].map(({ index, 0: begin }) => {
    let depth = 1;
    let at = index + begin.length;
    for (; at < masked.length && depth > 0; at += 1) depth += masked[at] === '(' ? 1 : masked[at] === ')' ? -1 : 0;
    return { text: sql.slice(index, at), before: sql.slice(0, index) };
  });
}

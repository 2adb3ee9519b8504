/** A comment, a text with or without escapes, a name, or a text in dollars: whatever of PostgreSQL's SQL can hold what a caller gave. */
const parts = /--[^\r\n]*|\/\*[\s\S]*?\*\/|(e)?'(?:[^'\\]|''|\\[\s\S])*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*|)\$([\s\S]*?)\$\2\$/gi;

/** A script without its texts, names, comments and blanks: the same for any two that do the same. What stands in dollars is SQL again. */
export function sqlSkeleton(script: string): string {
  const bare = script.replaceAll(parts, (part, _escaped, _tag, body: string | undefined) => {
    if (part.startsWith('--') || part.startsWith('/*')) return '';
    return body === undefined ? '?' : `$${sqlSkeleton(body)}$`;
  });
  return bare.replaceAll(/\s+/g, '');
}

export type Dialect = 'postgres' | 'mariadb' | 'sqlite';

/** Comments, names and texts of each kind of store. */
const quotedParts: Readonly<Record<Dialect, RegExp>> = {
  postgres: /--[^\r\n]*|\/\*[\s\S]*?\*\/|E'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*|)\$[\s\S]*?\$\1\$/g,
  mariadb: /-- [^\r\n]*|#[^\r\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\]|''|\\[\s\S])*'|"(?:[^"\\]|""|\\[\s\S])*"|`(?:[^`]|``)*`/g,
  sqlite: /--[^\r\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]/g,
};

/** A statement without what it names, its texts and its numbers: the same for any two that do the same with other names. */
export function sqlWithoutNames(dialect: Dialect, sql: string): string {
  const [, escaped, body] = dialect === 'postgres' ? (/^DO\s+(E)?'(.*)';?$/s.exec(sql) ?? []) : [];
  // What is done is SQL again.
  if (body !== undefined) return `DO ${sqlWithoutNames(dialect, body.replaceAll("''", "'").replaceAll(escaped === undefined ? /$^/g : /\\\\/g, '\\'))}`;
  return sql
    .replaceAll(quotedParts[dialect], '')
    .replaceAll(/-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/g, '0')
    .replaceAll(/\s+/g, '');
}

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

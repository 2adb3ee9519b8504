/*
 * Patterns of LIKE: "%" stands for any characters, "_" for one (a code point), "\\" before one of the three for itself. Everything else stands for itself: upper and lower case differ, and no locale is asked.
 */

/** Why a text is no pattern; null: it is one. Every store reads such a pattern in the same way. */
export function patternFault(pattern: string): string | null {
  for (let at = 0; at < pattern.length; at += 1) {
    if (pattern[at] !== '\\') continue;
    at += 1;
    if (!['%', '_', '\\'].includes(pattern[at] ?? '')) return 'a backslash stands before "%", "_" or a backslash only';
  }
  return null;
}

/** The pattern as an expression that the whole text must match. */
export function patternExpression(pattern: string): RegExp {
  const source = pattern.replaceAll(/\\([%_\\])|([%_])|[^%_\\]+/gu, (part, escaped: string | undefined, wild: string | undefined) => {
    if (escaped !== undefined) return literal(escaped);
    if (wild !== undefined) return wild === '%' ? '.*' : '.';
    return literal(part);
  });
  return new RegExp(`^(?:${source})$`, 'su');
}

const literal = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

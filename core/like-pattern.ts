/*
 * Patterns of LIKE: "%" stands for any characters, "_" for one (a code point), "\\" before one of the three for itself. Everything else stands for itself: upper and lower case differ, and no locale is asked.
 */

const longestPattern = 10_000;

/** Why a text is no pattern; null: it is one. Every store reads such a pattern in the same way. */
export function patternFault(pattern: string): string | null {
  if (pattern.length > longestPattern) return `a pattern has at most ${longestPattern} characters`;
  for (let at = 0; at < pattern.length; at += 1) {
    if (pattern[at] !== '\\') continue;
    at += 1;
    if (!['%', '_', '\\'].includes(pattern[at] ?? '')) return 'a backslash stands before "%", "_" or a backslash only';
  }
  return null;
}

/** The pattern as a test of whole texts. Its time is at most the text's length times the pattern's: a store may ask it of every row, on a thread that others wait for. */
export function patternTest(pattern: string): (text: string) => boolean {
  const parts = partsOf(pattern);
  return (text) => {
    const points = [...text];
    let at = 0;
    let part = 0;
    // Behind the last "%": where it stands, and how much of the text it has taken so far.
    let many = -1;
    let taken = 0;
    while (at < points.length) {
      const wanted = parts[part];
      if (wanted === MANY) {
        many = part;
        taken = at;
        part += 1;
      } else if (wanted !== undefined && (wanted === ONE || wanted === points[at])) {
        part += 1;
        at += 1;
      } else if (many >= 0) {
        taken += 1;
        at = taken;
        part = many + 1;
      } else return false;
    }
    while (parts[part] === MANY) part += 1;
    return part === parts.length;
  };
}

const MANY = Symbol('%');
const ONE = Symbol('_');

function partsOf(pattern: string): readonly (string | symbol)[] {
  const parts: (string | symbol)[] = [];
  let isEscaped = false;
  for (const point of pattern) {
    if (!isEscaped && point === '\\') {
      isEscaped = true;
      continue;
    }
    if (isEscaped || (point !== '%' && point !== '_')) parts.push(point);
    else if (point === '_') parts.push(ONE);
    else if (parts.at(-1) !== MANY) parts.push(MANY);
    isEscaped = false;
  }
  return parts;
}

/**
 * Splits PostgreSQL's text of a one-dimensional array into its elements' texts. Null: more than one dimension, or a lower bound other than 1:
 * such an array has no exact mapping. Undefined: not the text of an array.
 */
export function elementsFromText(text: string): readonly (string | null)[] | null | undefined {
  if (text.startsWith('[')) return null;
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
  const elements: (string | null)[] = [];
  const end = text.length - 1;
  let at = 1;
  while (at < end) {
    if (text[at] === '{') return null;
    const element = text[at] === '"' ? quotedElement(text, at) : bareElement(text, at);
    if (element.next > end) return undefined;
    elements.push(element.value);
    at = element.next + 1;
  }
  return elements;
}

const special = /["\\]/;

/** Text of a one-dimensional array. Everything is quoted, so that no element can be taken for NULL or for a delimiter. */
export function textFromElements(elements: readonly (string | null)[]): string {
  let text = '{';
  for (const [at, element] of elements.entries()) {
    if (at > 0) text += ',';
    if (element === null) text += 'NULL';
    else text += `"${special.test(element) ? element.replace(/["\\]/g, '\\$&') : element}"`;
  }
  return `${text}}`;
}

interface Element {
  readonly value: string | null;
  /** Index of the delimiter or bracket behind the element. */
  readonly next: number;
}

function quotedElement(text: string, start: number): Element {
  let value = '';
  let at = start + 1;
  while (at < text.length && text[at] !== '"') {
    if (text[at] === '\\') at += 1;
    value += text[at] ?? '';
    at += 1;
  }
  return { value, next: at + 1 };
}

function bareElement(text: string, start: number): Element {
  const comma = text.indexOf(',', start);
  const next = comma === -1 ? text.length - 1 : comma;
  const value = text.slice(start, next);
  return { value: value === 'NULL' ? null : value, next };
}

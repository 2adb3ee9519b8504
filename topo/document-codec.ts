import type { z } from 'zod';

/** What the bytes under a key are. `raw` is the parsed JSON of an invalid document, undefined where it is not even that. */
export type Decoded<T> = { readonly kind: 'valid'; readonly value: T } | { readonly kind: 'invalid'; readonly message: string; readonly raw: unknown };

const SHOWN_ISSUES = 5;
/** Of one issue: names and values come from outside, and may be as long as the document. */
const SHOWN_CHARACTERS = 500;

/** Parses and validates a stored document; the message names each wrong field. */
export function decodeDocument<T>(schema: z.ZodType<T>, bytes: Buffer): Decoded<T> {
  let raw: unknown;
  try {
    raw = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    return { kind: 'invalid', message: `not JSON: ${error instanceof Error ? error.message : String(error)}`, raw: undefined };
  }
  let parsed: z.ZodSafeParseResult<T>;
  try {
    parsed = schema.safeParse(raw);
  } catch (error) {
    // The library asks some values for their text, and a member called "toString" may stand in the way.
    return { kind: 'invalid', message: `cannot be checked: ${error instanceof Error ? error.message : String(error)}`, raw };
  }
  return parsed.success ? { kind: 'valid', value: parsed.data } : { kind: 'invalid', message: describeIssues(parsed.error), raw };
}

/** The bytes that are stored for a document. */
export function encodeDocument(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/** "tables["shop.orders"].primary: Invalid input", the first five, separated by "; ". */
export function describeIssues(error: z.ZodError): string {
  const shown = error.issues.slice(0, SHOWN_ISSUES).map((issue) => shortened(`${describePath(issue.path) || 'document'}: ${issue.message}`));
  const more = error.issues.length - shown.length;
  return shown.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

const shortened = (text: string): string => (text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`);

function describePath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const name = String(part);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

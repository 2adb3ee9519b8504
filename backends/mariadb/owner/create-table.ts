/** A foreign key as SHOW CREATE TABLE writes it. */
export interface ForeignKey {
  readonly name: string;
  /** The table that it leads to; null: one of another database. */
  readonly references: string | null;
  readonly text: string;
}

export interface CreateTableParts {
  readonly elements: readonly string[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly options: string;
}

/** Names, texts and comments: whatever stands in them is no word and no mark of the statement. One without an end goes to the statement's: looked for from every place again, it would cost the square of its length. */
const quotedParts = /`(?:[^`]|``)*(?:`|$)|'(?:[^'\\]|''|\\[\s\S])*(?:'|\\?$)|"(?:[^"\\]|""|\\[\s\S])*(?:"|\\?$)|\/\*[\s\S]*?(?:\*\/|$)/g;
const name = '`((?:[^`]|``)*)`';
const foreignKeyPattern = new RegExp(`^CONSTRAINT ${name} FOREIGN KEY \\(${name}(?:, ${name})*\\) REFERENCES ${name}(?:(\\.)| \\(${name})?`, 's');
const plainKeyPattern = new RegExp(`^KEY ${name} \\(${name}`, 's');

/** The parts of what SHOW CREATE TABLE answers, with quoted names. The next number of a table and places on a server's disk are no part of its definition. */
export function createTableParts(sql: string): CreateTableParts {
  // As long as the statement, so that places in the one are places in the other.
  const masked = sql.replaceAll(quotedParts, (part) => '_'.repeat(part.length));
  const begin = masked.indexOf('(') + 1;
  const elements: string[] = [];
  let depth = 1;
  let from = begin;
  let at = begin;
  for (; at < masked.length && depth > 0; at += 1) {
    const mark = masked[at];
    if (mark === '(') depth += 1;
    if (mark === ')') depth -= 1;
    if (depth > 0 && (depth > 1 || mark !== ',')) continue;
    elements.push(sql.slice(from, at).trim());
    from = at + 1;
  }
  const isForeignKey = (text: string): boolean => foreignKeyPattern.test(text);
  return {
    elements: elements.filter((text) => !isForeignKey(text)),
    foreignKeys: elements.filter(isForeignKey).map(foreignKey),
    options: optionsOf(sql.slice(at), masked.slice(at)),
  };
}

function foreignKey(text: string): ForeignKey {
  const [, constraint = '', , , table = '', point] = foreignKeyPattern.exec(text) ?? [];
  return { name: unquoted(constraint), references: point === undefined ? unquoted(table) : null, text };
}

/** The columns that a foreign key begins with, here and where it leads to. */
export function leadingColumns({ text }: Pick<ForeignKey, 'text'>): { readonly from: string; readonly to: string } {
  const [, , from = '', , , , to = ''] = foreignKeyPattern.exec(text) ?? [];
  return { from: unquoted(from), to: unquoted(to) };
}

/** Name and first column of an element that is a key which refuses no row; null: it is something else, or an index of another sort. */
export function plainKey(element: string): { readonly name: string; readonly first: string } | null {
  const [, key, first] = plainKeyPattern.exec(element) ?? [];
  return key === undefined || first === undefined ? null : { name: unquoted(key), first: unquoted(first) };
}

const unquoted = (quoted: string): string => quoted.replaceAll('``', '`');

const notKept = /\bAUTO_INCREMENT=\d+\s?|\b(?:DATA|INDEX) DIRECTORY=_+\s?/g;

function optionsOf(sql: string, masked: string): string {
  let kept = '';
  let from = 0;
  for (const match of masked.matchAll(notKept)) {
    kept += sql.slice(from, match.index);
    from = match.index + match[0].length;
  }
  return (kept + sql.slice(from)).trim();
}

/** A word of a statement that the server logged. Keywords are never quoted; names may be. Texts and comments are left out, but for the comments whose content a server executes. */
export interface SqlWord {
  readonly text: string;
  readonly quoted: boolean;
}

export interface SqlMode {
  /** `"…"` is a name. */
  readonly ansiQuotes: boolean;
  readonly noBackslashEscapes: boolean;
}

const space = /\s/;
/** Whatever may be in a name without quotes. */
const wordPart = /[\w$\u0080-\uffff]/;

/** The words and the marks between them (one character each), in order. */
export function sqlWords(text: string, { ansiQuotes, noBackslashEscapes }: SqlMode): readonly SqlWord[] {
  const words: SqlWord[] = [];
  let at = 0;
  const skipTo = (end: string): void => {
    const found = text.indexOf(end, at);
    at = found === -1 ? text.length : found + end.length;
  };
  while (at < text.length) {
    const character = text[at] ?? '';
    const next = text[at + 1] ?? '';
    if (space.test(character)) at += 1;
    else if (character === '#' || (character === '-' && next === '-' && (at + 2 === text.length || space.test(text[at + 2] ?? '')))) skipTo('\n');
    else if (character === '/' && next === '*') {
      const executed = /^\/\*M?!\d*/.exec(text.slice(at, at + 12));
      if (executed === null) {
        at += 2;
        skipTo('*/');
      } else at += executed[0].length;
    } else if (character === '*' && next === '/') at += 2;
    else if (character === '`' || character === "'" || character === '"') {
      const quoted = readQuoted(text, at, character !== '`' && !noBackslashEscapes && !(ansiQuotes && character === '"'));
      if (character === '`' || (ansiQuotes && character === '"')) words.push({ text: quoted.text, quoted: true });
      at = quoted.end;
    } else if (wordPart.test(character)) {
      const begin = at;
      while (at < text.length && wordPart.test(text[at] ?? '')) at += 1;
      words.push({ text: text.slice(begin, at), quoted: false });
    } else {
      words.push({ text: character, quoted: false });
      at += 1;
    }
  }
  return words;
}

function readQuoted(text: string, begin: number, escapes: boolean): { readonly text: string; readonly end: number } {
  const quote = text[begin];
  let content = '';
  for (let at = begin + 1; at < text.length; at += 1) {
    const character = text[at];
    if (escapes && character === '\\') {
      at += 1;
      content += text[at] ?? '';
    } else if (character !== quote) content += character;
    else if (text[at + 1] === quote) {
      content += character;
      at += 1;
    } else return { text: content, end: at + 1 };
  }
  return { text: content, end: text.length };
}

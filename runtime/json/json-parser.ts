import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { JsonNode } from './json-node.ts';

const space = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const unicodeEscape = /\\u[0-9a-fA-F]{4}/y;
const noMembers: ReadonlyMap<string, JsonNode> = new Map();

/** Values in one JSON text of a caller, those in arrays and objects included. */
export const mostJsonValues = 100_000;

/**
 * Parses one JSON text exactly (RFC 8259). ARGUMENT_INVALID names the place where it is malformed, nested deeper than `deepest`, of more than `mostValues` values, or has a member twice: which of the two is meant, nobody can know. `field` says what the text is, such as "the body".
 */
export function parseJson(text: string, field: string, deepest: number, mostValues = mostJsonValues): JsonNode {
  return new Parser(text, field, deepest, mostValues).whole();
}

class Parser {
  readonly #text: string;
  readonly #field: string;
  readonly #deepest: number;
  readonly #mostValues: number;
  #at = 0;
  #values = 0;

  constructor(text: string, field: string, deepest: number, mostValues: number) {
    this.#text = text;
    this.#field = field;
    this.#deepest = deepest;
    this.#mostValues = mostValues;
  }

  whole(): JsonNode {
    const node = this.#value(1);
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#malformed('text behind the value');
    return node;
  }

  #value(depth: number): JsonNode {
    this.#skipSpace();
    if (depth > this.#deepest) throw this.#malformed(`nested deeper than ${this.#deepest}`);
    this.#values += 1;
    // A value costs many times its text in memory.
    if (this.#values > this.#mostValues) throw new SwitchyardError('ARGUMENT_INVALID', `${this.#field}: more than ${this.#mostValues} JSON values; send fewer at once`);
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', { kind: 'boolean', value: true, source: 'true' });
      case 'f':
        return this.#word('false', { kind: 'boolean', value: false, source: 'false' });
      case 'n':
        return this.#word('null', { kind: 'null', source: 'null' });
      default:
        return { kind: 'number', source: this.#match(number) ?? this.#fail('no JSON value') };
    }
  }

  #object(depth: number): JsonNode {
    const start = this.#at;
    this.#at += 1;
    this.#skipSpace();
    if (this.#take('}')) return { kind: 'object', members: noMembers, source: '{}' };
    const members = new Map<string, JsonNode>();
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') throw this.#malformed('a member must begin with its name in double quotes');
      const name = this.#string().value;
      if (members.has(name)) throw this.#malformed(`member ${JSON.stringify(name.slice(0, 64))} is given twice`);
      this.#skipSpace();
      if (!this.#take(':')) throw this.#malformed('":" expected');
      members.set(name, this.#value(depth + 1));
      this.#skipSpace();
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#malformed('"," or "}" expected');
    return { kind: 'object', members, source: this.#text.slice(start, this.#at) };
  }

  #array(depth: number): JsonNode {
    const start = this.#at;
    const elements: JsonNode[] = [];
    this.#at += 1;
    this.#skipSpace();
    if (this.#take(']')) return { kind: 'array', elements, source: '[]' };
    do {
      elements.push(this.#value(depth + 1));
      this.#skipSpace();
    } while (this.#take(','));
    if (!this.#take(']')) throw this.#malformed('"," or "]" expected');
    return { kind: 'array', elements, source: this.#text.slice(start, this.#at) };
  }

  /** By hand: a pattern would keep a place to go back to for every character, and run out of memory in a long string. */
  #string(): Extract<JsonNode, { kind: 'string' }> {
    const text = this.#text;
    const start = this.#at;
    let at = start + 1;
    let isEscaped = false;
    while (text[at] !== '"') {
      const isEscape = text[at] === '\\';
      isEscaped ||= isEscape;
      const length = isEscape ? escapeLength(text, at) : text.charCodeAt(at) >= 0x20 ? 1 : 0;
      if (length === 0) throw this.#malformed('a string that does not end, or an escape or control character that JSON does not know');
      at += length;
    }
    this.#at = at + 1;
    const source = text.slice(start, this.#at);
    return { kind: 'string', value: isEscaped ? (JSON.parse(source) as string) : source.slice(1, -1), source };
  }

  #word(word: string, node: JsonNode): JsonNode {
    if (!this.#text.startsWith(word, this.#at)) throw this.#malformed('no JSON value');
    this.#at += word.length;
    return node;
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return null;
    this.#at += found.length;
    return found;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #skipSpace(): void {
    this.#match(space);
  }

  #fail(why: string): never {
    throw this.#malformed(why);
  }

  #malformed(why: string): SwitchyardError {
    return new SwitchyardError('ARGUMENT_INVALID', `${this.#field}: malformed JSON at character ${this.#at}: ${why}`);
  }
}

/** 0: no escape that JSON knows. */
function escapeLength(text: string, at: number): number {
  const next = text[at + 1] ?? '';
  if (next === 'u') {
    unicodeEscape.lastIndex = at;
    return unicodeEscape.test(text) ? 6 : 0;
  }
  return next !== '' && '"\\/bfnrt'.includes(next) ? 2 : 0;
}

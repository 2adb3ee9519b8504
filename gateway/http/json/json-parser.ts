import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { JsonNode } from './json-node.ts';

const space = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these inside a string
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

/**
 * Parses one JSON text exactly (RFC 8259). ARGUMENT_INVALID names the place where it is malformed, nested deeper than `deepest`, or has a member twice: which of the two is meant, nobody can know. `field` says what the text is, such as "the body".
 */
export function parseJson(text: string, field: string, deepest: number): JsonNode {
  return new Parser(text, field, deepest).whole();
}

class Parser {
  readonly #text: string;
  readonly #field: string;
  readonly #deepest: number;
  #at = 0;

  constructor(text: string, field: string, deepest: number) {
    this.#text = text;
    this.#field = field;
    this.#deepest = deepest;
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
    const members = new Map<string, JsonNode>();
    this.#at += 1;
    this.#skipSpace();
    if (this.#take('}')) return { kind: 'object', members, source: '{}' };
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

  #string(): Extract<JsonNode, { kind: 'string' }> {
    const source = this.#match(string) ?? this.#fail('a string that does not end, or an escape or control character that JSON does not know');
    return { kind: 'string', value: source.includes('\\') ? (JSON.parse(source) as string) : source.slice(1, -1), source };
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

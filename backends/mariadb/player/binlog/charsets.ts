import { isUtf8 } from 'node:buffer';

/** The text that bytes are in a character set; null: they are none. */
export type DecodeText = (bytes: Buffer) => string | null;

/** Of sets with one byte a character: the character of each byte, as the server itself has it. */
export type ByteTable = readonly string[];

/** Texts are in the log as their columns store them. Which set a collation is of, and what the bytes of the sets with one byte a character are, the server was asked. */
export class Charsets {
  readonly #ofCollation: ReadonlyMap<number, string>;
  readonly #decoders: ReadonlyMap<string, DecodeText>;

  constructor(ofCollation: ReadonlyMap<number, string>, tables: ReadonlyMap<string, ByteTable>) {
    this.#ofCollation = ofCollation;
    this.#decoders = new Map([...unicode, ...[...tables].map(([name, table]): [string, DecodeText] => [name, byTable(table)])]);
  }

  /** The set's name; null: an unknown collation. */
  nameOf(collation: number): string | null {
    return this.#ofCollation.get(collation) ?? null;
  }

  /** Null: a set whose texts we cannot read. */
  decoderOf(charset: string): DecodeText | null {
    return this.#decoders.get(charset) ?? null;
  }
}

const utf8: DecodeText = (bytes) => (isUtf8(bytes) ? bytes.toString('utf8') : null);

function utf16(bytes: Buffer): string | null {
  if (bytes.length % 2 !== 0) return null;
  const text = bytes.toString('utf16le');
  return text.isWellFormed() ? text : null;
}

const utf16HighFirst: DecodeText = (bytes) => (bytes.length % 2 === 0 ? utf16(Buffer.from(bytes).swap16()) : null);

function utf32(bytes: Buffer): string | null {
  if (bytes.length % 4 !== 0) return null;
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    const point = bytes.readUInt32BE(at);
    if (point > 0x10_ffff) return null;
    text += String.fromCodePoint(point);
  }
  return text.isWellFormed() ? text : null;
}

const unicode: readonly (readonly [string, DecodeText])[] = [
  ['utf8mb4', utf8],
  ['utf8mb3', utf8],
  // Before MariaDB 10.6.
  ['utf8', utf8],
  ['ascii', utf8],
  ['ucs2', utf16HighFirst],
  ['utf16', utf16HighFirst],
  ['utf16le', utf16],
  ['utf32', utf32],
];

/** A byte that the set does not define has no character, for which servers show a question mark. */
function byTable(table: ByteTable): DecodeText {
  const questionMark = table.indexOf('?');
  return (bytes) => {
    let text = '';
    for (const byte of bytes) {
      const character = table[byte] ?? '?';
      if (character === '?' && byte !== questionMark) return null;
      text += character;
    }
    return text;
  };
}

import type { Random } from './random.ts';

const longest = 256 * 1024;
const interestingBytes = [0x00, 0x01, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x27, 0x2f, 0x5c, 0x7b, 0x7d, 0x7f, 0x80, 0xc0, 0xed, 0xfe, 0xff];
/** Texts that are something else to somebody: SQL, JavaScript's own names, numbers at their ends, halves of characters. */
export const nastyTexts: readonly string[] = [
  '',
  ' ',
  // Wherever a message cuts them, it is in the middle of a character for one of them.
  `${'😀'.repeat(60)}\0`,
  `x${'😀'.repeat(60)}\0`,
  '\0',
  "'",
  '"',
  '"; DROP TABLE canary; --',
  "'; DROP TABLE canary; --",
  '"); UPDATE canary SET note = 1; --',
  '* FROM canary --',
  'canary" --',
  'item" UNION SELECT note FROM canary --',
  '/*',
  '--',
  ';',
  '`',
  '$$',
  '[item]',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'length',
  '../../etc/passwd',
  '%00',
  '%',
  '_',
  '\\',
  '\ud800',
  '\u202e',
  'ſ',
  '\ufffd',
  '🙂',
  'é',
  'NaN',
  'Infinity',
  '-0',
  '-1',
  '0',
  '1e309',
  '1e99999',
  '99999999999999999999',
  '9223372036854775807',
  '-9223372036854775808',
  '18446744073709551616',
  '9007199254740993',
  'null',
  'true',
  '[]',
  '{}',
  'infinity',
  '0000-00-00',
  '275761-01-01',
  'a'.repeat(300),
];

type Change = (random: Random, bytes: Buffer, material: Material) => Buffer;

/** What a mutation may put in. */
export interface Material {
  readonly words: readonly string[];
  /** Other inputs, to cross with. */
  readonly others: readonly Buffer[];
}

const around = (bytes: Buffer, from: number, to: number, between: Buffer): Buffer => Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)]);

function range(random: Random, bytes: Buffer): readonly [number, number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random.size(64))];
}

const word: (random: Random, material: Material) => Buffer = (random, { words }) =>
  Buffer.from(words.length > 0 && random.chance(60) ? random.pick(words) : random.pick(nastyTexts));

const changes: readonly Change[] = [
  function flipBit(random, bytes) {
    if (bytes.length === 0) return bytes;
    const at = random.below(bytes.length);
    const copy = Buffer.from(bytes);
    copy.writeUInt8((copy[at] ?? 0) ^ (1 << random.below(8)), at);
    return copy;
  },
  function setByte(random, bytes) {
    if (bytes.length === 0) return bytes;
    const copy = Buffer.from(bytes);
    copy.writeUInt8(random.chance(50) ? random.pick(interestingBytes) : random.below(256), random.below(bytes.length));
    return copy;
  },
  function insertBytes(random, bytes) {
    const at = random.below(bytes.length + 1);
    return around(bytes, at, at, random.bytes(1 + random.size(16)));
  },
  function removeRange(random, bytes) {
    return around(bytes, ...range(random, bytes), Buffer.alloc(0));
  },
  function repeatRange(random, bytes) {
    const [from, to] = range(random, bytes);
    const times = Math.min(random.chance(90) ? random.below(4) : random.below(20_000), Math.floor(longest / Math.max(1, to - from)));
    return around(bytes, to, to, Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, to))));
  },
  function insertWord(random, bytes, material) {
    const at = random.below(bytes.length + 1);
    return around(bytes, at, at, word(random, material));
  },
  function replaceByWord(random, bytes, material) {
    return around(bytes, ...range(random, bytes), word(random, material));
  },
  function replaceText(random, bytes, material) {
    const texts = [...bytes.toString('latin1').matchAll(/[A-Za-z0-9_.]{2,}/g)];
    const found = texts.length === 0 ? undefined : random.pick(texts);
    return found === undefined ? bytes : around(bytes, found.index, found.index + found[0].length, word(random, material));
  },
  function cut(random, bytes) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function cross(random, bytes, { others }) {
    if (others.length === 0) return bytes;
    const other = random.pick(others);
    return Buffer.concat([bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1))]);
  },
];

/** A changed copy of `input`, of at most 256 KiB. */
export function mutate(random: Random, input: Buffer, material: Material): Buffer {
  let bytes = input;
  for (let count = 1 + random.below(3); count > 0; count -= 1) bytes = random.pick(changes)(random, bytes, material);
  return Buffer.from(bytes.subarray(0, longest));
}

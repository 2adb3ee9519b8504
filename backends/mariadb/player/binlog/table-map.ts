import { ByteReader } from './byte-reader.ts';
import { protocolFault } from './log-fault.ts';

/** Types of columns on the wire. */
export const wire = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  oldTimestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  oldTime: 11,
  oldDatetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  timestamp: 17,
  datetime: 18,
  time: 19,
  compressedBlob: 140,
  compressedVarchar: 141,
  decimal: 246,
  enum: 247,
  set: 248,
  blob: 252,
  string: 254,
  geometry: 255,
} as const;

/** A column as the log describes it. */
export interface MapColumn {
  readonly type: number;
  /** Of texts and bytes: the most bytes that a value has. Of blobs: bytes of a value's length. Of enums, sets and bits: bytes of a value. Of times: digits of the seconds' fraction. */
  readonly size: number;
  /** Of decimals: digits in all, and behind the point. */
  readonly precision: number;
  readonly scale: number;
  /** Null where the log has no full metadata. */
  readonly name: string | null;
  readonly unsigned: boolean;
  /** Id of the collation of a text; that of bytes is 63. Null: no text, or not told. */
  readonly collation: number | null;
  /** Of an enum, in its column's character set. */
  readonly labels: readonly Buffer[] | null;
}

/** What a table looked like when a change was written; holds for the changes of its statement, which name its id. */
export interface TableMap {
  readonly id: number;
  readonly database: string;
  readonly table: string;
  /** See `decodeColumns`. Equal bytes describe equal columns. */
  readonly description: Buffer;
}

/** No table has more columns. */
const MOST_COLUMNS = 4_096;
/** Collation of what is no text. */
export const BINARY_COLLATION = 63;

const metadataBytes: ReadonlyMap<number, number> = new Map<number, number>([
  [wire.float, 1],
  [wire.double, 1],
  [wire.varchar, 2],
  [wire.compressedVarchar, 2],
  [wire.bit, 2],
  [wire.decimal, 2],
  [wire.blob, 1],
  [wire.compressedBlob, 1],
  [wire.geometry, 1],
  [wire.string, 2],
  [wire.timestamp, 1],
  [wire.datetime, 1],
  [wire.time, 1],
]);

const numericTypes: ReadonlySet<number> = new Set<number>([wire.tiny, wire.short, wire.int24, wire.long, wire.longlong, wire.decimal, wire.float, wire.double, wire.year, 0]);
const textTypes: ReadonlySet<number> = new Set<number>([wire.varchar, wire.string, wire.blob, wire.compressedBlob, wire.compressedVarchar, 249, 250, 251, 253]);

/** Codes of the optional metadata. */
const [SIGNS, TEXT_DEFAULT, TEXT_COLLATIONS, NAMES, ENUM_LABELS, LABEL_DEFAULT, LABEL_COLLATIONS] = [1, 2, 3, 4, 6, 10, 11];

type Draft = { -readonly [Key in keyof MapColumn]: MapColumn[Key] };

export function decodeTableMap(body: ByteReader): TableMap {
  const id = body.uint(6);
  body.uint(2);
  const database = name(body);
  return { id, database, table: name(body), description: body.rest() };
}

export function decodeColumns(description: Buffer): readonly MapColumn[] {
  const body = new ByteReader(description);
  const count = body.length();
  // Each piece of the metadata is about all columns.
  if (count > MOST_COLUMNS) throw protocolFault(`the description of a table has ${count} columns`);
  const types = body.piece(count);
  const metadataLength = body.length();
  const end = body.at + metadataLength;
  const columns = Array.from(types, (type) => draft(type, body));
  if (body.at !== end) throw protocolFault('the description of a table has metadata of another length than it says');
  // Which columns may be null.
  body.piece((count + 7) >> 3);
  while (body.left > 0) {
    const code = body.uint8();
    readOptional(code, body, body.length(), columns);
  }
  return columns;
}

function name(body: ByteReader): string {
  const text = body.piece(body.uint8()).toString('utf8');
  body.uint8();
  return text;
}

function draft(type: number, body: ByteReader): Draft {
  const column: Draft = { type, size: 0, precision: 0, scale: 0, name: null, unsigned: false, collation: null, labels: null };
  const metadata = body.piece(metadataBytes.get(type) ?? 0);
  const [first = 0, second = 0] = metadata;
  if (type === wire.decimal) return { ...column, precision: first, scale: second };
  if (type === wire.bit) return { ...column, size: second + (first > 0 ? 1 : 0) };
  if (type === wire.varchar || type === wire.compressedVarchar) return { ...column, size: metadata.readUInt16LE() };
  if (type !== wire.string) return { ...column, size: first };
  if (first === wire.enum || first === wire.set) return { ...column, type: first, size: second };
  // Two bits of a length beyond 255 are hidden, turned round, in the type.
  return { ...column, size: (((first & 0x30) ^ 0x30) << 4) | second };
}

function readOptional(code: number, body: ByteReader, length: number, columns: readonly Draft[]): void {
  const end = body.at + length;
  const texts = (): readonly Draft[] => columns.filter(({ type }) => textTypes.has(type));
  const labelled = (): readonly Draft[] => columns.filter(({ type }) => type === wire.enum || type === wire.set);
  if (code === SIGNS) {
    const bits = body.piece(length);
    for (const [i, column] of columns.filter(({ type }) => numericTypes.has(type)).entries()) column.unsigned = ((bits[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0;
  } else if (code === TEXT_DEFAULT) readDefaultCollation(body, end, texts());
  else if (code === LABEL_DEFAULT) readDefaultCollation(body, end, labelled());
  else if (code === TEXT_COLLATIONS) for (const column of texts()) column.collation = body.length();
  else if (code === LABEL_COLLATIONS) for (const column of labelled()) column.collation = body.length();
  else if (code === NAMES) for (const column of columns) column.name = body.piece(body.length()).toString('utf8');
  else if (code === ENUM_LABELS)
    for (const column of columns.filter(({ type }) => type === wire.enum)) column.labels = Array.from({ length: body.length() }, () => body.piece(body.length()));
  else body.piece(length);
  if (body.at !== end) throw protocolFault(`metadata of the kind ${code} has another length than it says`);
}

/** One collation for all, and those that have another. */
function readDefaultCollation(body: ByteReader, end: number, columns: readonly Draft[]): void {
  const collation = body.length();
  for (const column of columns) column.collation = collation;
  while (body.at < end) {
    const column = columns[body.length()];
    const other = body.length();
    if (column !== undefined) column.collation = other;
  }
}

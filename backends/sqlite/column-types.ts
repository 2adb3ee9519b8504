import type { ScalarKind } from '../../core/cell.ts';

/**
 * What a declared type means to us. SQLite itself only takes an affinity from the name: "INT" anywhere means INTEGER, else "CHAR", "CLOB" or "TEXT" mean TEXT, "BLOB" BLOB, "REAL", "FLOA" or "DOUB" REAL, all else NUMERIC, which turns
 * texts that look like numbers into numbers. So exact types of other engines are declared by names that end in _TEXT and contain no INT: SQLite keeps them as the texts that they are.
 */
const kindOfName: ReadonlyMap<string, ScalarKind> = new Map([
  ['INTEGER', 'int64'],
  ['INT', 'int64'],
  ['BIGINT', 'int64'],
  ['INT8', 'int64'],
  ['INT64', 'int64'],
  ['INT32', 'int32'],
  ['INT4', 'int32'],
  ['INT16', 'int16'],
  ['INT2', 'int16'],
  ['SMALLINT', 'int16'],
  ['REAL', 'float64'],
  ['DOUBLE', 'float64'],
  ['DOUBLE PRECISION', 'float64'],
  ['FLOAT', 'float64'],
  ['FLOAT8', 'float64'],
  ['FLOAT4', 'float32'],
  ['FLOAT32', 'float32'],
  ['BOOLEAN', 'bool'],
  ['BOOL', 'bool'],
  ['TEXT', 'text'],
  ['CLOB', 'text'],
  ['CHAR', 'text'],
  ['CHARACTER', 'text'],
  ['VARCHAR', 'text'],
  ['NCHAR', 'text'],
  ['NVARCHAR', 'text'],
  ['CHARACTER VARYING', 'text'],
  ['VARYING CHARACTER', 'text'],
  ['NATIVE CHARACTER', 'text'],
  ['BLOB', 'bytes'],
  ['DECIMAL_TEXT', 'decimal'],
  ['UNSIGNED64_TEXT', 'uint64'],
  ['UUID_TEXT', 'uuid'],
  ['DATE_TEXT', 'date'],
  ['TIME_TEXT', 'time'],
  ['TIMESTAMP_TEXT', 'timestamp'],
  ['TIMESTAMPTZ_TEXT', 'timestamptz'],
  ['JSON_TEXT', 'json'],
  ['ENUM_TEXT', 'enum'],
]);

/** Names that people use for what has no exact place under that name, with the name that has. */
const betterNames: readonly (readonly [pattern: RegExp, fix: string])[] = [
  [/^(NUMERIC|DECIMAL|DEC|NUMBER|MONEY)$/, 'DECIMAL_TEXT(precision,scale), whose values are kept as texts'],
  [/^(DATETIME|TIMESTAMP)$/, 'TIMESTAMP_TEXT or TIMESTAMPTZ_TEXT'],
  [/^(TIMESTAMPTZ|TIMESTAMP WITH TIME ZONE)$/, 'TIMESTAMPTZ_TEXT'],
  [/^DATE$/, 'DATE_TEXT'],
  [/^TIME$/, 'TIME_TEXT'],
  [/^(JSON|JSONB)$/, 'JSON_TEXT'],
  [/^(UUID|GUID)$/, 'UUID_TEXT'],
  [/^ENUM$/, 'ENUM_TEXT'],
  [/^(STRING|NAME|NTEXT|LONGTEXT|MEDIUMTEXT|TINYTEXT)$/, 'TEXT'],
  [/^(BYTEA|BINARY|VARBINARY|LONGBLOB|MEDIUMBLOB|TINYBLOB)$/, 'BLOB'],
  [/UNSIGNED|UINT64/, 'UNSIGNED64_TEXT'],
  [/INT/, 'INTEGER, INT32 or INT16'],
  [/^(ANY)?$/, 'one type, such as INTEGER, REAL, TEXT or BLOB'],
];

export interface DeclaredType {
  readonly kind: ScalarKind;
  /** Numbers in brackets: precision and scale of a DECIMAL_TEXT, else without meaning. */
  readonly modifiers: readonly number[];
}

/**
 * A key that SQLite numbers can only be declared INTEGER. It is of a narrower kind where a check of this name says so, which is part of the column: `id INTEGER PRIMARY KEY CONSTRAINT "switchyard_int32" CHECK ("id" BETWEEN …)`.
 */
export function numberedKeyCheck(kind: 'int16' | 'int32', name: string): string {
  const end = kind === 'int16' ? 2 ** 15 : 2 ** 31;
  return `CONSTRAINT "switchyard_${kind}" CHECK (${name} BETWEEN ${-end} AND ${end - 1})`;
}

/** The reverse: kind of the key that SQLite numbers in a table that was made by this statement. */
export const numberedKeyKind = (sql: string): ScalarKind =>
  (/CONSTRAINT\s+"?switchyard_(int16|int32)"?\s+CHECK\s*\(/i.exec(sql)?.[1]?.toLowerCase() as ScalarKind | undefined) ?? 'int64';

const parsed = new Map<string, DeclaredType | null>();
const PARSED_LIMIT = 1_000;

/** The meaning of a declared type, null when it has none. */
export function declaredType(declared: string): DeclaredType | null {
  const known = parsed.get(declared);
  if (known !== undefined) return known;
  const { name, modifiers } = split(declared);
  const kind = kindOfName.get(name);
  const type = kind === undefined || (kind === 'decimal' && !isDecimalModifier(modifiers)) ? null : { kind, modifiers };
  if (parsed.size >= PARSED_LIMIT) parsed.clear();
  parsed.set(declared, type);
  return type;
}

/** What to declare instead of a type without a meaning. */
export function betterType(declared: string): string {
  const { name } = split(declared);
  if (name === 'DECIMAL_TEXT') return 'DECIMAL_TEXT, DECIMAL_TEXT(precision) or DECIMAL_TEXT(precision,scale) with 1 <= precision and 0 <= scale <= precision';
  return betterNames.find(([pattern]) => pattern.test(name))?.[1] ?? 'a type of the list in docs/sqlite.md';
}

function split(declared: string): { readonly name: string; readonly modifiers: readonly number[] } {
  const [, name = '', inner] = /^([^(]*)(?:\(([^)]*)\).*)?$/s.exec(declared.trim()) ?? [];
  return { name: name.trim().replaceAll(/\s+/g, ' ').toUpperCase(), modifiers: inner === undefined ? [] : inner.split(',').map(Number) };
}

function isDecimalModifier([precision = 1, scale = 0, ...more]: readonly number[]): boolean {
  return more.length === 0 && Number.isInteger(precision) && Number.isInteger(scale) && precision >= 1 && precision <= 1_000 && scale >= 0 && scale <= precision;
}

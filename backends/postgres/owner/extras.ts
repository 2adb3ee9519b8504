import { cellFromText } from '../cells.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import type { ColumnDefault, ForeignKey, SecondaryIndex, TableExtras } from '../../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { unlikeIndex } from '../../portable-table.ts';
import { textFromElements } from '../array-text.ts';
import type { TextRow } from '../batch.ts';
import type { Statements } from '../store-client.ts';
import { declaredTypes } from './portable.ts';
import { filledColumns } from './sequences.ts';

interface ColumnFacts {
  readonly name: string;
  readonly filler: string | null;
  readonly identity: boolean;
  /** Null: no sequence of one column fills it. */
  readonly sequence: { readonly step: string; readonly most: string } | null;
  readonly labels: readonly string[] | null;
}

interface IndexFacts {
  readonly name: string;
  readonly definition: string;
  /** It is on whole columns of all rows, and a like of another kind serves the same questions. */
  readonly plain: boolean;
  /** Null in place of an expression. */
  readonly columns: readonly { readonly name: string | null; readonly descending: boolean }[];
}

interface ForeignKeyFacts extends ForeignKey {
  /** It means in every kind what it means here. */
  readonly plain: boolean;
}

interface ExtraFacts {
  readonly columns: readonly ColumnFacts[];
  readonly indexes: readonly IndexFacts[];
  readonly foreignKeys: readonly ForeignKeyFacts[];
}

const namesOf = (numbers: string, table: string): string =>
  `(SELECT json_agg(a.attname ORDER BY n.place) FROM unnest(${numbers}) WITH ORDINALITY n (number, place) JOIN pg_attribute a ON a.attrelid = ${table} AND a.attnum = n.number)`;

const extrasText = `
SELECT json_build_object(
  'columns', (
    SELECT json_agg(json_build_object('name', a.attname, 'filler', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity <> '',
      'sequence', (SELECT json_build_object('step', q.seqincrement::text, 'most', q.seqmax::text) FROM (${filledColumns('$1::text[]')}) f JOIN pg_sequence q ON q.seqrelid = f.sequence
        WHERE f.column_name = a.attname LIMIT 1),
      'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid)))
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'indexes', (
    SELECT coalesce(json_agg(json_build_object('name', x.relname, 'definition', pg_get_indexdef(i.indexrelid),
      'plain', m.amname IN ('btree', 'hash') AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = i.indnkeyatts,
      'columns', (SELECT json_agg(json_build_object('name', a.attname, 'descending', i.indoption[k.place - 1] & 1 = 1) ORDER BY k.place)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place) LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND k.number > 0 WHERE k.place <= i.indnkeyatts)) ORDER BY x.relname), '[]')
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE i.indrelid = c.oid AND i.indisvalid AND NOT i.indisunique AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype = 'x')),
  'foreignKeys', (
    SELECT coalesce(json_agg(json_build_object('name', k.conname, 'columns', ${namesOf('k.conkey', 'k.conrelid')}, 'references', r.relname, 'referencedColumns', ${namesOf('k.confkey', 'k.confrelid')},
      'plain', k.confupdtype IN ('a', 'r') AND k.confdeltype IN ('a', 'r') AND NOT k.condeferrable AND k.convalidated AND (k.confmatchtype = 's' OR cardinality(k.conkey) = 1)) ORDER BY k.conname), '[]')
    FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid AND r.relnamespace = 'public'::regnamespace WHERE k.conrelid = c.oid AND k.contype = 'f')
) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ($1::text[])[1]`;

/** See `TableDefinition.extras`. */
export async function tableExtras(statements: Statements, schema: TableSchema, signal: AbortSignal): Promise<TableExtras> {
  const [row] = await statements.query(extrasText, [textFromElements([schema.name])], signal);
  const { columns, indexes, foreignKeys } = JSON.parse(row?.[0] ?? '{"columns":[],"indexes":[],"foreignKeys":[]}') as ExtraFacts;
  const isPlain = ({ plain, columns: parts }: IndexFacts): boolean => plain && parts.every(({ name }) => name !== null);
  return {
    defaults: await defaultsOf(statements, schema, columns, signal),
    labels: new Map(columns.flatMap(({ name, labels }) => (labels === null ? [] : [[name, labels]]))),
    indexes: indexes.filter(isPlain).map(({ name, columns: parts }): SecondaryIndex => ({ name, columns: parts.map((part) => ({ ...part, name: part.name ?? '' })) })),
    foreignKeys: foreignKeys
      .filter(({ plain }) => plain)
      .map(({ name, columns: names, references, referencedColumns }): ForeignKey => ({ name, columns: names, references, referencedColumns })),
    leftOut: indexes.filter((index) => !isPlain(index)).map(({ name, definition }) => unlikeIndex(name, definition)),
  };
}

/** A constant, as the catalogue writes it: of one cast at most, for behind several it may depend on a session's settings. */
const literal = /^(?:(?:\(?-?\d+(?:\.\d+)?\)?|'(?:[^']|'')*')(?:::(?:[a-z][\w ]*|"(?:[^"]|"")*"|\w+\.\w+)(?:\([\d, ]+\))?)?|true|false|NULL::[a-z][\w ]*(?:\([\d, ]+\))?)$/;
const drawn = /^nextval\('(?:[^']|'')*'::regclass\)$/;
const moment = String.raw`(?:(?:now|transaction_timestamp|statement_timestamp|clock_timestamp)\(\)|CURRENT_TIMESTAMP(?:\(\d\))?)`;
const inUtc = String.raw`(?:timezone\('UTC'::text, ${moment}\)|\(${moment} AT TIME ZONE 'UTC'::text\))`;
/** Sessions of ours are in UTC, so that a time without a zone is one in UTC. */
const nowPatterns: Readonly<Partial<Record<ColumnSchema['kind'], RegExp>>> = {
  timestamptz: new RegExp(`^${moment}$`, 'i'),
  timestamp: new RegExp(String.raw`^(?:${moment}|LOCALTIMESTAMP(?:\(\d\))?|${inUtc}|\(${moment}\)::timestamp without time zone)$`, 'i'),
  date: new RegExp(String.raw`^(?:CURRENT_DATE|${moment}|\((?:${moment}|${inUtc})\)::date|${inUtc})$`, 'i'),
};

async function defaultsOf(statements: Statements, schema: TableSchema, facts: readonly ColumnFacts[], signal: AbortSignal): Promise<ReadonlyMap<string, ColumnDefault>> {
  const found = new Map<string, ColumnDefault>();
  const literals: { readonly column: ColumnSchema; readonly text: string }[] = [];
  for (const { name, filler, identity, sequence } of facts) {
    const column = columnNamed(schema, name);
    if (column.generated) continue;
    const text = filler ?? '';
    if (identity || drawn.test(text)) {
      if (sequence !== null && isPlainSequence(column, sequence)) found.set(name, { kind: 'numbered' });
    } else if (nowPatterns[column.kind]?.test(text) === true) found.set(name, { kind: 'now' });
    // A day or time in another type's form becomes one of the column's by the session's zone.
    else if (literal.test(text) && column.kind !== 'array' && (column.kind !== 'timestamptz' || /::timestamp with time zone$|^NULL::/.test(text))) literals.push({ column, text });
  }
  if (literals.length === 0) return found;
  const values = await valuesOf(statements, literals, signal);
  for (const [at, { column }] of literals.entries()) {
    const value = values[at];
    if (value === undefined) continue;
    const { exactly = false, most = 0 } = column.limits?.characters ?? {};
    const cell = await unlessRefused(async () => cellFromText(column, exactly ? (value?.padEnd(most) ?? null) : value));
    if (cell !== undefined) found.set(column.name, { kind: 'value', cell });
  }
  return found;
}

/** Of each constant as the widest type of its column's kind: whether the column takes it is seen when a row is inserted, here as there. */
async function valuesOf(statements: Statements, literals: readonly { readonly column: ColumnSchema; readonly text: string }[], signal: AbortSignal): Promise<TextRow> {
  const [row = []] = (await unlessRefused(() => statements.query(`SELECT ${literals.map(({ column, text }) => `(${text})::${wideType(column)}`).join(', ')}`, [], signal))) ?? [];
  return row;
}

/** Undefined: the constant is no value of its column's, so that inserts that leave it out fail. The store has never looked at it. */
async function unlessRefused<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (hasReason(error, 'VALUE_INVALID', 'VALUE_UNSUPPORTED', 'CHECK_VIOLATION', 'NOT_NULL_VIOLATION', 'STORE_FAILED')) return undefined;
    throw error;
  }
}

const wideTypes: Readonly<Partial<Record<ColumnSchema['kind'], string>>> = { int16: 'bigint', int32: 'bigint', enum: 'text', json: 'text' };
const wideType = ({ kind }: ColumnSchema): string => wideTypes[kind] ?? (kind === 'array' ? undefined : declaredTypes[kind]) ?? 'text';

const largest: Readonly<Partial<Record<ColumnSchema['kind'], bigint>>> = { int16: 2n ** 15n - 1n, int32: 2n ** 31n - 1n, int64: 2n ** 63n - 1n };

/** It numbers an integer one by one, as far as the column goes. */
function isPlainSequence({ kind }: ColumnSchema, { step, most }: { readonly step: string; readonly most: string }): boolean {
  const limit = largest[kind];
  return limit !== undefined && step === '1' && BigInt(most) >= limit;
}

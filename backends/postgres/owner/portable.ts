import pg from 'pg';
import type { Cell, ScalarKind } from '../../../core/cell.ts';
import { limitCondition, type LimitWords, type NoNumber } from '../../../core/column-limits.ts';
import type { SecondaryIndex } from '../../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import {
  decimalModifiers,
  type Described,
  foreignKeysWithin,
  isNumbered,
  type PortableTable,
  portableColumns,
  portableDefault,
  portableLabels,
  shortName,
  unlike,
  withoutLike,
} from '../../portable-table.ts';
import { cellToText } from '../cells.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';

/** How each kind is declared so that PostgreSQL keeps its values exactly and `describe` finds the same kind again. `json` keeps its text, `jsonb` does not. */
export const declaredTypes: Readonly<Partial<Record<ScalarKind, string>>> = {
  bool: 'boolean',
  int16: 'smallint',
  int32: 'integer',
  int64: 'bigint',
  float32: 'real',
  float64: 'double precision',
  decimal: 'numeric',
  text: 'text',
  bytes: 'bytea',
  uuid: 'uuid',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  json: 'json',
};

/** Bytes of a name at most, and of an enum's label. */
const NAME_BYTES = 63;
/** Bytes of an entry of a B-tree at most are 2,704; some go for what is around the values. */
const ENTRY_BYTES = 2_600;
const CHARACTER_BYTES = 4;
/** Of any value of a kind that has no length. */
const FIXED_BYTES = 32;

/** A plain index as PostgreSQL makes it of one of another kind. */
export interface MadeIndex {
  /** CREATE INDEX takes what stands behind ON and the table. It has no name of its own: PostgreSQL finds a free one. */
  readonly on: string;
  /** By these it is known again. */
  readonly columns: SecondaryIndex['columns'];
}

/**
 * The like of another kind's table; its foreign keys come when all tables are there, its indexes when they have their rows. PRECHECK_FAILED for what has no like here, naming every column.
 */
export function portableTable(definition: Described): PortableTable & { readonly indexes: readonly MadeIndex[] } {
  const { schema: table, extras } = definition;
  const columns = portableColumns(definition, (column) => columnText(definition, column));
  const keys = [`PRIMARY KEY ${list(table.primaryKey)}`, ...table.uniqueKeys.map((unique) => `UNIQUE ${list(unique.columns)}`), ...table.columns.flatMap(valueCheck)];
  const indexes = extras.indexes.map((index) => portableIndex(table, index));
  return {
    statements: [
      ...table.columns.filter(({ kind }) => kind === 'enum').map((column) => enumStatement(enumName(table, column), portableLabels(definition, column))),
      `CREATE TABLE ${quoteTable(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n);`,
    ],
    indexes: indexes.flatMap(({ made }) => made ?? []),
    leftOut: [...extras.leftOut, ...indexes.flatMap(({ lacks }) => lacks ?? [])],
  };
}

/** Its foreign keys into tables named in `within`. Constraints and indexes have no names of their own: PostgreSQL finds free ones. */
export function portableForeignKeys(definition: Described, within: readonly string[]): readonly string[] {
  return foreignKeysWithin(definition, within).map(
    ({ columns, references, referencedColumns }) =>
      `ALTER TABLE ${quoteTable(definition.schema.name)} ADD FOREIGN KEY ${list(columns)} REFERENCES ${quoteTable(references)} ${list(referencedColumns)};`,
  );
}

/** An enum type. One of that name that is there is taken, if it has the same labels. */
function enumStatement(name: string, labels: readonly string[]): string {
  const type = quoteTable(name);
  const quoted = labels.map((label) => pg.escapeLiteral(label)).join(', ');
  const present = `(SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = to_regtype(${pg.escapeLiteral(type)}))`;
  const create = `IF to_regtype(${pg.escapeLiteral(type)}) IS NULL THEN CREATE TYPE ${type} AS ENUM (${quoted});`;
  const compare = `ELSIF ${present} IS DISTINCT FROM ARRAY[${quoted}]::text[] THEN RAISE 'there is a type % of another form', ${pg.escapeLiteral(type)};`;
  return `DO ${pg.escapeLiteral(`BEGIN ${create} ${compare} END IF; END`)};`;
}

const list = (names: readonly string[]): string => `(${names.map(quoteIdentifier).join(', ')})`;
const fitsName = (name: string): boolean => Buffer.byteLength(name) <= NAME_BYTES;
const enumName = (table: TableSchema, { name }: ColumnSchema): string => shortName(`${table.name}_${name}_enum`, fitsName);

function columnText(definition: Described, column: ColumnSchema): string {
  const { schema: table } = definition;
  if (column.kind === 'array') throw unlike(table, column, 'is an array of another store');
  const type = column.kind === 'enum' ? quoteTable(enumName(table, column)) : declaredTypes[column.kind];
  if (type === undefined) throw withoutLike(table, column, 'PostgreSQL');
  if (column.kind === 'enum' && !portableLabels(definition, column).every((label) => fitsName(label)))
    throw unlike(table, column, `has a label that is longer than the ${NAME_BYTES} bytes that PostgreSQL allows`);
  const head = `${quoteIdentifier(column.name)} ${type}${decimalModifiers(column)}${column.nullable ? '' : ' NOT NULL'}`;
  if (!isNumbered(definition, column)) return `${head}${defaultText(definition, column)}`;
  if (column.nullable) throw unlike(table, column, 'is numbered by its store and may be NULL');
  return `${head} GENERATED BY DEFAULT AS IDENTITY`;
}

const nowTexts: Readonly<Partial<Record<ScalarKind, string>>> = {
  timestamptz: 'statement_timestamp()',
  timestamp: `timezone('UTC', statement_timestamp())`,
  date: `timezone('UTC', statement_timestamp())::date`,
};

function defaultText(definition: Described, column: ColumnSchema): string {
  const found = portableDefault(definition, column);
  if (found === null) return '';
  return ` DEFAULT ${found.kind === 'now' ? (nowTexts[column.kind as ScalarKind] ?? 'NULL') : literalText(definition.schema, column, found.cell)}`;
}

function literalText(table: TableSchema, column: ColumnSchema, cell: Cell): string {
  const text = cellToText(column, cell);
  if (text === null) throw unlike(table, column, 'has a default that PostgreSQL cannot hold');
  return pg.escapeLiteral(text).trim();
}

interface PortableIndex {
  readonly made?: MadeIndex;
  /** What the original has, and this one not. */
  readonly lacks?: string;
}

/** A B-tree takes no longer values than a third of a page: what may be longer gets a hash index, or is left out behind other columns. Else it would refuse rows that the other kind takes. */
function portableIndex(table: TableSchema, { name, columns }: SecondaryIndex): PortableIndex {
  const parts = columns.map(({ name: part, descending }) => ({ column: columnNamed(table, part), text: `${quoteIdentifier(part)}${descending ? ' DESC' : ''}` }));
  let room = ENTRY_BYTES;
  const tooLong = parts.findIndex(({ column }) => {
    room -= mostBytes(column);
    return room < 0;
  });
  const kept = tooLong === -1 ? parts : parts.slice(0, tooLong);
  const [first] = parts;
  const texts = parts.map(({ text }) => text);
  const rest = (from: number): string => texts.slice(from).join(', ');
  const made: MadeIndex = { on: `(${texts.slice(0, kept.length).join(', ')})`, columns: columns.slice(0, kept.length) };
  if (kept.length === parts.length) return { made };
  const why = 'whose values may be longer than an entry of a B-tree';
  if (kept.length > 0) return { made, lacks: `index "${name}" is made without ${rest(kept.length)}, ${why}` };
  if (first === undefined || first.column.kind === 'json') return { lacks: `index "${name}" on ${rest(0)} is left out: json has no index here` };
  const without = parts.length === 1 ? '' : ` and without ${rest(1)}`;
  return {
    made: { on: `USING hash (${quoteIdentifier(first.column.name)})`, columns: [{ name: first.column.name, descending: false }] },
    lacks: `index "${name}" is made for equality alone${without}: it is on ${first.text}, ${why}`,
  };
}

function mostBytes(column: ColumnSchema): number {
  const { kind, limits } = column;
  if (kind === 'text') return limits?.bytes?.most ?? (limits?.characters === undefined ? Number.POSITIVE_INFINITY : limits.characters.most * CHARACTER_BYTES);
  if (kind === 'bytes') return limits?.bytes?.most ?? Number.POSITIVE_INFINITY;
  if (kind === 'json' || kind === 'array') return Number.POSITIVE_INFINITY;
  if (kind !== 'decimal') return FIXED_BYTES;
  const [, precision] = /^\((\d+)/.exec(decimalModifiers(column)) ?? [];
  return precision === undefined ? Number.POSITIVE_INFINITY : Number(precision) + FIXED_BYTES;
}
/** Begins the names of the checks below, which are no rules of the application's. */
export const CHECK_PREFIX = 'switchyard_exact_';

/** Keeps out what the other kind could not take back: else a write that nobody refuses would end the way back. */
function valueCheck(column: ColumnSchema, at: number): readonly string[] {
  const condition = limitCondition(column, quoteIdentifier(column.name), words);
  return condition === null ? [] : [`CONSTRAINT ${quoteIdentifier(`${CHECK_PREFIX}${at + 1}`)} CHECK (${condition})`];
}

const noNumbers: Readonly<Record<NoNumber, readonly string[]>> = { NaN: ["'NaN'"], '-0': ["'-0'"], infinity: ["'Infinity'", "'-Infinity'"] };

const words: LimitWords = {
  length: (unit, _, name) => (unit === 'characters' ? `char_length(${name})` : `octet_length(${name})`),
  noBlankAtEnd: (name) => `right(${name}, 1) <> ' '`,
  bound: ({ kind }, text) => {
    if (kind !== 'date' && kind !== 'timestamp' && kind !== 'timestamptz') return text;
    // The year 0000 is 1 BC here.
    const [day, era] = text.startsWith('0000-') ? [`0001${text.slice(4)}`, ' BC'] : [text, ''];
    return `${kind} '${day}${kind === 'timestamptz' ? '+00' : ''}${era}'`;
  },
  isInfinite: (_, name) => `${name} IN ('-infinity', 'infinity')`,
  without: (_, name, without) => `${name}::text NOT IN (${without.flatMap((each) => noNumbers[each]).join(', ')})`,
};

import { createHash } from 'node:crypto';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema, UniqueKey } from '../../core/table-schema.ts';
import { betterType, declaredType, numberedKeyKind } from './column-types.ts';
import type { Connection, SqlRow } from './connection.ts';
import { limitsOf } from './limits.ts';

/** Tables of our own, in the same file. */
export const OWN_PREFIX = 'switchyard_';

/** Collations that every connection has. */
const knownCollations: readonly unknown[] = ['BINARY', 'NOCASE', 'RTRIM'];

const typesText = `SELECT l.type, l.wr, l.strict FROM pragma_table_list l WHERE l.schema = 'main' AND l.name = ?`;
const listText = `
SELECT l.name FROM pragma_table_list l
WHERE l.schema = 'main' AND l.type = 'table' AND substr(l.name, 1, 7) <> 'sqlite_' AND substr(l.name, 1, 11) <> '${OWN_PREFIX}'
  AND EXISTS (SELECT 1 FROM pragma_table_xinfo(l.name, 'main') x WHERE x.pk > 0)
ORDER BY l.name COLLATE BINARY`;
const columnsText = `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid`;
const indexesText = `SELECT name, "unique", origin, partial FROM pragma_index_list(?, 'main') ORDER BY name COLLATE BINARY`;
const indexColumnsText = `SELECT cid, name, coll FROM pragma_index_xinfo(?, 'main') WHERE key = 1 ORDER BY seqno`;

interface ColumnFacts {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly filled: boolean;
  /** Place in the primary key from 1, 0 for none. */
  readonly place: number;
  readonly generated: boolean;
}

interface IndexFacts {
  readonly name: string;
  readonly unique: boolean;
  /** "pk", "u" for a UNIQUE constraint, "c" for CREATE INDEX. */
  readonly origin: string;
  readonly partial: boolean;
  readonly columns: readonly { readonly name: string | null; readonly collation: string }[];
}

/** A table as the store describes it, with what only this kind of store knows. */
export interface DescribedTable {
  readonly schema: TableSchema;
  /** Column that is the row's own number: an INTEGER PRIMARY KEY, filled by the store when an insert leaves it out. Null: none. */
  readonly rowidColumn: string | null;
  readonly withoutRowid: boolean;
  readonly strict: boolean;
  /** Collations of the primary key's columns, in key order: BINARY, NOCASE or RTRIM. */
  readonly keyCollations: readonly string[];
}

/** Names of the tables that could be served, in order: ordinary tables with a primary key that are not ours. */
export const listTables = (connection: Connection): readonly string[] => connection.all(listText).map(([name]) => String(name));

/** The table's shape, null when there is none of exactly this name. TABLE_UNSUPPORTED names what cannot be served and what to declare instead. */
export const describeTable = (connection: Connection, table: string): TableSchema | null => describeFully(connection, table)?.schema ?? null;

/** The same with what only this kind of store knows. To be called within a transaction where all facts must be of one moment. */
export function describeFully(connection: Connection, table: string): DescribedTable | null {
  if (table === '' || table.includes('\0') || table.startsWith(OWN_PREFIX) || table.startsWith('sqlite_')) return null;
  const [facts] = connection.all(typesText, [table]);
  if (facts === undefined) return null;
  refuseType(connection, table, facts);
  const withoutRowid = facts[1] === 1n;
  const columnFacts = connection.all(columnsText, [table]).map(columnFactsOf);
  const indexes = connection.all(indexesText, [table]).map((row) => indexFactsOf(connection, row));
  const primaryIndex = indexes.find((index) => index.origin === 'pk');
  const keyFacts = columnFacts.filter((column) => column.place > 0).sort((a, b) => a.place - b.place);
  if (keyFacts.length === 0) throw unsupported(table, 'it has no primary key');
  const rowidColumn = withoutRowid || primaryIndex !== undefined ? null : (keyFacts[0]?.name ?? null);
  const columns = columnFacts.map((column) => (column.name === rowidColumn ? numberedColumn(connection, table, column) : columnOf(table, column, false)));
  const primaryKey = keyFacts.map((column) => column.name);
  for (const name of primaryKey) refuseKeyColumn(table, columns, name);
  const uniqueIndexes = indexes.filter((index) => index.unique && !index.partial && index.origin !== 'pk' && index.columns.every((column) => column.name !== null));
  for (const index of indexes) for (const { name, collation } of index.columns) refuseCollation(table, name, collation);
  const uniqueKeys: readonly UniqueKey[] = uniqueIndexes.map(({ name, columns: names }) => ({ name, columns: names.map((column) => column.name ?? '') }));
  const keyCollations = primaryKey.map((_, i) => primaryIndex?.columns[i]?.collation ?? 'BINARY');
  const shape = { name: table, columns, primaryKey, uniqueKeys };
  const strict = facts[2] === 1n;
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([shape, rowidColumn, withoutRowid, strict, keyCollations, uniqueIndexes.map((index) => index.columns)]))
    .digest('hex')
    .slice(0, 32);
  const marked = columns.map((column) => withLimits(withOwnWay(column, indexes)));
  return { schema: { ...shape, columns: marked, fingerprint }, rowidColumn, withoutRowid, strict, keyCollations };
}

const columnFactsOf = ([name, type, notNull, filler, place, hidden]: SqlRow): ColumnFacts => ({
  name: String(name),
  type: String(type ?? ''),
  notNull: notNull === 1n,
  filled: filler !== null,
  place: Number(place),
  generated: hidden === 2n || hidden === 3n,
});

function indexFactsOf(connection: Connection, [name, unique, origin, partial]: SqlRow): IndexFacts {
  const columns = connection.all(indexColumnsText, [String(name)]).map(([cid, column, collation]) => ({
    name: Number(cid) < 0 || column === null || column === undefined ? null : String(column),
    collation: String(collation).toUpperCase(),
  }));
  return { name: String(name), unique: unique === 1n, origin: String(origin), partial: partial === 1n, columns };
}

function columnOf(table: string, facts: ColumnFacts, isRowid: boolean): ColumnSchema {
  const type = declaredType(facts.type);
  if (type === null) {
    const shown = facts.type === '' ? 'no declared type' : `the type ${facts.type}, which has no exact mapping`;
    throw unsupported(table, `column "${facts.name}" has ${shown}: declare it ${betterType(facts.type)}`, facts.name);
  }
  return {
    name: facts.name,
    kind: type.kind,
    // A key without NOT NULL may hold NULLs in SQLite. Ours never does: writes are refused, stored ones are errors.
    nullable: !facts.notNull && facts.place === 0,
    hasDefault: facts.filled || facts.generated || isRowid,
    generated: facts.generated,
    nativeType: facts.type,
  };
}

function numberedColumn(connection: Connection, table: string, facts: ColumnFacts): ColumnSchema {
  const [[sql] = []] = connection.all(`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, [table]);
  return { ...columnOf(table, facts, true), kind: numberedKeyKind(String(sql)) };
}

/** Kinds whose values may be any texts; those of the others have one form each, which no collation mixes up. */
const freeTextKinds: readonly unknown[] = ['text', 'enum', 'json'];

function withOwnWay(column: ColumnSchema, indexes: readonly IndexFacts[]): ColumnSchema {
  const parts = freeTextKinds.includes(column.kind) ? indexes.filter((index) => index.unique).flatMap((index) => index.columns) : [];
  const collation = parts.find((part) => part.name === column.name && part.collation !== 'BINARY')?.collation;
  if (collation === undefined) return column;
  return { ...column, ownWay: `is part of a key with the collation ${collation}, which takes different texts for equal: make the key anew with COLLATE BINARY` };
}

function withLimits(column: ColumnSchema): ColumnSchema {
  const limits = limitsOf(column, (declaredType(column.nativeType)?.modifiers.length ?? 0) > 0);
  return limits === null ? column : { ...column, limits };
}

function refuseType(connection: Connection, table: string, [type]: SqlRow): void {
  if (type === 'view') throw unsupported(table, 'it is a view');
  if (type !== 'table') throw unsupported(table, `it is a ${String(type)} table`);
  const [encoding] = connection.all('PRAGMA encoding');
  if (encoding?.[0] !== 'UTF-8')
    throw unsupported(
      table,
      `its file's encoding is ${String(encoding?.[0])}; only UTF-8 is served: copy it into a new file (VACUUM INTO keeps the encoding, a dump and reload does not)`,
    );
}

function refuseKeyColumn(table: string, columns: readonly ColumnSchema[], name: string): void {
  const column = columns.find((candidate) => candidate.name === name);
  // Texts of one value may differ in trailing zeros there.
  if (column?.kind === 'decimal' && declaredType(column.nativeType)?.modifiers.length === 0) {
    throw unsupported(
      table,
      `column "${name}" of its primary key is a DECIMAL_TEXT without a scale, in which one value has many texts: declare DECIMAL_TEXT(precision,scale)`,
      name,
    );
  }
  if (column?.generated === true) throw unsupported(table, `column "${name}" of its primary key is generated`, name);
}

function refuseCollation(table: string, column: string | null, collation: string): void {
  if (knownCollations.includes(collation)) return;
  throw unsupported(
    table,
    `an index on ${column === null ? 'an expression' : `column "${column}"`} has the collation ${collation}, which only its own application knows`,
    column ?? undefined,
  );
}

function unsupported(table: string, why: string, column?: string): SwitchyardError {
  return new SwitchyardError('TABLE_UNSUPPORTED', `table "${table}" cannot be served: ${why}`, { metadata: { table, ...(column === undefined ? {} : { column }) } });
}

import { createHash } from 'node:crypto';
import type { ScalarKind } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema, UniqueKey } from '../../core/table-schema.ts';
import { limitsOf } from './limits.ts';
import { isOwnTable, OWN_PREFIX } from './names.ts';
import { ownWay } from './own-way.ts';
import type { ValueRow } from './session.ts';

/** Names are compared without letter case and blanks by these tables, which find a name fast only so: the second comparison is the true one. */
export const named = (column: string): string => `${column} = ? AND CONVERT(${column} USING utf8mb4) COLLATE utf8mb4_nopad_bin = ?`;
const here = (view: string): string => `FROM information_schema.${view} WHERE TABLE_SCHEMA = DATABASE()`;

/** Names of the tables that could be served, in order: ordinary ones of InnoDB with a primary key that are not ours. One text column. */
export const listTablesText = `
SELECT t.TABLE_NAME FROM information_schema.TABLES t
WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE' AND t.ENGINE = 'InnoDB' AND LOWER(LEFT(t.TABLE_NAME, ${OWN_PREFIX.length})) <> '${OWN_PREFIX}'
  AND EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = DATABASE() AND s.TABLE_NAME = t.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY')
ORDER BY CONVERT(t.TABLE_NAME USING utf8mb4) COLLATE utf8mb4_nopad_bin`;

const tableText = `SELECT TABLE_TYPE, ENGINE ${here('TABLES')} AND ${named('TABLE_NAME')}`;
const columnsText = `
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, IS_GENERATED, COLLATION_NAME
${here('COLUMNS')} AND ${named('TABLE_NAME')} ORDER BY ORDINAL_POSITION`;
const keysText = `
SELECT INDEX_NAME, COLUMN_NAME, SUB_PART
${here('STATISTICS')} AND ${named('TABLE_NAME')} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX`;
/** JSON is another name of longtext here, with this rule. */
const jsonText = `
SELECT CONSTRAINT_NAME, CHECK_CLAUSE
FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE() AND ${named('TABLE_NAME')} AND LEVEL = 'Column'`;

/** What first calls on a table ask of the store's description. */
export const describeTexts: readonly string[] = [tableText, columnsText, keysText, jsonText];

/** So often a table may change while it is described. */
const TRIES = 5;

interface ColumnFacts {
  readonly name: string;
  readonly dataType: string;
  readonly columnType: string;
  readonly nullable: boolean;
  readonly filled: boolean;
  readonly generated: boolean;
  readonly collation: string | null;
  readonly json: boolean;
}

interface KeyFacts {
  readonly name: string;
  readonly columns: readonly string[];
  /** It is about the beginnings of texts. */
  readonly partial: boolean;
}

/** Runs one statement and gives its rows. */
export type Ask = (text: string, values: readonly string[]) => Promise<readonly ValueRow[]>;

/** Reads a table's shape. Null: no such table in the database, or one of ours. TABLE_UNSUPPORTED names what cannot be served. Other errors are those of `ask`. */
export async function describeTable(ask: Ask, table: string): Promise<TableSchema | null> {
  // No name has a character that is more than two bytes in UTF-16.
  if (table === '' || /[\0\u{d800}-\u{dfff}\u{10000}-\u{10ffff}]/u.test(table) || isOwnTable(table)) return null;
  const values = [table, table];
  const [relation] = await ask(tableText, values);
  if (relation === undefined) return null;
  refuseRelation(table, relation);
  const look = async (): Promise<readonly (readonly ValueRow[])[]> => [await ask(columnsText, values), await ask(keysText, values), await ask(jsonText, values)];
  // Every view is asked by itself: two looks that are alike have seen one table.
  let seen = await look();
  for (let tries = 1; tries < TRIES; tries += 1) {
    const again = await look();
    const [columns = [], keys = [], checks = []] = again;
    if (JSON.stringify(again) === JSON.stringify(seen)) return columns.length === 0 ? null : tableFromFacts(table, columns, keys, checks);
    seen = again;
  }
  throw new SwitchyardError('STORE_UNAVAILABLE', `table "${table}" was altered again and again while it was described`, { metadata: { table } });
}

function tableFromFacts(table: string, columnRows: readonly ValueRow[], keyRows: readonly ValueRow[], checkRows: readonly ValueRow[]): TableSchema {
  const json = new Set(checkRows.filter(([name, clause]) => clause === `json_valid(\`${String(name).replaceAll('`', '``')}\`)`).map(([name]) => String(name)));
  const columns = columnRows.map((row) => columnFromFacts(table, columnFacts(row, json)));
  const keys = keysFrom(keyRows);
  const primary = keys.find(({ name }) => name === 'PRIMARY');
  if (primary === undefined) throw unsupported(table, 'it has no primary key');
  if (primary.partial) throw unsupported(table, 'its primary key is about the beginning of a column only');
  const generated = columns.find((column) => column.generated && primary.columns.includes(column.name));
  if (generated !== undefined) throw unsupported(table, `column "${generated.name}" of its primary key is generated`, generated.name);
  const uniqueKeys: readonly UniqueKey[] = keys.filter((key) => key !== primary && !key.partial).map(({ name, columns: names }) => ({ name, columns: names }));
  const shape = { name: table, columns, primaryKey: primary.columns, uniqueKeys };
  const inKeys = new Set(keys.flatMap((key) => key.columns));
  return {
    ...shape,
    columns: columns.map((column) => {
      const limits = limitsOf(column);
      return { ...column, ...ownWay(table, column, inKeys.has(column.name)), ...(limits === null ? {} : { limits }) };
    }),
    fingerprint: createHash('sha256').update(JSON.stringify(shape)).digest('hex').slice(0, 32),
  };
}

function refuseRelation(table: string, [type, engine]: ValueRow): void {
  if (type === 'VIEW') throw unsupported(table, 'it is a view');
  if (type !== 'BASE TABLE') throw unsupported(table, `it is a ${String(type).toLowerCase()} table`);
  if (engine !== 'InnoDB') throw unsupported(table, `its engine is ${String(engine)}, which has no transactions: ALTER TABLE … ENGINE = InnoDB`);
}

function columnFacts([name, dataType, columnType, nullable, filler, extra, isGenerated, collation]: ValueRow, json: ReadonlySet<string>): ColumnFacts {
  const generated = isGenerated === 'ALWAYS';
  const isNullable = nullable === 'YES';
  return {
    name: String(name),
    dataType: String(dataType).toLowerCase(),
    columnType: String(columnType),
    nullable: isNullable,
    // An enum that must have a value has its first label when an insert leaves it out.
    filled: generated || (filler !== null && filler !== 'NULL') || String(extra).includes('auto_increment') || (dataType === 'enum' && !isNullable),
    generated,
    collation: collation === null ? null : String(collation),
    json: json.has(String(name)),
  };
}

function keysFrom(rows: readonly ValueRow[]): readonly KeyFacts[] {
  const names = [...new Set(rows.map(([name]) => String(name)))].toSorted();
  return names.map((name) => {
    const parts = rows.filter((row) => row[0] === name);
    return { name, columns: parts.map((row) => String(row[1])), partial: parts.some((row) => row[2] !== null) };
  });
}

const kindOfType: Readonly<Record<string, ScalarKind>> = {
  smallint: 'int16',
  mediumint: 'int32',
  int: 'int32',
  bigint: 'int64',
  float: 'float32',
  double: 'float64',
  decimal: 'decimal',
  char: 'text',
  varchar: 'text',
  tinytext: 'text',
  text: 'text',
  mediumtext: 'text',
  longtext: 'text',
  binary: 'bytes',
  varbinary: 'bytes',
  tinyblob: 'bytes',
  blob: 'bytes',
  mediumblob: 'bytes',
  longblob: 'bytes',
  uuid: 'uuid',
  date: 'date',
  time: 'time',
  datetime: 'timestamp',
  timestamp: 'timestamptz',
  enum: 'enum',
};

const unsignedKinds: Readonly<Record<string, ScalarKind>> = { smallint: 'int32', int: 'int64', bigint: 'uint64' };

function kindOf({ dataType, columnType, json }: ColumnFacts): ScalarKind | undefined {
  if (json && dataType === 'longtext') return 'json';
  if (dataType === 'tinyint') return columnType === 'tinyint(1)' ? 'bool' : 'int16';
  return (columnType.includes('unsigned') ? unsignedKinds[dataType] : undefined) ?? kindOfType[dataType];
}

function columnFromFacts(table: string, facts: ColumnFacts): ColumnSchema {
  const kind = kindOf(facts);
  if (kind === undefined) throw unsupported(table, `column "${facts.name}" has the type ${facts.columnType}, which has no exact mapping`, facts.name);
  return {
    name: facts.name,
    kind,
    nullable: facts.nullable,
    hasDefault: facts.filled,
    generated: facts.generated,
    nativeType: nativeType(facts, kind),
  };
}

/** The type, with the collation where that does not tell all texts apart. */
function nativeType({ columnType, collation }: ColumnFacts, kind: ScalarKind): string {
  if (kind === 'json') return 'json';
  return collation === null || collation === 'utf8mb4_nopad_bin' || kind === 'uuid' ? columnType : `${columnType} collate ${collation}`;
}

function unsupported(table: string, why: string, column?: string): SwitchyardError {
  return new SwitchyardError('TABLE_UNSUPPORTED', `table "${table}" cannot be served: ${why}`, { metadata: { table, ...(column === undefined ? {} : { column }) } });
}

import pg from 'pg';
import { z } from 'zod';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { shapeDifferenceBetweenKinds, type TableSchema } from '../../../core/table-schema.ts';
import type { SecondaryIndex, TableExtras } from '../../../core/table-extras.ts';
import type { TableDefinition } from '../../backend.ts';
import { nativeDetail } from '../../native-detail.ts';
import { exactChecksLine, leftOutLines } from '../../portable-table.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import { describe, type Statements } from '../store-client.ts';
import { tableExtras } from './extras.ts';
import { CHECK_PREFIX, portableForeignKeys, portableTable } from './portable.ts';
import { filledColumns } from './sequences.ts';

const texts = z.array(z.string()).readonly();
const constraintsSchema = z.array(z.object({ name: z.string(), definition: z.string(), /** Table that a foreign key leads to. */ references: z.string().nullable() })).readonly();
/** CREATE INDEX statements of indexes that no constraint makes; `special`: unique, on a part of the rows or on expressions. */
const indexesSchema = z.array(z.object({ name: z.string(), definition: z.string(), special: z.boolean() })).readonly();

/** What a partition has beside what it gets from its table. */
const partitionSchema = z.object({
  name: z.string(),
  /** Table or partition that it is a part of. */
  of: z.string(),
  /** FOR VALUES …, or DEFAULT. */
  bound: z.string(),
  partitionBy: z.string().nullable(),
  /** What ALTER TABLE does for columns whose default or NOT NULL differs from the table's. */
  columns: texts,
  constraints: constraintsSchema,
  indexes: indexesSchema,
  options: texts,
});

/** What PostgreSQL's own catalogue says about a table, in its own SQL. */
const nativeSchema = z.object({
  /** Enum types of the columns. */
  enums: z.array(z.object({ name: z.string(), labels: texts })).readonly(),
  /** Sequences behind defaults; those of identity columns come with the column. */
  sequences: z.array(z.object({ name: z.string(), column: z.string(), options: z.string() })).readonly(),
  /** In order, as CREATE TABLE takes them. */
  columns: texts,
  constraints: constraintsSchema,
  indexes: indexesSchema,
  /** Storage parameters such as `fillfactor='90'`. */
  options: texts,
  /** As PARTITION BY takes it; null: not partitioned. */
  partitionBy: z.string().nullable(),
  /** At any depth, each behind the one that it is a part of. */
  partitions: z.array(partitionSchema).readonly(),
});
type NativeTable = z.output<typeof nativeSchema>;
type NativePartition = z.output<typeof partitionSchema>;

const KIND = 'postgres';

// Of the table or partition `c`. What it has from above is made with it.
const indexesOf = `
    SELECT coalesce(json_agg(json_build_object('name', x.relname, 'definition', pg_get_indexdef(i.indexrelid),
      'special', i.indisunique AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)) ORDER BY i.indexrelid), '[]') FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisvalid AND NOT x.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x'))`;
const optionsOf = `SELECT coalesce(json_agg(format('%s=%L', o.option_name, o.option_value)), '[]') FROM pg_options_to_table(c.reloptions) o`;

const partitionsText = `
    SELECT coalesce(json_agg(json_build_object('name', c.relname, 'of', above.relname, 'bound', pg_get_expr(c.relpartbound, c.oid), 'partitionBy', pg_get_partkeydef(c.oid),
      'columns', (
        SELECT coalesce(json_agg(e.alter ORDER BY a.attnum), '[]') FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        JOIN pg_attribute b ON b.attrelid = above.oid AND b.attname = a.attname LEFT JOIN pg_attrdef f ON f.adrelid = b.attrelid AND f.adnum = b.attnum
        CROSS JOIN LATERAL (VALUES
          (CASE WHEN a.attgenerated = '' AND a.attidentity = '' AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_get_expr(f.adbin, f.adrelid)
            THEN format('ALTER COLUMN %I ', a.attname) || coalesce('SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT') END),
          (CASE WHEN a.attnotnull AND NOT b.attnotnull THEN format('ALTER COLUMN %I SET NOT NULL', a.attname) END)) AS e (alter)
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND e.alter IS NOT NULL),
      'constraints', (
        SELECT coalesce(json_agg(json_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'references', r.relname) ORDER BY position(k.contype IN 'puxcf'), k.conname), '[]')
        FROM pg_constraint k LEFT JOIN pg_class r ON r.oid = k.confrelid AND r.relnamespace = 'public'::regnamespace
        WHERE k.conrelid = c.oid AND k.conparentid = 0 AND k.conislocal AND k.coninhcount = 0 AND k.contype IN ('p', 'u', 'x', 'c', 'f')),
      'indexes', (${indexesOf}), 'options', (${optionsOf})) ORDER BY t.level, c.relname), '[]')
    FROM pg_partition_tree(c.oid) t JOIN pg_class c ON c.oid = t.relid JOIN pg_class above ON above.oid = t.parentrelid WHERE t.level > 0`;

const nativeText = `
SELECT json_build_object(
  'enums', (
    SELECT coalesce(json_agg(json_build_object('name', y.typname, 'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = y.oid))), '[]')
    FROM pg_type y WHERE y.typtype = 'e' AND y.typnamespace = 'public'::regnamespace
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (y.oid, y.typarray))),
  'sequences', (
    SELECT coalesce(json_agg(json_build_object('name', s.relname, 'column', f.column_name, 'options',
      format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', format_type(q.seqtypid, NULL), q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END))), '[]')
    FROM (${filledColumns('$1::text[]')}) f JOIN pg_class s ON s.oid = f.sequence JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = f.column_name WHERE a.attidentity = ''),
  'columns', (
    SELECT json_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attcollation <> y.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END,
      CASE WHEN a.attgenerated = 's' THEN 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
        WHEN d.adbin IS NOT NULL THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
      CASE WHEN a.attidentity <> '' THEN format('GENERATED %s AS IDENTITY (INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s)', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
        q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END) END,
      CASE WHEN a.attnotnull THEN 'NOT NULL' END) ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN (${filledColumns('$1::text[]')}) f ON f.column_name = a.attname AND a.attidentity <> '' LEFT JOIN pg_sequence q ON q.seqrelid = f.sequence
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'constraints', (
    SELECT coalesce(json_agg(json_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'references', r.relname)
      ORDER BY position(k.contype IN 'puxcf'), k.conname), '[]')
    FROM pg_constraint k LEFT JOIN pg_class r ON r.oid = k.confrelid AND r.relnamespace = 'public'::regnamespace
    WHERE k.conrelid = c.oid AND k.conparentid = 0 AND k.contype IN ('p', 'u', 'x', 'c', 'f')),
  'indexes', (${indexesOf}),
  'options', (${optionsOf}),
  'partitionBy', pg_get_partkeydef(c.oid),
  'partitions', (${partitionsText})
) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ($1::text[])[1]`;

/** The definitions of existing tables. TABLE_UNKNOWN, TABLE_UNSUPPORTED. */
export async function defineTables(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
  const definitions: TableDefinition[] = [];
  for (const table of tables) {
    const schema = await describe(statements, table, signal);
    const [row] = schema === null ? [] : await statements.query(nativeText, [`{"${table.replace(/["\\]/g, '\\$&')}"}`], signal);
    if (schema === null || row === undefined) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}" in its schema public`, { metadata: { table } });
    const detail = JSON.parse(row[0] ?? '') as NativeTable;
    const found = await tableExtras(statements, schema, signal);
    const exact = detail.constraints.map(({ name }) => name).filter((name) => name.startsWith(CHECK_PREFIX));
    const extras = { ...found, leftOut: [...found.leftOut, ...exactChecksLine(exact)] };
    definitions.push({ schema, extras, more: beyondSchema(detail, extras), native: { kind: KIND, detail } });
  }
  return definitions;
}

/**
 * Statements that make the table, with its partitions, without foreign keys and without the indexes that come later. An enum type that is there is taken as it is: whether it is alike, the table's fingerprint tells afterwards.
 */
export function tableStatements(definition: TableDefinition): readonly string[] {
  if (!isNative(definition)) return portableTable(definition).statements;
  const native = nativeOf(definition);
  const table = quoteTable(definition.schema.name);
  const inner = [...native.columns, ...constraintTexts(native.constraints)];
  return [
    ...native.enums.map(enumStatement),
    ...native.sequences.map((sequence) => `CREATE SEQUENCE ${quoteTable(sequence.name)} ${sequence.options};`),
    `CREATE TABLE ${table} (\n  ${inner.join(',\n  ')}\n)${partitionedBy(native)}${withOptions(native)};`,
    ...native.sequences.map((sequence) => `ALTER SEQUENCE ${quoteTable(sequence.name)} OWNED BY ${table}.${quoteIdentifier(sequence.column)};`),
    // Before the partitions, which get theirs with them.
    ...native.indexes.filter((index) => !isLater(native, index)).map((index) => `${index.definition};`),
    ...native.partitions.flatMap(partitionStatements),
  ];
}

/** An index that is made when the table has its rows. */
export interface LaterIndex {
  /** Null: PostgreSQL finds one; the index is known by its columns. */
  readonly name: string | null;
  readonly columns: SecondaryIndex['columns'];
  /** Makes it on a table that nobody uses. */
  readonly statement: string;
  /** Makes it beside writers, outside of any transaction. */
  readonly beside: string;
}

/** The plain secondary indexes of the table, which refuse no row. Of a partitioned table there are none: what is made beside writers cannot be made on all of its partitions at once. */
export function laterIndexes(definition: TableDefinition): readonly LaterIndex[] {
  const table = quoteTable(definition.schema.name);
  if (!isNative(definition)) {
    // Of several that are narrower than they were one may be the like of all.
    const made = new Map(portableTable(definition).indexes.map(({ on, columns }) => [on, columns]));
    return [...made].map(([on, columns]) => ({ name: null, columns, statement: `CREATE INDEX ON ${table} ${on};`, beside: `CREATE INDEX CONCURRENTLY ON ${table} ${on};` }));
  }
  const native = nativeOf(definition);
  return native.indexes
    .filter((index) => isLater(native, index))
    .map(({ name, definition: text }) => ({ name, columns: [], statement: `${text};`, beside: `${text.replace(PLAIN_INDEX, `${PLAIN_INDEX}CONCURRENTLY `)};` }));
}

const PLAIN_INDEX = 'CREATE INDEX ';
const isLater = ({ partitionBy }: NativeTable, index: NativeTable['indexes'][number]): boolean => partitionBy === null && index.definition.startsWith(PLAIN_INDEX);

/** What of the table these statements do not make, as comments. */
export const leftOut = (definition: TableDefinition): readonly string[] => (isNative(definition) ? [] : leftOutLines(definition.schema, portableTable(definition).leftOut));

function partitionStatements(partition: NativePartition): readonly string[] {
  const table = quoteTable(partition.name);
  const constraints = constraintTexts(partition.constraints);
  return [
    `CREATE TABLE ${table} PARTITION OF ${quoteTable(partition.of)} ${partition.bound}${partitionedBy(partition)}${withOptions(partition)};`,
    ...[...partition.columns, ...constraints.map((constraint) => `ADD ${constraint}`)].map((change) => `ALTER TABLE ${table} ${change};`),
    ...partition.indexes.map((index) => `${index.definition};`),
  ];
}

const constraintTexts = (constraints: NativeTable['constraints']): readonly string[] =>
  constraints.filter((constraint) => !isForeignKey(constraint)).map(({ name, definition }) => `CONSTRAINT ${quoteIdentifier(name)} ${definition}`);
const partitionedBy = ({ partitionBy }: Pick<NativeTable, 'partitionBy'>): string => (partitionBy === null ? '' : ` PARTITION BY ${partitionBy}`);
const withOptions = ({ options }: Pick<NativeTable, 'options'>): string => (options.length === 0 ? '' : ` WITH (${options.join(', ')})`);

/** The table's foreign keys into tables named in `within`; for when all of them are there. */
export function foreignKeyStatements(definition: TableDefinition, within: readonly string[]): readonly string[] {
  if (!isNative(definition)) return portableForeignKeys(definition, within);
  const { constraints, partitions } = nativeOf(definition);
  return [{ name: definition.schema.name, constraints }, ...partitions].flatMap((table) =>
    table.constraints
      .filter((constraint) => isForeignKey(constraint) && within.includes(constraint.references ?? ''))
      .map((constraint) => `ALTER TABLE ${quoteTable(table.name)} ADD CONSTRAINT ${quoteIdentifier(constraint.name)} ${constraint.definition};`),
  );
}

/** See `TableDefinition.more`. */
function beyondSchema({ constraints, indexes, partitions }: NativeTable, { foreignKeys }: TableExtras): readonly string[] {
  const isPlainKey = (definition: string): boolean => /^(PRIMARY KEY|UNIQUE) \(/.test(definition) && !/ DEFERRABLE/.test(definition);
  return [
    ...constraints
      .filter(({ name, definition }) => !isPlainKey(definition) && !name.startsWith(CHECK_PREFIX) && !foreignKeys.some((key) => key.name === name))
      .map(({ name, definition }) => `"${name}" ${definition}`),
    ...indexes.filter(({ definition, special }) => special || / NULLS NOT DISTINCT/.test(definition)).map(({ definition }) => definition),
    // Also a unique key that only one partition has.
    ...partitions.flatMap((partition) => [
      ...partition.constraints.map(({ name, definition }) => `"${name}" ${definition} of partition "${partition.name}"`),
      ...partition.indexes.filter(({ definition }) => definition.startsWith('CREATE UNIQUE ')).map(({ definition }) => definition),
    ]),
  ];
}

const isForeignKey = (constraint: NativeTable['constraints'][number]): boolean => constraint.references !== null || constraint.definition.startsWith('FOREIGN KEY');

const isNative = (definition: TableDefinition): boolean => definition.native.kind === KIND;
const nativeOf = (definition: TableDefinition): NativeTable => nativeDetail(nativeSchema, definition);

/** Null: rows of the defined table are rows of this one. Between kinds only what rows are made of can be compared. */
export function unlikeness(definition: TableDefinition, present: TableSchema): string | null {
  const { schema } = definition;
  if (isNative(definition)) return schema.fingerprint === present.fingerprint ? null : 'its definition differs';
  return shapeDifferenceBetweenKinds(schema, present);
}

function enumStatement({ name, labels }: NativeTable['enums'][number]): string {
  const create = `CREATE TYPE ${quoteTable(name)} AS ENUM (${labels.map((label) => pg.escapeLiteral(label)).join(', ')})`;
  // No quotes of dollars: a name or a label may hold any of them.
  return `DO ${pg.escapeLiteral(`BEGIN IF to_regtype(${pg.escapeLiteral(quoteTable(name))}) IS NULL THEN ${create}; END IF; END`)};`;
}

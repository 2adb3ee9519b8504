import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { ScalarKind } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema, UniqueKey } from '../../core/table-schema.ts';
import { limitsOf } from './limits.ts';
import { ownWay } from './own-way.ts';

/** Names of the tables that could be served, in order: ordinary or partitioned, in `public`, with a primary key. One text column. */
export const listTablesText = `
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
ORDER BY c.relname`;

/** Everything about the table named $1 as one JSON text, in one snapshot; no row when there is none. Needs no right on the table. */
export const describeText = `
SELECT json_build_object(
  'relkind', c.relkind,
  'partition', c.relispartition,
  'inherits', c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhparent, h.inhrelid)),
  'encoding', (SELECT pg_encoding_to_char(d.encoding) FROM pg_database d WHERE d.datname = current_database()),
  'columns', (
    SELECT json_agg(json_build_object(
      'number', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'notNull', a.attnotnull OR base.not_null,
      'filled', a.atthasdef OR a.attidentity <> '' OR base.has_default,
      'generated', a.attgenerated <> '',
      'numbered', a.attidentity = 'a',
      'stored', CASE WHEN base.is_domain THEN format_type(base.type::oid, base.modifier) END,
      'base', base.type, 'domain', base.is_domain, 'element', element.oid::int,
      'enum', coalesce(element.typtype, base.typtype) = 'e',
      'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = coalesce(element.oid, base.type::oid)),
      'twins', coalesce(NOT o.collisdeterministic, false)
    ) ORDER BY a.attnum)
    FROM pg_attribute a
    CROSS JOIN LATERAL (
      WITH RECURSIVE chain AS (
        SELECT t.oid, t.typtype, t.typbasetype, t.typelem, t.typnotnull, t.typdefault, t.typtypmod, 1 AS depth FROM pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype, t.typelem, t.typnotnull, t.typdefault, t.typtypmod, depth + 1 FROM chain JOIN pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd'
      )
      SELECT (array_agg(oid::int ORDER BY depth DESC))[1] AS type, (array_agg(typtype ORDER BY depth DESC))[1] AS typtype,
        coalesce((array_agg(typtypmod ORDER BY depth) FILTER (WHERE typtypmod <> -1))[1], -1) AS modifier,
        bool_or(typtype = 'd') AS is_domain, bool_or(typtype = 'd' AND typnotnull) AS not_null, bool_or(typtype = 'd' AND typdefault IS NOT NULL) AS has_default
      FROM chain
    ) base
    LEFT JOIN pg_type element ON element.typarray = base.type::oid
    LEFT JOIN pg_collation o ON o.oid = a.attcollation
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ),
  'keys', (
    SELECT json_agg(json_build_object(
      'name', k.relname, 'primary', i.indisprimary, 'immediate', i.indimmediate,
      'columns', (SELECT json_agg(n ORDER BY place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY key (n, place) WHERE place <= i.indnkeyatts)
    ) ORDER BY k.relname)
    FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  )
)
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = $1::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`;

/** Object ids of built-in types never change. */
const kindOfType: ReadonlyMap<number, ScalarKind> = new Map([
  [16, 'bool'],
  [21, 'int16'],
  [23, 'int32'],
  [20, 'int64'],
  [700, 'float32'],
  [701, 'float64'],
  [1700, 'decimal'],
  [25, 'text'],
  [1043, 'text'],
  [1042, 'text'],
  [17, 'bytes'],
  [2950, 'uuid'],
  [1082, 'date'],
  [1083, 'time'],
  [1114, 'timestamp'],
  [1184, 'timestamptz'],
  [114, 'json'],
  [3802, 'json'],
]);

const relationNames: Readonly<Record<string, string>> = { v: 'a view', m: 'a materialized view', f: 'a foreign table' };

interface ColumnFacts {
  readonly number: number;
  readonly name: string;
  readonly type: string;
  /** Of a domain: the type behind all domains, with the length or precision that one of them gives it. */
  readonly stored: string | null;
  readonly notNull: boolean;
  readonly filled: boolean;
  readonly generated: boolean;
  readonly numbered: boolean;
  /** Type behind all domains. */
  readonly base: number;
  readonly domain: boolean;
  readonly element: number | null;
  readonly enum: boolean;
  readonly labels: readonly string[] | null;
  /** Different texts may be equal. */
  readonly twins: boolean;
}

interface KeyFacts {
  readonly name: string;
  readonly primary: boolean;
  readonly immediate: boolean;
  readonly columns: readonly number[];
}

interface TableFacts {
  readonly relkind: string;
  readonly partition: boolean;
  readonly inherits: boolean;
  readonly encoding: string;
  readonly columns: readonly ColumnFacts[] | null;
  readonly keys: readonly KeyFacts[] | null;
}

/** Reads a table's shape. Null: no such table in `public`. TABLE_UNSUPPORTED names what cannot be served. Other errors are the driver's. */
export async function describeTable(client: pg.ClientBase, table: string): Promise<TableSchema | null> {
  const result = await client.query<[string]>({ text: describeText, values: [table], rowMode: 'array' });
  const facts = result.rows[0]?.[0];
  return facts === undefined ? null : tableFromFacts(table, facts);
}

/** What `describeText` answered → the table's shape. TABLE_UNSUPPORTED. */
export function tableFromFacts(table: string, json: string): TableSchema {
  const facts = JSON.parse(json) as TableFacts;
  refuseRelation(table, facts);
  const columnFacts = facts.columns ?? [];
  const columns = columnFacts.map((column) => columnFromFacts(table, column));
  const nameOf = new Map(columnFacts.map((column) => [column.number, column.name]));
  const keys = (facts.keys ?? []).map((key) => ({ ...key, columns: key.columns.map((number) => nameOf.get(number) ?? '') }));
  const primary = keys.find((key) => key.primary);
  if (primary === undefined) throw unsupported(table, 'it has no primary key');
  if (!primary.immediate) throw unsupported(table, 'its primary key is deferrable');
  const arrayKey = columns.find((column) => column.kind === 'array' && primary.columns.includes(column.name));
  if (arrayKey !== undefined) throw unsupported(table, `column "${arrayKey.name}" of its primary key is an array`);
  const uniqueKeys: readonly UniqueKey[] = keys.filter((key) => !key.primary).map(({ name, columns: names }) => ({ name, columns: names }));
  const shape = { name: table, columns, primaryKey: primary.columns, uniqueKeys };
  const labels = columnFacts.map((column) => column.labels);
  const behindDomains = columnFacts.map((column) => column.stored);
  const inKeys = new Set(keys.flatMap((key) => key.columns));
  return {
    ...shape,
    columns: columns.map((column, at) => ({
      ...column,
      ...limits(columnFacts[at]?.stored ?? column.nativeType),
      ...storedType(columnFacts[at]?.stored ?? null),
      ...ownWay(table, column, { domain: columnFacts[at]?.domain === true, base: columnFacts[at]?.base ?? 0, inKey: inKeys.has(column.name) }),
    })),
    fingerprint: createHash('sha256')
      .update(JSON.stringify([shape, labels, ...(behindDomains.some((stored) => stored !== null) ? [behindDomains] : [])]))
      .digest('hex')
      .slice(0, 32),
  };
}

function limits(stored: string): Pick<ColumnSchema, 'limits'> {
  const found = limitsOf(stored);
  return found === null ? {} : { limits: found };
}

const storedType = (stored: string | null): Pick<ColumnSchema, 'storedType'> => (stored === null ? {} : { storedType: stored });

function refuseRelation(table: string, facts: TableFacts): void {
  const relation = relationNames[facts.relkind];
  if (relation !== undefined) throw unsupported(table, `it is ${relation}`);
  if (facts.partition) throw unsupported(table, 'it is a partition: name the partitioned table');
  if (facts.inherits) throw unsupported(table, 'it has a part in table inheritance');
  if (facts.encoding === 'SQL_ASCII') throw unsupported(table, "its database's encoding is SQL_ASCII, whose texts have no defined meaning");
}

function columnFromFacts(table: string, facts: ColumnFacts): ColumnSchema {
  const kind = facts.enum ? 'enum' : kindOfType.get(facts.element ?? facts.base);
  if (kind === undefined) throw unsupported(table, `column "${facts.name}" has the type ${facts.type}, which has no exact mapping`, facts.name);
  if (facts.twins) throw unsupported(table, `column "${facts.name}" has a nondeterministic collation: different texts may be equal`, facts.name);
  return {
    name: facts.name,
    ...(facts.element === null ? { kind } : { kind: 'array', elementKind: kind }),
    nullable: !facts.notNull,
    hasDefault: facts.filled,
    generated: facts.generated,
    ...(facts.numbered ? { numbered: true } : {}),
    nativeType: facts.type,
  };
}

function unsupported(table: string, why: string, column?: string): SwitchyardError {
  return new SwitchyardError('TABLE_UNSUPPORTED', `table "${table}" cannot be served: ${why}`, { metadata: { table, ...(column === undefined ? {} : { column }) } });
}

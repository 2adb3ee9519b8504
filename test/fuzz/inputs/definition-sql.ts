import type { TableDefinition } from '../../../backends/backend.ts';
import * as mariadb from '../../../backends/mariadb/owner/definition.ts';
import * as postgres from '../../../backends/postgres/owner/definition.ts';
import * as sqlite from '../../../backends/sqlite/owner/tables.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';
import { type Dialect, sqlWithoutNames } from './sql-skeleton.ts';

/** The same with plain names and texts, each name another where it was another. */
export function plain(definition: TableDefinition): TableDefinition {
  const known = new Map<string, string>();
  const of = (name: string): string => {
    const folded = name.toLowerCase();
    if (!known.has(folded)) known.set(folded, `n${known.size}`);
    return known.get(folded) ?? '';
  };
  const { schema, extras, native } = definition;
  const all = (names: readonly string[]): readonly string[] => names.map(of);
  return {
    ...definition,
    schema: {
      ...schema,
      name: of(schema.name),
      columns: schema.columns.map(({ limits, ...column }) => ({ ...column, name: of(column.name), ...(limits === undefined ? {} : { limits: plainLimits(column.kind, limits) }) })),
      primaryKey: all(schema.primaryKey),
      uniqueKeys: schema.uniqueKeys.map(({ name, columns }) => ({ name: of(name), columns: all(columns) })),
    },
    extras: {
      ...extras,
      defaults: new Map(
        [...extras.defaults].map(([name, found]) => [of(name), found.kind === 'value' && typeof found.cell === 'string' && isText(schema, name) ? { ...found, cell: 'x' } : found]),
      ),
      labels: new Map([...extras.labels].map(([name, labels]) => [of(name), labels.map((_, i) => `l${i}`)])),
      indexes: extras.indexes.map(({ name, columns }) => ({ name: of(name), columns: columns.map((part) => ({ ...part, name: of(part.name) })) })),
      foreignKeys: extras.foreignKeys.map((key) => ({
        name: of(key.name),
        columns: all(key.columns),
        references: of(key.references),
        referencedColumns: all(key.referencedColumns),
      })),
    },
    native: { ...native, detail: plainDetail(native.detail, of) },
  };
}

const isText = ({ columns }: TableSchema, name: string): boolean => columns.some((column) => column.name === name && (column.kind === 'text' || column.kind === 'enum'));

function plainLimits(kind: string, limits: NonNullable<TableSchema['columns'][number]['limits']>): typeof limits {
  const bound = kind === 'date' ? '2024-02-29' : kind.startsWith('timestamp') ? '2024-02-29 00:00:00.000000' : '1';
  return { ...limits, ...(limits.least === undefined ? {} : { least: bound }), ...(limits.most === undefined ? {} : { most: bound }) };
}

/** Members of what a kind tells of its own that are names or texts. */
const nameMembers = ['name', 'of', 'column', 'references', 'labels'];

function plainDetail(detail: unknown, of: (name: string) => string): unknown {
  if (Array.isArray(detail)) return detail.map((each) => plainDetail(each, of));
  if (typeof detail !== 'object' || detail === null) return detail;
  const changed = (name: string, value: unknown): unknown => {
    if (nameMembers.includes(name) && typeof value === 'string') return of(value);
    return name === 'labels' && Array.isArray(value) ? value.map(() => 'l') : plainDetail(value, of);
  };
  return Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, changed(name, value)]));
}

/** How each kind makes the table, by its own name. */
const makers: readonly (readonly [Dialect, (definition: TableDefinition) => readonly string[]])[] = [
  [
    'postgres',
    (each) => [
      ...postgres.tableStatements(each),
      ...postgres.foreignKeyStatements(each, [each.schema.name]),
      ...postgres.laterIndexes(each).flatMap(({ statement, beside }) => [statement, beside]),
      ...postgres.leftOut(each),
    ],
  ],
  ['mariadb', (each) => [...mariadb.tableStatements(each, [each]), mariadb.addKeys(each.schema, mariadb.laterKeys(each, [each]), true), ...mariadb.leftOut(each, [each])]],
  ['sqlite', (each) => sqlite.planTables([each])],
];

/** Whether what a kind tells of its own has quotes or comments in its SQL, so that names behind them cannot be told from it. */
function holdsSql(detail: unknown, name = ''): boolean {
  if (Array.isArray(detail)) return detail.some((each) => holdsSql(each, name));
  if (typeof detail === 'object' && detail !== null) return Object.entries(detail).some(([member, value]) => holdsSql(value, member));
  return typeof detail === 'string' && !nameMembers.includes(name) && /["'`$#[\\]|--|\/\*/.test(detail);
}

/** Nothing but columns, lengths and orders. By its name a plain key of MariaDB comes with the table or later. */
const plainKeys = /,KEY\((?:\(0\)|DESC|,)*\)|ADDKEYIFNOTEXISTS\((?:\(0\)|DESC|,)*\),?/g;

/** What each kind of store makes of a definition. A finding where a name, a text or a bound of it is taken for SQL. */
export async function madeByAll(definition: TableDefinition): Promise<readonly string[]> {
  const outcomes: string[] = [];
  for (const [dialect, make] of makers) {
    let statements: readonly string[] = [];
    const outcome = await outcomeOf(() => {
      statements = make(definition);
    });
    outcomes.push(`${dialect}: ${outcome}`);
    let others: readonly string[] = [];
    if (
      outcome !== 'value' ||
      (definition.native.kind === dialect && holdsSql(definition.native.detail)) ||
      (await outcomeOf(() => (others = make(plain(definition))))) !== 'value'
    )
      continue;
    const [ours, theirs] = [statements, others].map((each) => each.map((one) => sqlWithoutNames(dialect, one).replaceAll(plainKeys, '')).join('|'));
    must(ours === theirs, `a name, a text or a bound is taken for SQL by ${dialect}: ${ours} instead of ${theirs}`);
  }
  return outcomes;
}

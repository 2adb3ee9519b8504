import { takenNames } from './taken-names.ts';
import { type Column, ColumnKind, type TableSchema } from '../gen/switchyard/data/v1/value_pb.ts';

/** Names of kinds as a module has them. */
const kindNames: Readonly<Record<ColumnKind, string>> = {
  [ColumnKind.UNSPECIFIED]: '',
  [ColumnKind.BOOL]: 'bool',
  [ColumnKind.INT16]: 'int16',
  [ColumnKind.INT32]: 'int32',
  [ColumnKind.INT64]: 'int64',
  [ColumnKind.UINT64]: 'uint64',
  [ColumnKind.FLOAT32]: 'float32',
  [ColumnKind.FLOAT64]: 'float64',
  [ColumnKind.DECIMAL]: 'decimal',
  [ColumnKind.TEXT]: 'text',
  [ColumnKind.BYTES]: 'bytes',
  [ColumnKind.UUID]: 'uuid',
  [ColumnKind.DATE]: 'date',
  [ColumnKind.TIME]: 'time',
  [ColumnKind.TIMESTAMP]: 'timestamp',
  [ColumnKind.TIMESTAMPTZ]: 'timestamptz',
  [ColumnKind.JSON]: 'json',
  [ColumnKind.ENUM]: 'enum',
  [ColumnKind.ARRAY]: 'array',
};

export interface ModuleOptions {
  /** What the module imports the client as. */
  readonly client: string;
  /** How to make it anew. */
  readonly command: string;
}

/** The text of a TypeScript module for these tables: their shapes as constants, a type for each table's rows, and `connect`. */
export function moduleText(tables: readonly TableSchema[], { client, command }: ModuleOptions): string {
  const names = typeNames(tables);
  const members = memberNames(tables);
  return [
    `// Made by "${command}". Make it anew when a table changes; do not edit it.`,
    `import { type Database, type DatabaseOptions, openDatabase, type RowOf } from ${quoted(client)};`,
    '',
    'export const tables = {',
    ...tables.flatMap((table) => indented(tableLines(table, members.get(table) ?? ''))),
    '} as const;',
    '',
    ...tables.map((table) => `export type ${names.get(table)} = RowOf<(typeof tables)[${quoted(members.get(table) ?? '')}]>;`),
    '',
    'export type Db = Database<typeof tables>;',
    '',
    'export const connect = (options: DatabaseOptions): Db => openDatabase(tables, options);',
    '',
  ].join('\n');
}

function tableLines(table: TableSchema, name: string): readonly string[] {
  return [
    `${member(name)}: {`,
    ...indented([
      `name: ${quoted(table.name)},`,
      'columns: {',
      ...indented(table.columns.map((column) => `${member(column.name)}: ${columnText(column)}, // ${oneLine(column.nativeType)}`)),
      '},',
      `primaryKey: [${table.primaryKey.map(quoted).join(', ')}],`,
    ]),
    '},',
  ];
}

function columnText({ kind, elementKind, nullable, hasDefault, generated }: Column): string {
  const flags = [
    ['nullable', nullable],
    ['hasDefault', hasDefault],
    ['generated', generated],
  ] as const;
  const members = [
    `kind: ${quoted(kindNames[kind] ?? '')}`,
    ...(kind === ColumnKind.ARRAY ? [`element: ${quoted(kindNames[elementKind] ?? '')}`] : []),
    ...flags.flatMap(([name, isSet]) => (isSet ? [`${name}: true`] : [])),
  ];
  return `{ ${members.join(', ')} }`;
}

/** What a program calls the tables: by their names, with "_" behind one that is taken. */
function memberNames(tables: readonly TableSchema[]): ReadonlyMap<TableSchema, string> {
  const taken = new Set([...takenNames, ...tables.map(({ name }) => name)]);
  return new Map(
    tables.map((table) => {
      let { name } = table;
      if (!takenNames.includes(name)) return [table, name] as const;
      while (taken.has(name)) name += '_';
      taken.add(name);
      return [table, name] as const;
    }),
  );
}

/** Names of the tables' row types: "shop.order_lines" is ShopOrderLines; a name that is taken gets a number. */
function typeNames(tables: readonly TableSchema[]): ReadonlyMap<TableSchema, string> {
  const taken = new Set(['Database', 'DatabaseOptions', 'Db', 'RowOf']);
  return new Map(
    tables.map((table) => {
      const words = table.name.split(/[^\p{ID_Continue}]+|_+/u).filter((word) => word !== '');
      const base = words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`).join('');
      const plain = /^\p{ID_Start}/u.test(base) ? base : `Table${base}`;
      let name = plain;
      for (let number = 2; taken.has(name); number += 1) name = `${plain}${number}`;
      taken.add(name);
      return [table, name] as const;
    }),
  );
}

const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'").replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`;
const member = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) && name !== '__proto__' ? name : name === '__proto__' ? "['__proto__']" : quoted(name));
const indented = (lines: readonly string[]): readonly string[] => lines.map((line) => `  ${line}`);
/** For a comment: what a store calls a type may hold anything. */
const oneLine = (text: string): string => text.replaceAll(/[\s\u2028\u2029]+/gu, ' ');

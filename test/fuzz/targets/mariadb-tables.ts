import { cellFromValue, cellToParameter } from '../../../backends/mariadb/cells.ts';
import { requireFit } from '../../../backends/mariadb/column-fit.ts';
import { compileBatchGet } from '../../../backends/mariadb/data/batch-get.ts';
import { compileAggregate, compileGet, compileQuery, compileWrite } from '../../../backends/mariadb/data/compiler.ts';
import { defineTables } from '../../../backends/mariadb/owner/definition.ts';
import type { Value, ValueRow } from '../../../backends/mariadb/session.ts';
import type { Statements } from '../../../backends/mariadb/store-client.ts';
import type { Cell, ScalarKind } from '../../../core/cell.ts';
import { cellsEqual } from '../../../core/cell.ts';
import type { Filter, WriteOperation } from '../../../core/operation.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { madeByAll, plain } from '../inputs/definition-sql.ts';
import { fits } from '../inputs/fitting-cell.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { sampleCell } from '../inputs/sample-cells.ts';
import { sqlWithoutNames } from '../inputs/sql-skeleton.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const never = new AbortController().signal;
const breaking = ['a`; DROP TABLE canary; -- `', "a'); DROP TABLE canary; --", 'a\\', '`a``b`', 'a\n,b', 'json_valid(`a`)'];
/** Types as the server describes them, with a value that a column of it may have. */
const types: readonly (readonly [dataType: string, columnType: string, value: Json])[] = [
  ['int', 'int(11)', 7],
  ['int', 'int(10) unsigned zerofill', '4294967295'],
  ['tinyint', 'tinyint(1)', 1],
  ['bigint', 'bigint(20) unsigned', '18446744073709551615'],
  ['decimal', 'decimal(12,4)', '00001.5000'],
  ['decimal', 'decimal(65,30) unsigned', '1.5'],
  ['float', 'float(5,2)', 0.5],
  ['double', 'double', 1e300],
  ['varchar', 'varchar(40)', 'text'],
  ['char', 'char(3)', 'a'],
  ['text', 'text', 'x '],
  ['longtext', 'longtext', '{}'],
  ['varbinary', 'varbinary(16)', 'bytes'],
  ['binary', 'binary(4)', 'byte'],
  ['uuid', 'uuid', '00000000-0000-4000-8000-000000000000'],
  ['date', 'date', '2024-02-29'],
  ['date', 'date', '0000-00-00'],
  ['time', 'time(2)', '24:00:00.00'],
  ['datetime', 'datetime(6)', '2024-02-29 12:34:56.789012'],
  ['timestamp', 'timestamp', '2024-01-01 00:00:00'],
  ['enum', "enum('good','it''s','a,b','\\\\')", 'good'],
  ['set', "set('a')", 'a'],
  ['point', 'point', null],
];
const collations = [null, null, 'utf8mb4_nopad_bin', 'utf8mb4_general_ci', 'latin1_swedish_ci', 'utf16_bin', "x' OR '1", 'utf8mb3_bin; --'];
const fillers = [null, 'NULL', '1', "'it''s'", 'current_timestamp(6)', "x'00'", '(uuid())', "'\\\\'", "'unended"];

interface Input {
  readonly table: string;
  readonly relation: ValueRow;
  readonly columns: readonly (readonly [...facts: ValueRow])[];
  readonly keys: readonly ValueRow[];
  readonly checks: readonly ValueRow[];
  readonly indexes: readonly ValueRow[];
  readonly foreignKeys: readonly ValueRow[];
  readonly create: string;
  readonly values: readonly Value[];
  readonly text: string;
}

function sample(random: Random): Json {
  const name = (given: string): string =>
    random.chance(25) ? random.pick(random.chance(60) ? breaking : nastyTexts.filter((text) => text !== '' && text.length < 65)).toWellFormed() : given;
  const chosen = Array.from({ length: 1 + random.below(6) }, () => random.pick(types));
  const names = chosen.map((_, i) => name(i === 0 ? 'id' : `c${i}`));
  const columns = chosen.map(([dataType, columnType], i): Json => {
    const isText = /char|text|enum/.test(dataType);
    const extra = random.chance(85) ? '' : random.pick(['auto_increment', 'on update current_timestamp(6)', 'STORED GENERATED']);
    return [
      names[i] ?? '',
      dataType,
      columnType,
      i > 0 && random.chance(50) ? 'YES' : 'NO',
      random.pick(fillers),
      extra,
      random.chance(5) ? 'ALWAYS' : 'NEVER',
      isText ? random.pick(collations) : null,
    ];
  });
  const some = (): string => random.pick(names);
  const quoted = (text: string): string => `\`${text.replaceAll('`', '``')}\``;
  const create = `CREATE TABLE \`item\` (\n  ${[...names.map((each) => `${quoted(each)} int DEFAULT 'it''s (' COMMENT 'a\\'),'`), `PRIMARY KEY (${quoted(names[0] ?? '')})`, `CONSTRAINT ${quoted(name('f'))} FOREIGN KEY (${quoted(some())}, ${quoted(some())}) REFERENCES ${random.chance(50) ? quoted(name('item')) : '`db`.`t`'} (\`id\`)`, `CONSTRAINT \`c\` CHECK (json_valid(${quoted(some())}))`].join(',\n  ')}\n) ENGINE=InnoDB AUTO_INCREMENT=5 DATA DIRECTORY='/a' COMMENT=')'`;
  return {
    table: name('item'),
    relation: ['BASE TABLE', random.chance(97) ? 'InnoDB' : 'MyISAM'],
    columns,
    keys: [['PRIMARY', names[0] ?? '', random.chance(95) ? null : 3], ...(random.chance(30) ? [[name('u'), some(), null]] : [])],
    checks: random.chance(30) ? names.map((each) => [each, `json_valid(${quoted(each)})`, 'Column']) : [],
    indexes: random.chance(40) ? [[name('i'), some(), random.below(2), random.pick(['BTREE', 'FULLTEXT'])]] : [],
    foreignKeys: random.chance(30) ? [[name('f'), some(), name('item'), names[0] ?? '']] : [],
    create,
    values: chosen.map(([, , value]) => value),
    text: random.pick(nastyTexts),
  };
}

/** The server's own tables of tables, as the input has them. */
function statementsOf(input: Input): Statements {
  const rowsOf = (text: string): readonly ValueRow[] => {
    if (text.includes('REFERENTIAL_CONSTRAINTS')) return input.foreignKeys;
    if (text.includes('CHECK_CONSTRAINTS')) return input.checks;
    if (text.includes('.TABLES')) return [input.relation];
    if (text.includes('NON_UNIQUE = 1')) return input.indexes;
    if (text.includes('SELECT DISTINCT INDEX_NAME')) return [];
    if (text.includes('.STATISTICS')) return input.keys;
    if (text.includes('SELECT COLUMN_NAME, DATA_TYPE')) return input.columns;
    if (text.includes('SELECT COLUMN_NAME, COLUMN_TYPE')) return input.columns.map(([column = null, , type = null, , , extra = null]) => [column, type, extra]);
    if (text.includes('SELECT COLUMN_NAME, COLUMN_DEFAULT')) return input.columns.map(([column = null, , , , filler = null, extra = null]) => [column, filler, extra]);
    return [input.values];
  };
  const done = (rows: readonly ValueRow[]) => ({ ok: true as const, rows, affectedRows: 0, cut: false });
  return { query: async (text) => done(rowsOf(text)), command: async () => done([['item', input.create]]) };
}

/** What a value means is what is written again. */
function judgeValues(schema: TableSchema, values: readonly Value[]): void {
  for (const [i, column] of schema.columns.entries()) {
    const sent = values[i] ?? null;
    const value = column.kind === 'bytes' && typeof sent === 'string' ? Buffer.from(sent) : sent;
    const cell = cellFromValue(column, value);
    must(cell === null || fits(column.kind as ScalarKind, cell), `${String(value)} became ${String(cell)} of kind ${column.kind}`);
    const parameter = cellToParameter(column, cell);
    if (column.kind === 'bool' || column.kind.startsWith('float')) continue;
    must(cellsEqual(cellFromValue(column, parameter), cell), `${String(value)} of kind ${column.kind} is not read as it is written: ${String(parameter)}`);
  }
}

/** The statements of every call on the table, with good cells and with a text of the input in every place that takes one. */
function statementsOn(table: TableSchema, text: string): readonly string[] {
  const { columns, primaryKey } = table;
  const cellOf = ({ kind }: TableSchema['columns'][number]): Cell => (kind === 'text' || kind === 'enum' ? text : sampleCell(kind));
  const own = columns.filter(({ generated }) => !generated);
  const row = { columns: own.map(({ name }) => name), cells: own.map(cellOf) };
  const key = primaryKey.map((name) => cellOf(columns.find((column) => column.name === name) as TableSchema['columns'][number]));
  const names = columns.map(({ name }) => name);
  const filters: readonly Filter[] = columns.flatMap((column): Filter[] => [
    { kind: 'compare', column: column.name, operator: '<=', value: cellOf(column) },
    { kind: 'in', column: column.name, values: [cellOf(column)] },
    { kind: 'isNull', column: column.name },
    ...(column.kind === 'text' ? [{ kind: 'prefix', column: column.name, text } as const, { kind: 'like', column: column.name, pattern: text } as const] : []),
  ]);
  const filter: Filter = { kind: 'or', filters };
  const orderBy = names.map((column) => ({ column, descending: false }));
  const writes: readonly WriteOperation[] = [
    { kind: 'insert', table: table.name, row, returning: names },
    { kind: 'upsert', table: table.name, row, precondition: filter, returning: names },
    { kind: 'update', table: table.name, key, set: row, add: { columns: [], cells: [] }, precondition: filter, returning: names },
    { kind: 'delete', table: table.name, key, precondition: null, allowMissing: true },
  ];
  const reads = [
    compileGet(table, { key, columns: names }),
    compileQuery(table, { filter, orderBy, columns: names, limit: 5, after: columns.map(cellOf) }),
    compileAggregate(table, { filter, aggregations: [{ kind: 'count' }, { kind: 'max', column: names[0] ?? '' }], groupBy: names[0] ?? '', limit: 5 }),
    compileBatchGet(table, { keys: [key], columns: names }).read,
  ];
  return [...reads.map((read) => `${read.columns.join()} ${read.source}`), ...writes.map((write) => compileWrite(table, write).text)];
}

/** What a MariaDB server says of a table and of its values, and the statements that are made of it: types, defaults and names in the server's own words, which are names and words whatever stands in them. */
export const target: FuzzTarget = {
  name: 'mariadb-tables',
  words: [...types.map(([, type]) => type), ...breaking, '"PRIMARY"', '"BASE TABLE"', 'unsigned', ' collate ', 'FOREIGN KEY', 'REFERENCES'],
  changedPercent: 15,
  generate: (random) => Buffer.from(strayJson(random, sample(random), random.pick([0, 0, 0, 1]))),
  open: async () => ({
    run: async (bytes) => {
      let input: Input;
      try {
        input = JSON.parse(bytes.toString()) as Input;
        const lists = [input.relation, input.columns, input.keys, input.checks, input.indexes, input.foreignKeys, input.values];
        const rows = [...input.columns, ...input.keys, ...input.checks, ...input.indexes, ...input.foreignKeys];
        const isValue = (value: unknown): boolean => value === null || typeof value === 'string' || typeof value === 'number';
        if (![...lists, ...rows].every(Array.isArray) || ![input.relation, input.values, ...rows].every((row) => row.every(isValue))) return 'no rows';
        if ([input.table, input.create, input.text].some((text) => typeof text !== 'string') || input.relation.length !== 2 || rows.some((row) => row.length < 2)) return 'no rows';
        // No server has two columns of one name, or keys of others.
        const names = new Set(input.columns.map(([name]) => String(name)));
        const parts = [...input.keys, ...input.indexes, ...input.foreignKeys];
        if (names.size < input.columns.length || !parts.every(([, column]) => names.has(String(column)))) return 'no table';
      } catch {
        return 'no rows';
      }
      let found: Awaited<ReturnType<typeof defineTables>>[number] | undefined;
      const described = await outcomeOf(async () => {
        [found] = await defineTables(statementsOf(input), [input.table], never);
      });
      if (found === undefined) return described;
      const definition = found;
      const { schema } = definition;
      const outcomes = [...(await madeByAll({ ...definition, more: [] }))];
      outcomes.push(await outcomeOf(() => judgeValues(schema, input.values), [], ['STORE_FAILED']));
      for (const column of schema.columns) for (const cell of [sampleCell(column.kind), input.text]) await outcomeOf(() => requireFit(column, cell));
      let statements: readonly string[] = [];
      outcomes.push(await outcomeOf(() => (statements = statementsOn(schema, input.text))));
      if (statements.length > 0) {
        const others = statementsOn(plain(definition).schema, 'good').map((each) => sqlWithoutNames('mariadb', each));
        for (const [i, statement] of statements.entries())
          must(sqlWithoutNames('mariadb', statement) === others[i], `a name or a text is taken for SQL: ${statement} instead of ${others[i]}`);
      }
      return outcomes.join(', ');
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

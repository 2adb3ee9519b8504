import { isDeepStrictEqual } from 'node:util';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import type { TableDefinition } from '../../../backends/backend.ts';
import { soundSchema } from '../../../backends/service/sound-schema.ts';
import { type TableDefinition as WireDefinition, TableDefinitionSchema } from '../../../gen/switchyard/store/v1/common_pb.ts';
import { definitionFromMessage, definitionMessage } from '../../../runtime/wire/definition-message.ts';
import { madeByAll } from '../inputs/definition-sql.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

/** Names and texts that would be SQL where somebody puts them in as they are. */
const breaking = [
  'a`; DROP TABLE canary; -- `',
  'a"); DROP TABLE canary; --',
  "a'); DROP TABLE canary; --",
  "a\\'; DROP TABLE canary; --",
  '$enum$; DROP TABLE canary; --',
  'a\\',
  'a\n; b',
  '$$',
  '`a``b`',
];
const kinds = 'BOOL INT16 INT32 INT64 UINT64 FLOAT32 FLOAT64 DECIMAL TEXT BYTES UUID DATE TIME TIMESTAMP TIMESTAMPTZ JSON ENUM ARRAY'.split(' ');
const bounds = ['-128', '0', '1.5', '2024-02-29', '0000-01-01 00:00:00.000000', '1970-01-01 00:00:00.000001', '1 OR TRUE) --', "'; --", '1e9', ''];

function sample(random: Random): Json {
  const name = (plain: string): string => (random.chance(25) ? random.pick(random.chance(60) ? breaking : nastyTexts).toWellFormed() : plain);
  const key = name('id');
  const columns = [key, ...Array.from({ length: random.below(6) }, (_, i) => name(`c${i}`))].map((column, i) => {
    const kind = i === 0 ? random.pick(['INT64', 'TEXT', 'BYTES', 'DECIMAL']) : random.pick(kinds);
    const nativeType = kind === 'DECIMAL' ? random.pick(['numeric(12,4)', 'decimal(65,30)', 'numeric(999,2)', 'numeric']) : name(kind.toLowerCase());
    const length = { most: String(random.pick([1, 40, 255, 70_000, -1])), exactly: random.chance(20) };
    const limits = {
      ...(random.chance(30) ? { characters: length } : random.chance(30) ? { bytes: length } : {}),
      noBlankAtEnd: random.chance(20),
      ...(random.chance(40) ? { least: random.pick(bounds), most: random.pick(bounds) } : {}),
      withoutNan: random.chance(20),
      withoutNegativeZero: random.chance(20),
      withoutInfinity: random.chance(20),
    };
    const more = random.chance(60) ? { limits } : {};
    const element = kind === 'ARRAY' ? { elementKind: 'COLUMN_KIND_TEXT' } : {};
    return {
      column: {
        name: column,
        kind: `COLUMN_KIND_${kind}`,
        ...element,
        nullable: i > 0 && random.chance(50),
        hasDefault: random.chance(40),
        generated: random.chance(3),
        nativeType,
      },
      storedType: random.chance(5) ? name('text') : '',
      ownWay: random.chance(3) ? 'its own' : '',
      ...more,
    };
  });
  const names = columns.map(({ column }) => column.name);
  const some = (): string => random.pick(names);
  const values: Readonly<Record<string, Json>> = {
    ...Object.fromEntries(['INT16', 'INT32', 'INT64'].map((kind) => [kind, { int64Value: '7' }])),
    ...Object.fromEntries(['FLOAT32', 'FLOAT64'].map((kind) => [kind, { doubleValue: random.pick([1.5, 'NaN', 'Infinity']) }])),
    TEXT: { textValue: name('x') },
    ENUM: { enumValue: name('good') },
    JSON: { jsonValue: '{"a":"\'"}' },
    DECIMAL: { decimalValue: '1.5' },
    BYTES: { bytesValue: 'AAE=' },
    BOOL: { boolValue: true },
    DATE: { dateValue: '2024-02-29' },
    TIMESTAMPTZ: { timestamptzMicros: '0' },
  };
  const extras = names.flatMap((column, i): Json[] => {
    const kind = columns[i]?.column.kind.replace('COLUMN_KIND_', '') ?? '';
    const labels = kind === 'ENUM' ? { labels: ['good', name('bad')] } : {};
    const filler = random.chance(60)
      ? {}
      : random.pick<Json>([{ numbered: true }, { now: true }, ...Array.from({ length: 4 }, () => ({ value: values[kind] ?? { nullValue: null } }))]);
    return [{ column, ...labels, ...(filler as object) }];
  });
  const native = random.pick(['mariadb', 'postgres', 'sqlite', 'other']);
  return {
    schema: { name: name('item'), columns, primaryKey: [key], uniqueKeys: random.chance(30) ? [{ name: name('u'), columns: [some()] }] : [], fingerprint: 'f', storeKind: native },
    more: random.chance(3) ? ['an index'] : [],
    nativeKind: native,
    nativeDetail: strayJson(random, details(random, name)[native] ?? {}, random.pick([0, 0, 4])),
    columns: extras,
    indexes: random.chance(50) ? [{ name: name('i'), parts: [{ column: some(), descending: random.chance(50) }, ...(random.chance(50) ? [{ column: some() }] : [])] }] : [],
    foreignKeys: random.chance(30) ? [{ name: name('f'), columns: [some()], references: name('item'), referencedColumns: [key] }] : [],
    leftOut: random.chance(20) ? [name('left')] : [],
  };
}

/** What each kind says of its own tables: SQL, but for the names. */
function details(random: Random, name: (plain: string) => string): Readonly<Record<string, Json>> {
  const constraints: Json = [
    { name: name('k'), definition: 'PRIMARY KEY (id)', references: null },
    { name: name('f'), definition: 'FOREIGN KEY (id) REFERENCES item(id)', references: 'item' },
  ];
  const indexes: Json = [{ name: name('i'), definition: 'CREATE INDEX i ON public.item (id)', special: false }];
  const partition = { name: name('p'), of: name('item'), bound: 'DEFAULT', partitionBy: null, columns: [], constraints, indexes, options: [] };
  return {
    mariadb: {
      elements: ['`id` int NOT NULL'],
      foreignKeys: [{ name: name('f'), references: 'item', text: 'CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `item` (`id`)' }],
      options: 'ENGINE=InnoDB',
    },
    sqlite: { statements: ['CREATE TABLE item (id INTEGER PRIMARY KEY)'] },
    postgres: {
      enums: [{ name: name('mood'), labels: ['good', name('bad')] }],
      sequences: [{ name: name('s'), column: name('id'), options: 'AS bigint' }],
      columns: ['id bigint NOT NULL'],
      constraints,
      indexes,
      options: [],
      partitionBy: random.chance(50) ? null : 'RANGE (id)',
      partitions: random.chance(50) ? [] : [partition],
    },
  };
}

/** Definitions of tables as one store tells another of them, in JSON, and what each kind of store makes of them: a table, or a refusal, and no SQL of what is a name, a text or a bound there. */
export const target: FuzzTarget = {
  name: 'definitions',
  words: [
    ...kinds.map((kind) => `COLUMN_KIND_${kind}`),
    ...breaking,
    '"limits"',
    '"least"',
    '"labels"',
    '"numbered"',
    '"now"',
    '"nativeKind"',
    '"postgres"',
    '"mariadb"',
    '"sqlite"',
    'numeric(12,4)',
  ],
  changedPercent: 15,
  generate: (random) => Buffer.from(strayJson(random, sample(random), random.pick([0, 0, 0, 0, 1]))),
  open: async () => ({
    run: async (input) => {
      let message: WireDefinition;
      try {
        message = fromJson(TableDefinitionSchema, JSON.parse(input.toString()) as JsonValue);
      } catch {
        return 'no message';
      }
      const outcomes: string[] = [];
      let definition: TableDefinition | undefined;
      outcomes.push(
        await outcomeOf(() => {
          const told = definitionFromMessage(message);
          definition = { ...told, schema: soundSchema(told.schema) };
          // What is said of columns that the table has not is not passed on.
          const passedOn = definitionFromMessage(definitionMessage(definition));
          must(isDeepStrictEqual(definitionFromMessage(definitionMessage(passedOn)), passedOn), 'a definition is not read as it is written');
        }),
      );
      if (definition === undefined) return outcomes.join();
      const given = definition;
      outcomes.push(...(await madeByAll(given)));
      return outcomes.join(', ');
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

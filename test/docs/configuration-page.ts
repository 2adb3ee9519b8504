import { z } from 'zod';
import { controlConfigSchema } from '../../control/config.ts';
import { gatewayConfigSchema } from '../../gateway/config.ts';
import { credentialSchema, fileShardSchema, serverShardSchema } from '../../core/keyspace.ts';
import { processFields } from '../../runtime/process-options.ts';

/** The part of a JSON schema that the page shows. */
interface Field {
  readonly type?: string;
  readonly anyOf?: readonly Field[];
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly items?: Field;
}

/** docs/configuration.md as the schemas make it. */
export function configurationPage(): string {
  return `# Configuration

A gateway and a control process each take a file, YAML or JSON: \`switchyard gateway --config FILE\`. Every field may be left out. The options of the command line (\`--help\` shows them) win over the file. A field that is unknown or does not fit ends the process at once with exit code 2 and its name. Changes count from the next start.

\`a.b\` is the field \`b\` within the mapping \`a\`. Limits are per process: a gateway with \`workers: 4\` has each of them four times.

## Both

${table(fieldsOf(z.strictObject(processFields)))}

## The gateway

${table(own(fieldsOf(gatewayConfigSchema)))}

## Control

${table(own(fieldsOf(controlConfigSchema)))}

## Keyspaces

A keyspace is a name for a store. \`switchyard keyspace apply -f FILE\` takes one document, YAML or JSON, or several with \`---\` between them. It has two fields: \`name\`, by which callers may qualify tables (\`shop.orders\`; a letter or \`_\`, then at most 62 letters, digits, \`_\` or \`-\`), and \`shards\`, a list of one store. Every field must be given; one that is unknown is refused. \`switchyard keyspace get\` shows what there is.

\`\`\`yaml
name: shop
shards:
  - kind: postgres
    host: db.internal
    port: 5432
    database: shop
    gateway: { user: shop_gateway, password: env:GATEWAY_PASSWORD }
    player: { user: shop_player, password: env:PLAYER_PASSWORD }
    owner: { user: shop_owner, password: file:/run/secrets/shop_owner }
\`\`\`

A database behind a server:

${documentTable(serverShardSchema)}

Each of the three logins:

${documentTable(credentialSchema)}

A file:

${documentTable(fileShardSchema)}

This page is made from \`core/keyspace.ts\`, \`gateway/config.ts\`, \`control/config.ts\` and \`runtime/process-options.ts\` by \`npm run build:docs\`; a test holds them together.
`;
}

type Named = readonly [name: string, field: Field];

function fieldsOf(schema: z.ZodType): readonly Named[] {
  return flat('', z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Field);
}

const flat = (prefix: string, { properties = {} }: Field): readonly Named[] =>
  Object.entries(properties).flatMap(([name, field]): readonly Named[] => (field.properties === undefined ? [[`${prefix}${name}`, field]] : flat(`${prefix}${name}.`, field)));

const own = (fields: readonly Named[]): readonly Named[] => fields.filter(([name]) => !Object.hasOwn(processFields, name));

/** Of what has no defaults. A mapping within it has a table of its own. */
const documentTable = (schema: z.ZodType): string =>
  [
    '| field | takes | what it is |',
    '|---|---|---|',
    ...Object.entries((z.toJSONSchema(schema, { io: 'input' }) as Field).properties ?? {}).map(([name, field]) => {
      if (field.description === undefined) throw new Error(`${name} has no description`);
      return `| \`${name}\` | ${field.properties === undefined ? takenBy(field) : 'a login'} | ${field.description} |`;
    }),
  ].join('\n');

const table = (fields: readonly Named[]): string =>
  [
    '| field | default | takes | what it is |',
    '|---|---|---|---|',
    ...fields.map(([name, field]) => {
      if (field.description === undefined) throw new Error(`${name} has no description`);
      return `| \`${name}\` | ${field.default === undefined ? '' : `\`${JSON.stringify(field.default)}\``} | ${takenBy(field)} | ${field.description} |`;
    }),
  ].join('\n');

function takenBy({ type, items, anyOf, enum: words, const: word, minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: Field): string {
  if (anyOf !== undefined) return anyOf.map(takenBy).join(', ');
  if (words !== undefined) return words.map((each) => `\`${each}\``).join(', ');
  if (word !== undefined) return `\`${word}\``;
  if (type === 'integer' || type === 'number')
    return `${type === 'integer' ? 'whole number' : 'number'}, ${minimum} ${maximum === Number.MAX_SAFE_INTEGER ? 'or more' : `to ${maximum.toLocaleString('en-US')}`}`;
  if (items?.properties !== undefined)
    return `list of mappings with ${Object.keys(items.properties)
      .map((name) => `\`${name}\``)
      .join(', ')}`;
  return type === 'array' ? 'list of texts' : type === 'string' ? 'text' : (type ?? '');
}

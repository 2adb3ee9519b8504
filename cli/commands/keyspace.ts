import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import {
  ApplyKeyspaceResponseSchema,
  GetKeyspaceGrantsResponseSchema,
  type Keyspace,
  KeyspaceSchema,
  KeyspaceService,
  ListKeyspacesResponseSchema,
  type Shard,
  WatchTablesResponseSchema,
} from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import type { Context } from '../context.ts';
import { textTable } from '../render/text-table.ts';

function parseKeyspaces(text: string, path: string): readonly Keyspace[] {
  return parseAllDocuments(text).map((document, index) => {
    const [problem] = document.errors;
    if (problem !== undefined) throw new SwitchyardError('KEYSPACE_INVALID', `${path}: ${problem.message}`);
    try {
      return fromJson(KeyspaceSchema, document.toJS() as JsonValue);
    } catch (cause) {
      throw new SwitchyardError('KEYSPACE_INVALID', `${path}, document ${index + 1}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  });
}

/** Where the shard's store is, in one word. */
function placeOf({ path, gateways, keyspace, host, port, database }: Shard): string {
  if (path !== '') return path;
  return gateways.length === 0 ? `${host}:${port}/${database}` : `${gateways.join(',')}/${keyspace}`;
}

function keyspaceTable(keyspaces: readonly Keyspace[]): string {
  const rows = keyspaces.flatMap((keyspace) =>
    keyspace.shards.map((shard) => [keyspace.name, shard.kind, placeOf(shard), shard.gateway?.user ?? '', shard.player?.user ?? '', shard.owner?.user ?? '']),
  );
  return textTable(
    [{ title: 'KEYSPACE' }, { title: 'KIND' }, { title: 'STORE' }, { title: 'GATEWAY' }, { title: 'PLAYER' }, { title: 'OWNER' }],
    rows,
    'no keyspaces yet: switchyard keyspace apply -f FILE',
  );
}

/** How a store with rights of its own is given the script of the grants; one that is a file, or a service, has none. */
export function grantsCommands({ name, shards }: Keyspace): readonly string[] {
  return shards.flatMap(({ kind, host, port, database }) => {
    const clients: Readonly<Record<string, string>> = { postgres: `psql -h ${host} -p ${port} -d ${database} -U …`, mariadb: `mariadb -h ${host} -P ${port} -u … -p ${database}` };
    const client = clients[kind];
    return client === undefined ? [] : [`  switchyard keyspace grants ${name} | ${client}`];
  });
}

const watchedText = (keyspace: string, tables: readonly string[]): string =>
  tables.length === 0
    ? `no table of keyspace "${keyspace}" is watched`
    : `the changes of these tables of keyspace "${keyspace}" are written down for watchers now:\n${tables.map((table) => `  ${table}`).join('\n')}`;

export function addKeyspaceCommands(program: Command, context: Context): void {
  const keyspace = program.command('keyspace').description('logical databases and the stores behind them');

  keyspace
    .command('apply')
    .description('create or replace the keyspaces of a YAML file (one or more documents)')
    .requiredOption('-f, --file <path>', 'the file')
    .option('--dry-run', 'check only')
    .action(async (options: { file: string; dryRun?: boolean }) => {
      using client = context.client(KeyspaceService);
      const keyspaces = parseKeyspaces(await context.io.readFile(options.file), options.file);
      for (const one of keyspaces) {
        const response = await client.applyKeyspace({ keyspace: one, validateOnly: options.dryRun ?? false });
        context.print(ApplyKeyspaceResponseSchema, response, ({ notes }) =>
          [`keyspace ${one.name} ${options.dryRun ? 'is valid' : 'applied'}`, ...notes.map((note) => `but: ${note}`)].join('\n'),
        );
      }
      const scripts = keyspaces.flatMap(grantsCommands);
      if (!options.dryRun && scripts.length > 0) context.hint(`next, as an administrator of the store (gives the three identities their rights):\n${scripts.join('\n')}`);
    });

  keyspace
    .command('get')
    .description('show one keyspace or all')
    .argument('[name]')
    .action(async (name?: string) => {
      using client = context.client(KeyspaceService);
      const response = await client.listKeyspaces({});
      const keyspaces = name === undefined ? response.keyspaces : response.keyspaces.filter((one) => one.name === name);
      if (name !== undefined && keyspaces.length === 0)
        throw new SwitchyardError('KEYSPACE_UNKNOWN', `there is no keyspace "${name}"; known: ${response.keyspaces.map((one) => one.name).join(', ') || 'none'}`);
      context.print(ListKeyspacesResponseSchema, { ...response, keyspaces }, () => keyspaceTable(keyspaces));
    });

  keyspace
    .command('watch')
    .description('begin to write down the changes of tables for watchers of the data API; without --tables show which are')
    .argument('<name>')
    .option('--tables <list>', 'tables, separated by commas')
    .option('--off', 'end it')
    .action(async (name: string, options: { tables?: string; off?: boolean }) => {
      using client = context.client(KeyspaceService, 60_000);
      const response = await client.watchTables({ name, tables: options.tables?.split(',') ?? [], off: options.off ?? false });
      context.print(WatchTablesResponseSchema, response, ({ tables }) => watchedText(name, tables));
    });

  keyspace
    .command('grants')
    .description("print the script that gives the keyspace's three identities their rights; run it as an administrator of the store")
    .argument('<name>')
    .option('--tables <list>', 'tables, separated by commas (default: all that the owner owns)')
    .action(async (name: string, options: { tables?: string }) => {
      using client = context.client(KeyspaceService);
      const response = await client.getKeyspaceGrants({ name, tables: options.tables?.split(',') ?? [] });
      context.print(GetKeyspaceGrantsResponseSchema, response, (message) => message.script);
    });
}

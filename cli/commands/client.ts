import type { Command } from 'commander';
import { moduleText } from '../../client/generate.ts';
import { createRpcClient } from '../../client/rpc-client.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { TableSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { Context } from '../context.ts';

interface GenerateOptions {
  readonly gateway: string;
  readonly table?: readonly string[];
  readonly client: string;
}

const defaultGateway = '127.0.0.1:7101';
const defaultModule = 'switchyard/client';
const forShell = (text: string): string => (/^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const collected = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function addClientCommands(program: Command, context: Context): void {
  const client = program.command('client').description('typed clients of the data API');

  client
    .command('generate')
    .description('print a TypeScript module for the tables that a gateway serves: their types, and a client for them')
    .option('--gateway <address>', 'a gateway that serves them', defaultGateway)
    .option('--table <name>', 'only this table; may be given again (default: all that can be served)', collected)
    .option('--client <module>', 'what the module imports the client as', defaultModule)
    .action(async ({ gateway, table, client: module }: GenerateOptions) => {
      using service = createRpcClient(DataService, gateway);
      const schemas: TableSchema[] = [];
      const left: string[] = [];
      for (const name of table ?? (await namesOf(service))) {
        try {
          const { schema } = await service.describeTable({ table: name });
          if (schema !== undefined) schemas.push(schema);
        } catch (error) {
          // Of those that nobody has asked for by name some cannot be served.
          if (table !== undefined || !hasReason(error, 'TABLE_UNSUPPORTED', 'TABLE_UNKNOWN')) throw error;
          left.push(`${name}: ${error.message}`);
        }
      }
      const options = [
        ...(gateway === defaultGateway ? [] : ['--gateway', gateway]),
        ...(module === defaultModule ? [] : ['--client', module]),
        ...(table ?? []).flatMap((name) => ['--table', name]),
      ];
      const command = ['switchyard client generate', ...options.map(forShell)].join(' ');
      context.io.out(moduleText(schemas, { client: module, command }));
      for (const why of left) context.io.err(`left out ${why}\n`);
    });
}

async function namesOf(service: Pick<ReturnType<typeof createRpcClient<typeof DataService>>, 'listTables'>): Promise<readonly string[]> {
  const names: string[] = [];
  let pageToken = '';
  do {
    const page = await service.listTables({ pageSize: 1_000, pageToken });
    names.push(...page.tables);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return names;
}

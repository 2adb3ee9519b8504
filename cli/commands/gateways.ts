import type { Command } from 'commander';
import { GatewayService, ListGatewaysResponseSchema, RemoveGatewayResponseSchema } from '../../gen/switchyard/control/v1/gateways_pb.ts';
import type { Context } from '../context.ts';
import { moment } from '../render/figures.ts';
import { textTable } from '../render/text-table.ts';

export function addGatewayCommands(program: Command, context: Context): void {
  const gateways = program.command('gateways').description('the gateways that have registered');

  gateways
    .command('list', { isDefault: true })
    .description('which rules each gateway applies, what it refuses, and which stores do not let it in')
    .option('--watch', 'show them again whenever something changes, until Ctrl-C')
    .action(async (options: { watch?: boolean }) => {
      using client = context.client(GatewayService);
      await context.show(
        ListGatewaysResponseSchema,
        options.watch ?? false,
        () => client.listGateways({}),
        (message) => {
          const rows = message.gateways.map((one) => [one.id, one.address, String(one.appliedVersion), one.silent ? 'SILENT' : 'alive', moment(one.updatedAt)]);
          const stores = message.gateways.flatMap((one) =>
            one.storeProblems.map((problem) => `${one.id} cannot use keyspace ${problem.keyspace}: ${problem.reason}: ${problem.message}`),
          );
          const problems = message.gateways.flatMap((one) =>
            one.problems.map(
              (problem) =>
                `${one.id} refuses ${problem.table === '' ? `version ${problem.version}` : `"${problem.table}" of version ${problem.version}`}: ${problem.reason}: ${problem.message}`,
            ),
          );
          return [
            textTable([{ title: 'GATEWAY' }, { title: 'ADDRESS' }, { title: 'APPLIES', align: 'right' }, { title: '' }, { title: 'SINCE' }], rows, 'no gateway has registered'),
            ...problems,
            ...stores,
          ].join('\n');
        },
      );
    });

  gateways
    .command('remove')
    .description('forget a gateway that is gone for good')
    .argument('<id>')
    .action(async (id: string) => {
      using client = context.client(GatewayService);
      context.print(RemoveGatewayResponseSchema, await client.removeGateway({ id }), () => `gateway ${id} removed`);
    });
}

import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import {
  GetRulesResponseSchema,
  ListRulesHistoryResponseSchema,
  Movement_Side,
  type RoutingRules,
  RoutingRulesSchema,
  RulesService,
  UpdateRulesResponseSchema,
} from '../../gen/switchyard/control/v1/rules_pb.ts';
import type { Context } from '../context.ts';
import { moment } from '../render/figures.ts';
import { textTable } from '../render/text-table.ts';

function rulesText(rules: RoutingRules): string {
  const head = `rules version ${rules.version}, by ${rules.changedBy || '–'} at ${moment(rules.changedAt)}${rules.reason === '' ? '' : `: ${rules.reason}`}\ndefault keyspace ${rules.defaultKeyspace}`;
  const redirected = Object.entries(rules.keyspaces).map(([from, to]) => `keyspace ${from} is served by ${to}`);
  const rows = Object.entries(rules.tables).map(([name, rule]) => {
    const { movement } = rule;
    const want = movement?.want === Movement_Side.TARGET ? 'target' : 'source';
    return [
      name,
      rule.primary,
      String(rule.attempt),
      rule.hold === undefined ? 'open' : 'held',
      movement === undefined ? '' : `${movement.workflow}: ${movement.source} → ${movement.target}, want ${want}`,
    ];
  });
  const table = textTable(
    [{ title: 'TABLE' }, { title: 'PRIMARY' }, { title: 'ATTEMPT', align: 'right' }, { title: 'WRITES' }, { title: 'MOVEMENT' }],
    rows,
    'no rules: every table is served by the default keyspace',
  );
  return [head, ...redirected, '', table].join('\n');
}

export function addRulesCommands(program: Command, context: Context): void {
  const rules = program.command('rules').description('the routing rules');

  rules
    .command('get')
    .description('show the rules in force')
    .action(async () => {
      using client = context.client(RulesService);
      const response = await client.getRules({});
      context.print(GetRulesResponseSchema, response, (message) => (message.rules === undefined ? 'no rules yet' : rulesText(message.rules)));
    });

  rules
    .command('apply')
    .description('replace the rules by a file made from `switchyard -o json rules get`; refused when they changed since')
    .requiredOption('-f, --file <path>', 'JSON or YAML; its version says what the change was made from')
    .option('--reason <text>', 'goes into the history')
    .option('--dry-run', 'check only')
    .action(async (options: { file: string; reason?: string; dryRun?: boolean }) => {
      const given = parse(await context.io.readFile(options.file)) as JsonValue;
      const document = typeof given === 'object' && given !== null && 'rules' in given ? (given as { rules: JsonValue }).rules : given;
      let message: RoutingRules;
      try {
        message = fromJson(RoutingRulesSchema, document);
      } catch (cause) {
        throw new SwitchyardError('RULES_INVALID', `${options.file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
      }
      if (message.version <= 0n)
        throw new SwitchyardError('RULES_INVALID', `${options.file}: version must be the version that the change was made from; start from: switchyard -o json rules get`);
      if (options.reason !== undefined) message.reason = options.reason;
      using client = context.client(RulesService);
      const response = await client.updateRules({ rules: message, baseVersion: message.version, validateOnly: options.dryRun ?? false });
      context.print(UpdateRulesResponseSchema, response, (answer) => (options.dryRun || answer.rules === undefined ? 'the document is valid' : rulesText(answer.rules)));
    });

  rules
    .command('history')
    .description('earlier documents, newest first')
    .option('-n, --number <count>', 'how many', '20')
    .action(async (options: { number: string }) => {
      using client = context.client(RulesService);
      const response = await client.listRulesHistory({ pageSize: Number(options.number) });
      context.print(ListRulesHistoryResponseSchema, response, (message) =>
        textTable(
          [{ title: 'VERSION', align: 'right' }, { title: 'AT' }, { title: 'BY' }, { title: 'REASON' }],
          message.rules.map((one) => [String(one.version), moment(one.changedAt), `${one.changedBy}${one.external ? ' (past control)' : ''}`, one.reason]),
        ),
      );
    });
}

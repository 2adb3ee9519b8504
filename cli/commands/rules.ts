import { type Command, InvalidArgumentError } from 'commander';
import { GetRulesResponseSchema, ListRulesHistoryResponseSchema, RulesService } from '../../gen/switchyard/control/v1/rules_pb.ts';
import type { Context } from '../context.ts';
import { moment } from '../render/figures.ts';
import { rulesDifference, rulesText } from '../render/rules-text.ts';
import { textTable } from '../render/text-table.ts';
import { baseRules, parseRules, rulesBefore, rulesOfVersion, versionNumber } from '../rules-documents.ts';
import { addRulesChangeCommands } from './rules-change.ts';

function historyCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new InvalidArgumentError('must be a whole number from 1 to 100');
  return count;
}

export function addRulesCommands(program: Command, context: Context): void {
  const rules = program.command('rules').description('the routing rules');

  rules
    .command('get')
    .description('show the rules in force')
    .option('--watch', 'show them again whenever they change, until Ctrl-C')
    .action(async (options: { watch?: boolean }) => {
      using client = context.client(RulesService);
      await context.show(
        GetRulesResponseSchema,
        options.watch ?? false,
        () => client.getRules({}),
        (message) => (message.rules === undefined ? 'no rules yet' : rulesText(message.rules)),
      );
    });

  rules
    .command('history')
    .description('documents that were written, newest first, also those past control')
    .option('-n, --number <count>', 'how many, at most 100', historyCount, 20)
    .action(async (options: { number: number }) => {
      using client = context.client(RulesService);
      const response = await client.listRulesHistory({ pageSize: options.number });
      context.print(ListRulesHistoryResponseSchema, response, (message) =>
        textTable(
          [{ title: 'VERSION', align: 'right' }, { title: 'AT' }, { title: 'BY' }, { title: 'REASON' }],
          message.rules.map((one) => [String(one.version), moment(one.changedAt), `${one.changedBy}${one.external ? ' (past control)' : ''}`, one.reason]),
        ),
      );
      context.hint('next: switchyard rules diff VERSION   (what has changed since), switchyard rules rollback VERSION');
    });

  rules
    .command('diff')
    .description('what leads from one document to another; without arguments, what the latest change was')
    .argument('[from]', 'a version', versionNumber)
    .argument('[to]', 'a version (default: the rules in force)', versionNumber)
    .option('-f, --file <path>', 'from the rules in force to this file')
    .addHelpText(
      'after',
      '\nExamples:\n  switchyard rules diff          the latest change\n  switchyard rules diff 12       all that has changed since version 12\n  switchyard rules diff -f new-rules.yaml',
    )
    .action(async (from: bigint | undefined, to: bigint | undefined, options: { file?: string }) => {
      using client = context.client(RulesService);
      const { rules: current } = await baseRules(client);
      const after = options.file !== undefined ? parseRules(await context.io.readFile(options.file), options.file) : to === undefined ? current : await rulesOfVersion(client, to);
      const before = options.file !== undefined ? current : from === undefined ? await rulesBefore(client, current) : await rulesOfVersion(client, from);
      const lines = rulesDifference(before, after);
      const title = `version ${before.version} → ${options.file ?? `version ${after.version}`}`;
      context.printJson(
        { from: String(before.version), to: options.file ?? String(after.version), changes: lines },
        [title, ...(lines.length === 0 ? ['no difference'] : lines)].join('\n'),
      );
    });

  addRulesChangeCommands(rules, context);
}

import { clone, toJson } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import type { RpcClient } from '../../client/rpc-client.ts';
import { ownMember } from '../../core/own-member.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { GatewayService } from '../../gen/switchyard/control/v1/gateways_pb.ts';
import { type RoutingRules, RoutingRulesSchema, RulesService, type TableRule, UpdateRulesResponseSchema } from '../../gen/switchyard/control/v1/rules_pb.ts';
import type { Context } from '../context.ts';
import { rulesDifference, rulesText } from '../render/rules-text.ts';
import { baseRules, currentRules, heldByNobody, parseRules, rulesOfVersion, rulesYaml, versionNumber } from '../rules-documents.ts';

type Rules = RpcClient<typeof RulesService>;

/** Replaces the rules if `base` is still in force, and shows what came of it. */
async function update(client: Rules, context: Context, rules: RoutingRules, base: bigint, validateOnly: boolean): Promise<void> {
  // Who changes it now, not who wrote the document that was changed.
  rules.changedBy = context.io.person;
  const response = await client.updateRules({ rules, baseVersion: base, validateOnly });
  context.print(UpdateRulesResponseSchema, response, (answer) =>
    validateOnly || answer.rules === undefined ? 'the document is valid; nothing was changed' : rulesText(answer.rules),
  );
  if (!validateOnly) context.hint('next: switchyard gateways   (who applies them)');
}

/** Whether a workflow moves the table or has moved it: then the stores decide where it is. */
const isMoved = (rule: TableRule | undefined): boolean => rule !== undefined && (rule.movement !== undefined || rule.attempt > 0n);

/** The old document as far as no workflow has to do with its tables, then or now: those stay as they are. Returns their names too. */
export function rolledBack(current: RoutingRules, old: RoutingRules): { readonly rules: RoutingRules; readonly owned: readonly string[] } {
  const rules = clone(RoutingRulesSchema, current);
  rules.defaultKeyspace = old.defaultKeyspace;
  rules.keyspaces = { ...old.keyspaces };
  const names = new Set([...Object.keys(current.tables), ...Object.keys(old.tables)]);
  const owned = [...names].filter((name) => isMoved(ownMember(current.tables, name)) || isMoved(ownMember(old.tables, name))).toSorted();
  for (const name of names) {
    if (owned.includes(name)) continue;
    const rule = ownMember(old.tables, name);
    if (rule === undefined) delete rules.tables[name];
    else rules.tables[name] = rule;
  }
  return { rules, owned };
}

function addApply(rules: Command, context: Context): void {
  rules
    .command('apply')
    .description('replace the rules by a file made from `switchyard -o json rules get`; refused when they changed since')
    .requiredOption('-f, --file <path>', 'JSON or YAML; its version says what the change was made from')
    .option('--reason <text>', 'goes into the history')
    .option('--dry-run', 'check only')
    .action(async (options: { file: string; reason?: string; dryRun?: boolean }) => {
      const message = parseRules(await context.io.readFile(options.file), options.file);
      if (message.version <= 0n)
        throw new SwitchyardError('RULES_INVALID', `${options.file}: version must be the version that the change was made from; start from: switchyard -o json rules get`);
      message.reason = options.reason ?? '';
      using client = context.client(RulesService);
      await update(client, context, message, message.version, options.dryRun ?? false);
    });
}

function addEdit(rules: Command, context: Context): void {
  rules
    .command('edit')
    .description('change the rules in your editor ($VISUAL or $EDITOR); refused when they changed meanwhile')
    .option('--reason <text>', 'goes into the history')
    .action(async (options: { reason?: string }) => {
      using client = context.client(RulesService);
      const { rules: current, isInForce } = await baseRules(client);
      const edited = await context.io.edit(rulesYaml(current), 'rules.yaml');
      try {
        const wanted = parseRules(edited.text, edited.path);
        const lines = rulesDifference(current, wanted);
        if (lines.length === 0 && isInForce) {
          context.say('nothing was changed');
          return;
        }
        context.say(lines.join('\n'));
        wanted.reason = options.reason ?? '';
        await update(client, context, wanted, current.version, false);
      } catch (error) {
        // What somebody has typed is not thrown away.
        await edited.keep();
        context.io.err(`what you wrote is kept in ${edited.path}; mend it and: switchyard rules apply -f ${edited.path}\n`);
        throw error;
      }
    });
}

function addRollback(rules: Command, context: Context): void {
  rules
    .command('rollback')
    .description('make an earlier document the newest one; tables under a workflow stay as they are')
    .argument('<version>', 'see: switchyard rules history', versionNumber)
    .option('--dry-run', 'show what would change')
    .action(async (version: bigint, options: { dryRun?: boolean }) => {
      using client = context.client(RulesService);
      const { rules: current, isInForce } = await baseRules(client);
      const old = await rulesOfVersion(client, version);
      const { rules: wanted, owned } = rolledBack(current, old);
      const lines = rulesDifference(current, wanted);
      for (const name of owned) context.say(`table ${name} is or was moved by a workflow and stays as it is: flip it with switchyard movetables`);
      if (!isInForce) context.say(`the document under the rules' key cannot be read; this one takes its place, made from version ${current.version}`);
      else if (lines.length === 0) {
        context.say(`nothing to change: the rules are as in version ${version} already`);
        return;
      }
      context.say(lines.join('\n'));
      wanted.reason = `rollback to version ${version}`;
      await update(client, context, wanted, current.version, options.dryRun ?? false);
    });
}

/** What is worth a look in rules that are valid, and what gateways refuse of those in force. */
async function findings(context: Context, rules: RoutingRules, inForce: boolean): Promise<readonly string[]> {
  const redundant = Object.entries(rules.tables)
    .filter(([, rule]) => rule.primary === rules.defaultKeyspace && rule.movement === undefined && rule.attempt === 0n && rule.names.length === 0)
    .map(([name]) => `table ${name}: says what holds without it (the default keyspace); may be left out`);
  const held = heldByNobody(rules).map((name) => `table ${name}: writes are held and no workflow moves it; gateways let them go after the hold's time`);
  if (!inForce) return [...redundant, ...held];
  using client = context.client(GatewayService);
  const { gateways } = await client.listGateways({});
  const refused = gateways.flatMap(({ id, problems }) =>
    problems.map(({ table, reason, message }) => `gateway ${id} refuses ${table === '' ? 'the document' : `table ${table}`}: ${reason}: ${message}`),
  );
  return [...redundant, ...held, ...refused];
}

function addLint(rules: Command, context: Context): void {
  rules
    .command('lint')
    .description('check a document, or the rules in force, as control and the gateways do, and for what is suspicious')
    .option('-f, --file <path>', 'a document made from `switchyard -o json rules get` (default: the rules in force)')
    .action(async (options: { file?: string }) => {
      using client = context.client(RulesService);
      const current = await currentRules(client);
      const given = options.file === undefined ? current : parseRules(await context.io.readFile(options.file), options.file);
      await client.updateRules({ rules: given, baseVersion: current.version, validateOnly: true });
      const found = await findings(context, given, options.file === undefined);
      context.printJson({ valid: true, findings: found, rules: toJson(RoutingRulesSchema, given) }, ['the document is valid', ...found].join('\n'));
    });
}

export function addRulesChangeCommands(rules: Command, context: Context): void {
  addApply(rules, context);
  addEdit(rules, context);
  addRollback(rules, context);
  addLint(rules, context);
}

import type { Command } from 'commander';
import type { RpcClient } from '../../client/rpc-client.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { BUILDING_INDEXES } from '../../core/workflow-document.ts';
import { type Gateway, GatewayService } from '../../gen/switchyard/control/v1/gateways_pb.ts';
import { type KeyspaceFinding, KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { type RoutingRules, RulesService } from '../../gen/switchyard/control/v1/rules_pb.ts';
import { type Workflow, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import type { Context } from '../context.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { unreachableFix } from '../fixes.ts';
import { counted, duration } from '../render/figures.ts';
import { stateName } from '../render/workflow-text.ts';
import { heldByNobody } from '../rules-documents.ts';

/** What was looked at: fine, or what is wrong and what helps. */
export interface Finding {
  readonly what: string;
  readonly fix: string | null;
}

const fine = (what: string): Finding => ({ what, fix: null });
const highLagMs = 10_000;

/** Of a keyspace, as its store says when control asks it now. */
export const keyspaceFindings = (keyspace: string, found: readonly KeyspaceFinding[]): readonly Finding[] =>
  found.length > 0
    ? found.map(({ message, fix }) => ({ what: `keyspace ${keyspace}: ${message}`, fix }))
    : [fine(`the store of keyspace ${keyspace} lets owner and player in, and has the settings and rights that a move needs`)];

/** Of the gateways: is there one, does each live, does each apply the rules in force and all of them, do the stores let it in. */
export function gatewayFindings(gateways: readonly Gateway[], version: bigint): readonly Finding[] {
  if (gateways.length === 0)
    return [{ what: 'no gateway has registered', fix: 'start one: switchyard gateway --listen HOST:PORT; it has to be told the same Consul and cluster as control' }];
  return gateways.flatMap((gateway): readonly Finding[] => {
    if (gateway.silent)
      return [
        { what: `gateway ${gateway.id} is silent: dead, paused or cut off from Consul`, fix: `look at it; when it is gone for good: switchyard gateways remove ${gateway.id}` },
      ];
    const refused = gateway.problems.map(
      ({ table, reason, message }): Finding => ({
        what: `gateway ${gateway.id} refuses ${table === '' ? 'the rules' : `the rule of ${table}`}: ${reason}: ${message}`,
        fix:
          reason === 'RULE_FENCED'
            ? 'the store knows better: set the rule to what the message says, or flip the table with switchyard movetables'
            : 'mend the rules: switchyard rules edit, or go back: switchyard rules rollback VERSION',
      }),
    );
    refused.push(
      ...gateway.storeProblems.map(
        ({ keyspace, reason, message }): Finding => ({
          what: `gateway ${gateway.id} cannot use keyspace ${keyspace}: ${reason}: ${message}`,
          fix: `calls that need a new connection fail there; it looks again every 3 s: switchyard gateways`,
        }),
      ),
    );
    const late = gateway.appliedVersion < version && gateway.problems.length === 0;
    if (late)
      return [
        ...refused,
        {
          what: `gateway ${gateway.id} applies version ${gateway.appliedVersion} of the rules, in force is ${version}`,
          fix: 'ask again in a second; if it stays so, see its log: it may be cut off from Consul',
        },
      ];
    return refused.length > 0 ? refused : [fine(`gateway ${gateway.id} applies version ${gateway.appliedVersion}`)];
  });
}

/** Of the workflows that are not over. */
export function workflowFindings(workflows: readonly Workflow[]): readonly Finding[] {
  return workflows.flatMap((workflow): readonly Finding[] => {
    const { name, state, lagMs } = workflow;
    const found: Finding[] = [];
    if (state === WorkflowState.COMPLETED || state === WorkflowState.CANCELLED) return [];
    if (state === WorkflowState.FAILED)
      return [
        {
          what: `workflow ${name} has failed: ${workflow.message}`,
          fix: `traffic goes on where it was; see: switchyard movetables status ${name}, then cancel it and begin again`,
        },
      ];
    if (workflow.message !== '' && !workflow.message.startsWith(BUILDING_INDEXES))
      found.push({
        what: `workflow ${name} is ${stateName(state)}: ${workflow.message}`,
        fix: `see: switchyard movetables status ${name}, and the log of its runner; switchyard movetables repair ${name} is safe at any time`,
      });
    if (workflow.runner === '')
      found.push({ what: `no control process runs workflow ${name}`, fix: 'start a second control process; one that has died gives its work back within 20 s' });
    if (lagMs !== undefined && lagMs > highLagMs)
      found.push({
        what: `the copy of workflow ${name} is ${duration(lagMs)} behind`,
        fix: "look at the target's load and at long transactions in the source; a cutover waits for the lag",
      });
    if (workflow.verification !== undefined && workflow.verification.error !== '')
      found.push({ what: `workflow ${name}: the last verification failed: ${workflow.verification.error}`, fix: `again: switchyard movetables verify ${name}` });
    if (workflow.verification !== undefined && workflow.verification.differences > 0n)
      found.push({
        what: `workflow ${name}: the last verification found ${counted(workflow.verification.differences, 'difference')}`,
        fix: `somebody wrote the copy past Switchyard: see switchyard movetables status ${name}`,
      });
    return found.length > 0 ? found : [fine(`workflow ${name} is ${stateName(state)}`)];
  });
}

/** Of the rules. */
function rulesFindings(rules: RoutingRules): readonly Finding[] {
  const found = heldByNobody(rules).map((name): Finding => ({ what: `the rule of ${name} holds writes and no workflow moves it`, fix: 'let them go: switchyard rules edit' }));
  const external: Finding[] = rules.external
    ? [fine(`rules version ${rules.version} was written past control, by ${rules.changedBy}`)]
    : [fine(`rules version ${rules.version} is in force`)];
  return [...external, ...found];
}

async function allWorkflows(client: RpcClient<typeof WorkflowService>): Promise<readonly Workflow[]> {
  const found: Workflow[] = [];
  let pageToken = '';
  do {
    const page = await client.listWorkflows({ pageToken });
    found.push(...page.workflows);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}

/** Everything that can be seen from control. Rejects when control does not answer. */
async function examine(context: Context): Promise<readonly Finding[]> {
  using keyspaces = context.client(KeyspaceService);
  using rulesClient = context.client(RulesService);
  using gateways = context.client(GatewayService);
  using workflows = context.client(WorkflowService);
  const known = (await keyspaces.listKeyspaces({})).keyspaces;
  if (known.length === 0) return [{ what: 'control answers, and there are no keyspaces yet', fix: 'say where your stores are: switchyard keyspace apply -f FILE' }];
  const { rules } = await rulesClient.getRules({});
  const found: Finding[] = [fine(`control answers and knows ${known.length} keyspace${known.length === 1 ? '' : 's'}: ${known.map(({ name }) => name).join(', ')}`)];
  const asked = known.map(async ({ name }) => keyspaceFindings(name, (await keyspaces.checkKeyspace({ name })).findings));
  found.push(...(await Promise.all(asked)).flat());
  if (rules === undefined) return [...found, { what: 'there are no rules', fix: 'apply a keyspace: switchyard keyspace apply -f FILE' }];
  found.push(...rulesFindings(rules), ...gatewayFindings((await gateways.listGateways({})).gateways, rules.version));
  found.push(...workflowFindings(await allWorkflows(workflows)));
  return found;
}

const rulesFixes: Readonly<Record<string, string>> = {
  RULES_MISSING: 'apply a keyspace: switchyard keyspace apply -f FILE',
  RULES_INVALID: 'somebody wrote a document that nobody can read; gateways go on with the last good one: switchyard rules history, switchyard rules rollback VERSION',
};

/** What there is to say, and the exit code of it. */
async function diagnose(context: Context): Promise<{ readonly findings: readonly Finding[]; readonly code: number }> {
  try {
    const findings = await examine(context);
    return { findings, code: findings.some(({ fix }) => fix !== null) ? exitCodes.precondition : exitCodes.ok };
  } catch (error) {
    if (!(error instanceof SwitchyardError)) throw error;
    const findings = [{ what: `${error.reason}: ${error.message}`, fix: unreachableFix(error) ?? rulesFixes[error.reason] ?? `see docs/errors.md, ${error.reason}` }];
    return { findings, code: exitCodeOf(error) === exitCodes.unavailable ? exitCodes.unavailable : exitCodes.precondition };
  }
}

/** `switchyard doctor`; `exit` is told the exit code. */
export function addDoctorCommand(program: Command, context: Context, exit: (code: number) => void): void {
  program
    .command('doctor')
    .description('look for the most frequent faults, and say what helps; exits with 3 when it finds one, and with 5 when control cannot be asked')
    .action(async () => {
      const { findings, code } = await diagnose(context);
      context.printJson({ findings }, findings.map(({ what, fix }) => (fix === null ? `ok     ${what}` : `FAULT  ${what}\n       ${fix}`)).join('\n'));
      exit(code);
    });
}

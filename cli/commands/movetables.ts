import { create } from '@bufbuild/protobuf';
import { type Command, InvalidArgumentError } from 'commander';
import type { RpcClient } from '../../client/rpc-client.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type CutoverLimits, cutoverLimitsSchema } from '../../core/workflow-document.ts';
import {
  CancelWorkflowResponseSchema,
  CompleteWorkflowResponseSchema,
  CreateWorkflowResponseSchema,
  GetWorkflowResponseSchema,
  ListWorkflowsResponseSchema,
  RepairWorkflowResponseSchema,
  ReverseTrafficResponseSchema,
  SwitchTrafficResponseSchema,
  UpdateLimitsResponseSchema,
  type VerifyWorkflowResponse,
  VerifyWorkflowResponseSchema,
  type Workflow,
  WorkflowService,
  WorkflowState,
} from '../../gen/switchyard/control/v1/workflows_pb.ts';
import type { Context } from '../context.ts';
import { counted, moment, thousands } from '../render/figures.ts';
import { cutoverText, limitsText, nextStep, stateName, verificationText, verifyingLine, workflowLine, workflowText } from '../render/workflow-text.ts';
import { textTable } from '../render/text-table.ts';

const longMs = 24 * 3_600_000;

/** Gives each state of the workflow to `show`, until `done`. FAILED ends it with WORKFLOW_FAILED. */
async function watchUntil(
  client: RpcClient<typeof WorkflowService>,
  name: string,
  context: Context,
  show: (workflow: Workflow) => void,
  done: (workflow: Workflow) => boolean,
): Promise<void> {
  for await (const { workflow } of client.watchWorkflow({ name }, { signal: context.io.interrupted })) {
    if (workflow === undefined) continue;
    show(workflow);
    if (done(workflow) || workflow.state === WorkflowState.FAILED) {
      if (!context.json && context.io.terminal) context.io.err('\n');
      if (workflow.state === WorkflowState.FAILED) throw new SwitchyardError('WORKFLOW_FAILED', `${name} has failed: ${workflow.message}\nnext: ${nextStep(workflow)}`);
      return;
    }
  }
}

/** Shows people a line of the workflow whenever it reads differently; drawn in place on a terminal. Nothing with `-o json`, or where `lineOf` has nothing to say. */
function progressOf(context: Context, lineOf: (workflow: Workflow) => string | null = workflowLine): (workflow: Workflow) => void {
  let shown = '';
  return (workflow) => {
    const line = lineOf(workflow) ?? shown;
    if (!context.json && line !== shown) context.io.err(context.io.terminal ? `\r\u001b[K${line}` : `${line}\n`);
    shown = line;
  };
}

/** Orders a verification and shows how far it is until its answer comes. */
async function verifyShown(client: RpcClient<typeof WorkflowService>, name: string, repair: boolean, context: Context): Promise<VerifyWorkflowResponse> {
  if (context.json) return await client.verifyWorkflow({ name, repair });
  const running = (await client.getWorkflow({ name })).workflow?.verifying;
  if (running !== undefined) {
    const waits = running.repair || !repair;
    const sort = running.repair ? 'with' : 'without';
    context.io.err(`a verification ${sort} --repair runs${waits ? ' already: this is how it goes on and ends' : ': this one takes its place and begins anew'}\n`);
  }
  const over = new AbortController();
  let isShown = false;
  const show = progressOf(context, (workflow) => {
    const line = verifyingLine(workflow);
    isShown ||= line !== null;
    return line;
  });
  const shown = (async () => {
    for await (const { workflow } of client.watchWorkflow({ name }, { signal: AbortSignal.any([over.signal, context.io.interrupted]) })) if (workflow !== undefined) show(workflow);
  })().catch(() => undefined); // nothing but a look: how the verification ends is in its own answer
  try {
    return await client.verifyWorkflow({ name, repair });
  } finally {
    over.abort();
    await shown;
    if (isShown && context.io.terminal) context.io.err('\n');
  }
}

/** Everything about the workflow, and what to do next. */
async function showWorkflow(client: RpcClient<typeof WorkflowService>, name: string, context: Context): Promise<void> {
  const response = await client.getWorkflow({ name });
  const { workflow } = response;
  context.print(GetWorkflowResponseSchema, response, () => (workflow === undefined ? '' : workflowText(workflow)));
  const next = workflow === undefined ? null : nextStep(workflow);
  if (next !== null) context.hint(`next: ${next}`);
}

/** Flags of the limits: the field that each of them sets, and what it is. Ranges and defaults are the schema's. */
const limitFlags = [
  ['holdBudgetMs', 'longest time from the beginning of a hold of writes to its decision; then the attempt is given up'],
  ['attempts', 'attempts of one cutover before it is given up'],
  ['lagMs', 'largest lag at which a hold may begin'],
  ['verificationAgeS', 'oldest verification that counts'],
  ['transactionAgeMs', 'longest running transaction at which a hold may begin'],
  ['leastCopyShare', 'percent of the time that the copy takes at least, however busy the stores are; 100: it never rests'],
  ['mostCopyShare', 'percent of the time that the copy takes at most'],
] as const satisfies readonly (readonly [keyof CutoverLimits, string])[];

type LimitOptions = { readonly [name in keyof CutoverLimits]?: number };

const flagOf = (name: keyof CutoverLimits): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

const withLimits = (command: Command): Command =>
  limitFlags.reduce((all, [name, summary]) => {
    const limit = cutoverLimitsSchema.shape[name];
    const range = `${limit.unwrap().minValue} to ${thousands(limit.unwrap().maxValue ?? Number.POSITIVE_INFINITY)}`;
    const parse = (text: string): number => {
      const parsed = limit.safeParse(/^\d+$/.test(text) ? Number(text) : text);
      if (!parsed.success) throw new InvalidArgumentError(`must be a whole number, ${range}`);
      return parsed.data;
    };
    return all.option(`${flagOf(name)} <n>`, `${summary} (${range}; default ${limit.parse(undefined)})`, parse);
  }, command);

/** As the API takes them: 0 is not given, which no limit may be. */
const limitsOf = (options: LimitOptions): Record<keyof CutoverLimits, number> => {
  const { holdBudgetMs = 0, attempts = 0, lagMs = 0, verificationAgeS = 0, transactionAgeMs = 0, leastCopyShare = 0, mostCopyShare = 0 } = options;
  return { holdBudgetMs, attempts, lagMs, verificationAgeS, transactionAgeMs, leastCopyShare, mostCopyShare };
};

function addLimits(movetables: Command, context: Context): void {
  withLimits(movetables.command('limits'))
    .description('show the limits of a workflow, or change them while it runs')
    .argument('<workflow>')
    .addHelpText('after', '\nExample: the copy is to be fast, whatever else the stores have to do:\n  switchyard movetables limits orders-move --least-copy-share 100')
    .action(async (name: string, options: LimitOptions) => {
      using client = context.client(WorkflowService);
      const isAsked = Object.keys(options).length === 0;
      const answer = isAsked ? await client.getWorkflow({ name }) : await client.updateLimits({ name, limits: limitsOf(options) });
      context.print(isAsked ? GetWorkflowResponseSchema : UpdateLimitsResponseSchema, answer, ({ workflow }) =>
        workflow?.limits === undefined ? '' : limitsText(workflow.limits),
      );
    });
}

function addCreate(movetables: Command, context: Context): void {
  withLimits(movetables.command('create'))
    .description('claim the tables, copy them and follow their changes; returns when the copy is done')
    .argument('<workflow>', 'a name for the move')
    .requiredOption('--source <keyspace>', 'where the tables are')
    .requiredOption('--target <keyspace>', 'where they go')
    .requiredOption('--tables <list>', 'table names, separated by commas')
    .option('--dry-run', 'run the checks and show what would be done')
    .option('--no-wait', 'return as soon as the copy has begun')
    .addHelpText('after', '\nExample:\n  switchyard movetables create orders-move --source old --target new --tables orders,order_lines')
    .action(
      async (
        name: string,
        options: LimitOptions & {
          source: string;
          target: string;
          tables: string;
          dryRun?: boolean;
          wait: boolean;
        },
      ) => {
        using client = context.client(WorkflowService, 120_000);
        const tables = options.tables.split(',').map((table) => table.trim());
        const workflow = { name, source: options.source, target: options.target, tables, limits: limitsOf(options) };
        const response = await client.createWorkflow({ workflow, validateOnly: options.dryRun ?? false });
        if (options.dryRun) {
          context.print(CreateWorkflowResponseSchema, response, (answer) => `the checks passed; nothing was done\n${answer.workflow?.message ?? ''}`);
          return;
        }
        if (options.wait)
          await watchUntil(client, name, context, progressOf(context), (workflow) => workflow.state !== WorkflowState.CREATED && workflow.state !== WorkflowState.COPYING);
        await showWorkflow(client, name, context);
      },
    );
}

function addStatus(movetables: Command, context: Context): void {
  movetables
    .command('status')
    .description('show one workflow, or all')
    .argument('[workflow]')
    .option('--watch', 'go on showing it until Ctrl-C')
    .action(async (name: string | undefined, options: { watch?: boolean }) => {
      using client = context.client(WorkflowService);
      if (name === undefined) {
        await context.show(
          ListWorkflowsResponseSchema,
          options.watch ?? false,
          () => client.listWorkflows({}),
          (answer) =>
            textTable(
              [{ title: 'WORKFLOW' }, { title: 'STATE' }, { title: 'FROM' }, { title: 'TO' }, { title: 'TABLES' }, { title: 'MESSAGE' }],
              answer.workflows.map((one) => [one.name, stateName(one.state), one.source, one.target, one.tables.join(', '), one.message]),
              'no workflows yet: switchyard movetables create NAME --source … --target … --tables …',
            ),
        );
        return;
      }
      if (options.watch) {
        const asJson = (workflow: Workflow): void => context.print(GetWorkflowResponseSchema, create(GetWorkflowResponseSchema, { workflow }), () => '', true);
        await watchUntil(client, name, context, context.json ? asJson : progressOf(context), () => false);
      } else await showWorkflow(client, name, context);
    });
}

function addSwitch(movetables: Command, context: Context): void {
  const lastCutover = (answer: { readonly workflow?: Workflow | undefined }): string => {
    const cutover = answer.workflow?.cutovers.at(-1);
    return cutover === undefined ? '' : cutoverText(cutover);
  };
  /** What to say where that side served already; null where something was done. */
  const unchanged = (answer: { readonly workflow?: Workflow | undefined; readonly unchanged: boolean }, side: 'source' | 'target'): string | null => {
    const { workflow } = answer;
    if (!answer.unchanged || workflow === undefined) return null;
    const since = workflow.cutovers.findLast(({ outcome }) => outcome === 'switched' || outcome === 'repaired');
    const why = since === undefined ? 'they have not been switched' : `since the cutover of ${moment(since.startedAt)}`;
    return `nothing was done: the tables of ${workflow.name} are served by the ${side} already ("${workflow[side]}", ${why})`;
  };
  movetables
    .command('switch-traffic')
    .description('cut over from source to target: pre-checks, hold, fence, catch up, flip, release')
    .argument('<workflow>')
    .option('--dry-run', 'run the pre-checks only')
    .action(async (name: string, options: { dryRun?: boolean }) => {
      using client = context.client(WorkflowService, longMs);
      const response = await client.switchTraffic({ name, validateOnly: options.dryRun ?? false });
      const idle = unchanged(response, 'target');
      context.print(SwitchTrafficResponseSchema, response, (answer) => idle ?? (options.dryRun ? 'every pre-check passed; nothing was done' : lastCutover(answer)));
      if (!options.dryRun && idle === null)
        context.hint(
          `next: switchyard movetables reverse-traffic ${name}   (the lossless way back; verify daily to keep it ready)\n      switchyard movetables complete ${name}          (when you are sure)`,
        );
    });
  movetables
    .command('reverse-traffic')
    .description('cut over back from target to source')
    .argument('<workflow>')
    .option('--dry-run', 'run the pre-checks only')
    .action(async (name: string, options: { dryRun?: boolean }) => {
      using client = context.client(WorkflowService, longMs);
      const response = await client.reverseTraffic({ name, validateOnly: options.dryRun ?? false });
      const idle = unchanged(response, 'source');
      context.print(ReverseTrafficResponseSchema, response, (answer) => idle ?? (options.dryRun ? 'every pre-check passed; nothing was done' : lastCutover(answer)));
      if (!options.dryRun && idle === null) context.hint(`next: switchyard movetables switch-traffic ${name}, or switchyard movetables cancel ${name}`);
    });
}

/** What a repair would do: which store's rows stay, and which are written over. */
function repairText({ name, state, source, target }: Pick<Workflow, 'name' | 'state' | 'source' | 'target'>): string {
  const [serving, other] = state === WorkflowState.SWITCHED ? [target, source] : [source, target];
  return `switchyard movetables verify ${name} --repair writes over the rows of "${other}" with those of "${serving}", which serves`;
}

function addEndings(movetables: Command, context: Context): void {
  movetables
    .command('verify')
    .description('compare every row of both stores while traffic goes on')
    .argument('<workflow>')
    .option('--repair', 'make rows that differ like those of the side that serves')
    .action(async (name: string, options: { repair?: boolean }) => {
      using client = context.client(WorkflowService, longMs);
      const response = await verifyShown(client, name, options.repair ?? false, context);
      const { workflow } = response;
      const verification = workflow?.verification;
      context.print(VerifyWorkflowResponseSchema, response, () => (verification === undefined ? 'no result' : verificationText(verification)));
      if (workflow !== undefined && verification !== undefined && verification.differences > 0n)
        throw new SwitchyardError(
          'DIFFERENCES_FOUND',
          `${counted(verification.differences, 'row differs', 'rows differ')}; the switch is barred until a verification is clean: ${repairText(workflow)}`,
        );
      const switched = workflow?.state === WorkflowState.SWITCHED;
      context.hint(
        switched ? `next: switchyard movetables reverse-traffic ${name}, or switchyard movetables complete ${name}` : `next: switchyard movetables switch-traffic ${name}`,
      );
    });
  movetables
    .command('complete')
    .description('end a switched move; the old tables stay closed, the way back is given up')
    .argument('<workflow>')
    .option('--dry-run', 'check only')
    .action(async (name: string, options: { dryRun?: boolean }) => {
      using client = context.client(WorkflowService, 120_000);
      const response = await client.completeWorkflow({ name, validateOnly: options.dryRun ?? false });
      context.print(CompleteWorkflowResponseSchema, response, (answer) =>
        options.dryRun || answer.workflow === undefined ? 'may be completed; nothing was done' : workflowLine(answer.workflow),
      );
      if (!options.dryRun) context.hint('next: drop the old tables when nobody needs them any more; their fence rows stay, so that nobody writes there by mistake');
    });
  movetables
    .command('cancel')
    .description('end a move that is not switched; the source stays as it was')
    .argument('<workflow>')
    .option('--keep-data', 'leave the copied rows in the target, closed')
    .option('--dry-run', 'check only')
    .action(async (name: string, options: { keepData?: boolean; dryRun?: boolean }) => {
      using client = context.client(WorkflowService, 120_000);
      const response = await client.cancelWorkflow({ name, keepData: options.keepData ?? false, validateOnly: options.dryRun ?? false });
      context.print(CancelWorkflowResponseSchema, response, (answer) =>
        options.dryRun || answer.workflow === undefined ? 'may be cancelled; nothing was done' : workflowLine(answer.workflow),
      );
      if (!options.dryRun) context.hint('the tables are where they were; to try again: switchyard movetables create, under another name (a name serves one move only)');
    });
  movetables
    .command('repair')
    .description('finish or undo what a dead coordinator left; safe at any time, control does it by itself')
    .argument('<workflow>')
    .action(async (name: string) => {
      using client = context.client(WorkflowService, 60_000);
      context.print(RepairWorkflowResponseSchema, await client.repairWorkflow({ name }), (answer) => answer.actions.join('\n') || 'nothing to repair');
    });
}

export function addMoveTablesCommands(program: Command, context: Context): void {
  const movetables = program.command('movetables').description('move tables from one keyspace to another while they are in use');
  addCreate(movetables, context);
  addStatus(movetables, context);
  addLimits(movetables, context);
  addSwitch(movetables, context);
  addEndings(movetables, context);
}

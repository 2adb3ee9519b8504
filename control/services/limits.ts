import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type CutoverLimits, cutoverLimitsSchema, isActive, type WorkflowDocument } from '../../core/workflow-document.ts';
import type { CutoverLimits as LimitsMessage } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { requireWorkflow, type ServiceContext } from './service-context.ts';

/** The limits with what the message, the request's `field`, gives in their place; zeros are not given. ARGUMENT_INVALID names the field. */
export function limitsWith(field: string, message: LimitsMessage | undefined, before: Partial<CutoverLimits> = {}): CutoverLimits {
  const names = Object.keys(cutoverLimitsSchema.shape) as readonly (keyof CutoverLimits)[];
  const given = names.map((name) => [name, message?.[name] ?? 0] as const).filter(([, value]) => value !== 0);
  const parsed = cutoverLimitsSchema.safeParse({ ...before, ...Object.fromEntries(given) });
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new SwitchyardError('ARGUMENT_INVALID', `${field}.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
  }
  const { leastCopyShare, mostCopyShare } = parsed.data;
  if (leastCopyShare > mostCopyShare)
    throw new SwitchyardError(
      'ARGUMENT_INVALID',
      `${field}.leastCopyShare (--least-copy-share): ${leastCopyShare} is more than ${field}.mostCopyShare (--most-copy-share), ${mostCopyShare}`,
    );
  return parsed.data;
}

/** Sets the limits that the message gives. WORKFLOW_STATE: it has ended or failed. */
export async function updateLimits(context: ServiceContext, name: string, message: LimitsMessage | undefined, signal: AbortSignal): Promise<WorkflowDocument> {
  const changed = ({ state, limits }: WorkflowDocument): CutoverLimits => {
    if (!isActive(state)) throw new SwitchyardError('WORKFLOW_STATE', `the workflow is ${state}: it has ended`);
    if (state === 'failed') throw new SwitchyardError('WORKFLOW_STATE', 'the workflow is failed: nothing goes on that a limit could count for; cancel it');
    return limitsWith('limits', message, limits);
  };
  changed((await requireWorkflow(context, name, signal)).value);
  await context.deps.topology.updateWorkflow(name, (current) => ({ ...current, limits: changed(current) }), signal);
  return (await requireWorkflow(context, name, signal)).value;
}

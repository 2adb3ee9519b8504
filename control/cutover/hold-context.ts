import type { Attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { CutoverLimits } from '../../core/workflow-document.ts';
import type { ControlDeps } from '../move.ts';
import type { Direction } from './direction.ts';
import type { FenceLinks } from './fence-link.ts';
import type { GatewayVersions } from './gateway-versions.ts';
import type { CutoverTrace } from './trace.ts';

/** What the steps of one hold work with. */
export interface HoldContext {
  readonly direction: Direction;
  readonly attempt: Attempt;
  readonly limits: CutoverLimits;
  readonly links: FenceLinks;
  readonly gateways: GatewayVersions;
  readonly trace: CutoverTrace;
  readonly deps: ControlDeps;
  /** Makes the hold abort as long as nothing is decided; has no effect afterwards. */
  readonly signal: AbortSignal;
}

export const overBudget = (hold: HoldContext): SwitchyardError =>
  new SwitchyardError('HOLD_BUDGET', `the hold would have exceeded its budget of ${hold.limits.holdBudgetMs} ms`, { metadata: { attempt: String(hold.attempt) } });

/** `onStep` threw: everything is left as it stands, as if the process had died. */
export class Abandoned extends Error {
  constructor(cause: unknown) {
    super('the cutover was abandoned', { cause });
    this.name = 'Abandoned';
  }
}

import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Registration } from '../../core/registration.ts';
import type { ControlDeps } from '../move.ts';
import { finding, type Finding } from '../cutover/finding.ts';

type Seen = Registration & { readonly silent: boolean };

const lookEveryMs = 5;

/** What keeps gateways from being waited for, each by name. Whoever is registered counts, for as long as he is. */
export function gatewayFindings(gateways: readonly Seen[]): readonly Finding[] {
  if (gateways.length === 0) return [finding('PRECHECK_FAILED', 'no gateway is registered', 'start one, or check that it uses this cluster')];
  return gateways.flatMap(({ id, silent, settledVersion }) => {
    if (silent)
      return [
        finding(
          'PRECHECK_FAILED',
          `gateway "${id}" is silent, and nobody knows what it sends to a store that cannot fence`,
          'restart it; remove its registration only if its process is known to be dead',
        ),
      ];
    if (settledVersion === 0)
      return [
        finding(
          'GATEWAY_NOT_READY',
          `gateway "${id}" does not tell yet which of its writes have settled`,
          'wait until it has run for its settleMs; one of an earlier release has to be replaced',
        ),
      ];
    return [];
  });
}

/** Whether every gateway has settled this version: no write that an older one routed is under way, and what it says of reads holds as well. One consistent look. */
export async function haveSettled(deps: ControlDeps, version: number, signal: AbortSignal): Promise<{ readonly all: boolean; readonly late: readonly string[] }> {
  const gateways = await deps.topology.everyRegistration(signal);
  const late = gateways.filter(({ settledVersion }) => settledVersion < version).map(({ id }) => id);
  return { all: late.length === 0, late };
}

/** Waits until every gateway has settled this version. HOLD_BUDGET names those that have not in time; PRECHECK_FAILED those that are silent. */
export async function untilSettled(deps: ControlDeps, version: number, deadlineMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const gateways = await deps.topology.everyRegistration(signal);
    const late = gateways.filter(({ settledVersion }) => settledVersion < version);
    if (late.length === 0) return;
    const silent = late.filter((gateway) => gateway.silent).map(({ id }) => id);
    if (silent.length > 0) throw new SwitchyardError('PRECHECK_FAILED', `silent gateways have not said that they hold: ${silent.join(', ')}`);
    if (deps.clock.monotonic() >= deadlineMs)
      throw new SwitchyardError(
        'HOLD_BUDGET',
        `these gateways have not said within the hold's budget that none of their writes is under way: ${late.map(({ id }) => id).join(', ')}`,
      );
    await deps.clock.sleep(lookEveryMs, signal);
  }
}

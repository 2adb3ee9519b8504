/* How runs are summed up for people. */

const quantity = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 1 });

/** "1 seed", "2,000 seeds". */
export const counted = (value: number, one: string, many = `${one}s`): string => `${quantity(value)} ${value === 1 ? one : many}`;

/** The limit of a fault run for the time without flow, before it is made longer for a slow machine: `flowLimitMs` of test/fault. */
export const plainFlowLimitMs = 5_000;

/** Beyond this a limit in seconds was so much longer that keeping it shows little. */
const fairSlowdown = 2;

/** What has to be said of a run that passed on a machine that was so much slower at worst than one that has time for it; null: nothing. */
export function slownessOf(slowdown: number): string | null {
  return slowdown > fairSlowdown ? `passed, but the machine was up to ${quantity(slowdown)} times slower: its times are no evidence` : null;
}

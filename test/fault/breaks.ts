import type { Safeguard } from '../bench/cutover/cutover-config.ts';
import { disturbanceOf } from '../bench/cutover/disturbance.ts';
import { cutOff } from './nemeses/links.ts';
import type { Nemesis } from './nemeses/nemesis.ts';
import type { WorldOptions } from './world.ts';

/** The safeguards that a run can go without. Each run of this kind has to find harm. */
export const breaks = ['fence', 'read-fence', 'token', 'marker', 'tombstone'] as const;
export type Break = (typeof breaks)[number];

/** What a run without the safeguard is made of: a test build of control, the strikes under which the safeguard is needed, and gateways that only read. */
export interface BrokenCast {
  readonly processes: NonNullable<WorldOptions['processes']>;
  readonly nemeses: readonly Nemesis[];
  readonly readOnlyGateways: readonly number[];
  /** The whole move is ended while a gateway sees nothing of it. */
  readonly ends: boolean;
}

export function brokenCast(broken: Break): BrokenCast {
  const disturbance: Safeguard = broken;
  const { processes, readOnlyGateways } = disturbanceOf({ disturbance, broken: disturbance });
  return { processes, readOnlyGateways, nemeses: [cutOff], ends: broken === 'tombstone' };
}

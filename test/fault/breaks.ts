import { disturbanceOf } from '../bench/cutover/disturbance.ts';
import { cutOff } from './nemeses/links.ts';
import type { Nemesis } from './nemeses/nemesis.ts';
import type { WorldOptions } from './world.ts';

/** The safeguards that a run can go without. Each run of this kind has to find harm. */
export const breaks = ['fence', 'read-fence', 'token', 'marker', 'tombstone'] as const;
export type Break = (typeof breaks)[number];

/** A run about one safeguard: under the strikes that it is there for, with control processes whose stores are as a disturbance asks. */
export interface SafeguardCast {
  /** Null: the product has all its safeguards, and no harm may be found. */
  readonly lacks: Break | null;
  readonly processes: NonNullable<WorldOptions['processes']>;
  readonly nemeses: readonly Nemesis[];
  readonly readOnlyGateways: readonly number[];
  /** The workflow's; null: the product's default. */
  readonly holdBudgetMs: number | null;
  /** The whole move is ended while a gateway sees nothing of it. */
  readonly ends: boolean;
}

export function castFor(safeguard: Break, lacksIt: boolean): SafeguardCast {
  const { processes, readOnlyGateways, holdBudgetMs } = disturbanceOf({ disturbance: safeguard, broken: lacksIt ? safeguard : null });
  return { lacks: lacksIt ? safeguard : null, processes, readOnlyGateways, holdBudgetMs, nemeses: [cutOff], ends: safeguard === 'tombstone' };
}

import type { Dice } from '../../bench/cutover/workload.ts';
import type { KeyspaceName } from '../../support/moves/move-state.ts';
import type { World } from '../world.ts';

/** Which failures of calls a strike explains. Everything else that fails meanwhile is a fault of the product. */
export interface Excuses {
  /** Connections to these gateways may break or stay silent. */
  readonly gateways: readonly number[];
  /** What these gateways (null: all) need of this store may fail, with a reason that says so. */
  readonly stores: readonly { readonly store: KeyspaceName; readonly gateways: readonly number[] | null }[];
  /** Clients may take so long after the healing to see that their connections are dead. Default 0. */
  readonly lingersMs?: number;
}

export const noExcuse: Excuses = { gateways: [], stores: [] };

/** What a strike did. */
export interface Struck {
  /** For people: who, and for how long. */
  readonly what: string;
  readonly excuses: Excuses;
  /** What is wrong by the strike's own look. */
  readonly problems?: readonly string[];
}

/** What a nemesis needs of the machine and the world. */
export interface Needs {
  readonly consulServers?: 3;
  readonly ownClocks?: true;
  readonly disks?: true;
  readonly faultyControls?: true;
  /** Null: it can be had on this machine; else why not. */
  readonly unavailable?: () => Promise<string | null>;
}

/** Something that goes wrong for a while. */
export interface Nemesis {
  readonly name: string;
  readonly needs?: Needs;
  /** No other strikes meanwhile. */
  readonly alone?: true;
  /** Does its harm, takes it back and resolves: from then on nothing is wrong by its doing, and traffic has to flow by itself. Rejects only when the strike itself could not be carried out. */
  strike(world: World, dice: Dice): Promise<Struck>;
}

/** How long a strike lasts: often a moment, at most 10 s. */
export function durationMs(dice: Dice): number {
  return dice.roll(2) === 0 ? dice.roll(2_000) : 2_000 + dice.roll(8_001);
}

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** One of them. */
export function oneOf<T>(all: readonly T[], dice: Dice): T {
  const chosen = all[dice.roll(all.length)];
  if (chosen === undefined) throw new Error('there is nothing to choose from');
  return chosen;
}

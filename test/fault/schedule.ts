import { setTimeout as sleep } from 'node:timers/promises';
import { benchNowMs } from '../bench/cutover/bench-move.ts';
import type { Dice } from '../bench/cutover/workload.ts';
import type { Strike } from './accounts.ts';
import { flowLimitMs, untilFlowing } from './flow.ts';
import type { MachineShare } from './machine-share.ts';
import { type Nemesis, noExcuse, type Struck } from './nemeses/nemesis.ts';
import type { World } from './world.ts';

const calmMs = 1_500;

/** One strike, or two at once, and the healing. */
export interface Round {
  readonly strikes: readonly Strike[];
  readonly what: string;
  readonly flowMs: number;
  /** What flowed last. */
  readonly last: string;
  /** Of the machine meanwhile. */
  readonly slowdown: number;
  readonly problems: readonly string[];
}

/** Every nemesis once in an order of the dice, then in another. */
class Deck {
  readonly #all: readonly Nemesis[];
  readonly #dice: Dice;
  #left: Nemesis[] = [];

  constructor(all: readonly Nemesis[], dice: Dice) {
    this.#all = all;
    this.#dice = dice;
  }

  draw(): Nemesis {
    if (this.#left.length === 0) this.#left = [...this.#all];
    const [drawn] = this.#left.splice(this.#dice.roll(this.#left.length), 1);
    if (drawn === undefined) throw new Error('there is no nemesis');
    return drawn;
  }
}

export interface ScheduleOptions {
  readonly nemeses: readonly Nemesis[];
  readonly minutes: number;
  readonly dice: Dice;
  readonly share: MachineShare;
  readonly say: (line: string) => void;
}

/** Rounds until the time is over, at least one: strike, heal, wait until everything flows. */
export async function strikeFor(world: World, { nemeses, minutes, dice, share, say }: ScheduleOptions): Promise<readonly Round[]> {
  const endsMs = performance.now() + minutes * 60_000;
  const deck = new Deck(nemeses, dice);
  const rounds: Round[] = [];
  do {
    const first = deck.draw();
    const together = [first];
    if (first.alone !== true && nemeses.length > 1 && dice.roll(4) === 0) {
      const second = deck.draw();
      if (second.alone !== true && second !== first) together.push(second);
    }
    const round = await strikeOnce(world, together, dice, share);
    rounds.push(round);
    say(
      `${round.what}; flowing after ${Math.round(round.flowMs)} ms${round.flowMs > flowLimitMs / 2 ? `, ${round.last},` : ''}${round.slowdown > 1.3 ? ` on a machine ${round.slowdown.toFixed(1)} times slower` : ''}${round.problems.map((problem) => `; PROBLEM ${problem}`).join('')}`,
    );
    await sleep(dice.roll(calmMs));
  } while (performance.now() < endsMs);
  return rounds;
}

async function strikeOnce(world: World, nemeses: readonly Nemesis[], dice: Dice, share: MachineShare): Promise<Round> {
  const fromMs = benchNowMs();
  const struck = await Promise.all(
    nemeses.map(async (nemesis) => {
      const result = await nemesis.strike(world, dice).catch((error: unknown): Struck => {
        // Beside the other one it may have had nothing to strike: what it left must flow again all the same.
        if (nemeses.length === 1) throw error;
        return { what: `not carried out (${String(error)})`, excuses: noExcuse };
      });
      return { name: nemesis.name, ...result, toMs: benchNowMs() };
    }),
  );
  const healedMs = performance.now();
  const flow = await untilFlowing(world.gatewayAddresses, healedMs);
  const flowingMs = benchNowMs();
  const slowdown = share.slowdown(healedMs);
  const what = struck.map(({ name, what: told }) => `${name}: ${told}`).join(' | ');
  const problems = struck.flatMap((one) => (one.problems ?? []).map((problem) => `${one.name}: ${problem}`));
  if (flow.ms > flowLimitMs * slowdown) problems.push(`${what}: ${flow.flows ? `flowing after ${Math.round(flow.ms)} ms` : 'not flowing 40 s after the healing'}: ${flow.last}`);
  return { strikes: struck.map(({ name, excuses, toMs }) => ({ name, fromMs, toMs, flowingMs, excuses })), what, flowMs: flow.ms, last: flow.last, slowdown, problems };
}

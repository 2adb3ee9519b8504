import type { Dice } from '../../bench/cutover/workload.ts';
import type { ProxiedConnection } from './proxied-connection.ts';
import { pass, type Treatment } from './treatment.ts';

/** All connections of one party to one other, and what the network does to them just now. */
export class Link {
  /** Who connects, and to whom. */
  readonly from: string;
  readonly to: string;
  readonly dice: Dice;
  readonly #connections = new Set<ProxiedConnection>();
  #treatment: Treatment = pass;

  constructor(from: string, to: string, dice: Dice) {
    this.from = from;
    this.to = to;
    this.dice = dice;
  }

  get treatment(): Treatment {
    return this.#treatment;
  }

  /** How many connections there are, dead ones that nobody was told of included. */
  get size(): number {
    return this.#connections.size;
  }

  /** From now on; for the connections that there are too. */
  treat(treatment: Treatment): void {
    this.#treatment = treatment;
    for (const connection of this.#connections) connection.changed();
  }

  add(connection: ProxiedConnection): void {
    this.#connections.add(connection);
  }

  delete(connection: ProxiedConnection): void {
    this.#connections.delete(connection);
  }
}

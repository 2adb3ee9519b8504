import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresStore } from '../../support/cluster/postgres-store.ts';
import type { ClusterStore } from '../../support/cluster/store.ts';
import { SHOP_LOGINS } from '../../support/servers/shop.ts';
import { Dice } from '../cutover/workload.ts';
import { type CommitCut, StoreRelay } from './store-relay.ts';

/** On average one cut in this time. */
const everyMs = 250;
/** Of sixteen cuts; the others are in a commit. */
const terminations = 2;
const randomCuts = 4;
const latestMs = 300;

/** What was cut. */
export interface CutCounts {
  /** Connections that the gateway lost between its COMMIT and the answer. */
  readonly inCommit: number;
  /** Of those: where the store did commit. */
  readonly committed: number;
  /** Of those: where it did so after the gateway had lost the connection. */
  readonly late: number;
  /** Connections reset at any moment, while something was under way on them where there is such a one. */
  readonly random: number;
  /** Sessions ended by `pg_terminate_backend`. */
  readonly terminated: number;
}

interface Relayed {
  readonly relay: StoreRelay;
  readonly store: PostgresStore;
}

/** Cuts connections of the gateways to their PostgreSQL servers, one by one at random moments, from each `start` to the next `stop`. Control's, which go through the same relays, stay whole. */
export class ConnectionCuts implements AsyncDisposable {
  readonly #dice: Dice;
  readonly #relayed: Relayed[] = [];
  #ending = new AbortController();
  #counts = { inCommit: 0, committed: 0, late: 0, random: 0, terminated: 0 };
  #cutting: Promise<void> = Promise.resolve();
  /** The next commit is to be cut. */
  #armed = false;

  constructor(seed: number) {
    this.#dice = new Dice(seed);
  }

  /** How a keyspace names the store, so that it is reached through a relay. */
  async shardOf(store: ClusterStore): Promise<ClusterStore['shard']> {
    if (!(store instanceof PostgresStore)) return store.shard;
    const relay = await StoreRelay.open({
      host: store.server.host,
      port: store.server.port,
      user: SHOP_LOGINS.gateway.user,
      commitCut: () => this.#takeArmed(),
      onCommitCut: (cut, committed) => this.#count(cut, committed),
    });
    this.#relayed.push({ relay, store });
    return { ...store.shard, host: '127.0.0.1', port: relay.port };
  }

  /** Since the last `start`. */
  get counts(): CutCounts {
    return { ...this.#counts };
  }

  start(): void {
    this.#ending = new AbortController();
    this.#counts = { inCommit: 0, committed: 0, late: 0, random: 0, terminated: 0 };
    this.#cutting = this.#cut(this.#ending.signal);
    this.#cutting.catch(() => {}); // `stop` tells
  }

  /** Resolves to what was cut once all of it is over: no commit is on its way to a store any more. */
  async stop(): Promise<CutCounts> {
    this.#ending.abort();
    this.#armed = false;
    await this.#cutting;
    await Promise.all(this.#relayed.map(({ relay }) => relay.settled()));
    return this.counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#relayed.map(({ relay }) => relay[Symbol.asyncDispose]()));
  }

  async #cut(signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#dice.roll(2 * everyMs), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const roll = this.#dice.roll(16);
      if (roll < terminations) await this.#terminateOne();
      else if (roll < terminations + randomCuts) this.#resetOne();
      else this.#armed = true;
    }
  }

  #takeArmed(): CommitCut | null {
    if (!this.#armed) return null;
    this.#armed = false;
    const roll = this.#dice.roll(4);
    if (roll === 0) return { how: 'lost' };
    return roll === 1 ? { how: 'late', afterMs: this.#dice.roll(latestMs) } : { how: 'unanswered' };
  }

  #count({ how }: CommitCut, committed: boolean): void {
    this.#counts.inCommit += 1;
    if (committed) this.#counts.committed += 1;
    if (committed && how === 'late') this.#counts.late += 1;
  }

  #resetOne(): void {
    const all = this.#relayed.flatMap(({ relay }) => relay.connections);
    const busy = all.filter((connection) => connection.waiting);
    const connections = busy.length > 0 ? busy : all;
    const connection = connections[this.#dice.roll(Math.max(connections.length, 1))];
    if (connection === undefined) return;
    connection.reset();
    this.#counts.random += 1;
  }

  async #terminateOne(): Promise<void> {
    const relayed = this.#relayed[this.#dice.roll(Math.max(this.#relayed.length, 1))];
    if (relayed === undefined) return;
    const { server, database } = relayed.store;
    const sessions = `SELECT pid FROM pg_stat_activity WHERE usename = '${SHOP_LOGINS.gateway.user}' AND datname = '${database}' ORDER BY state <> 'idle' DESC NULLS LAST, random() LIMIT 1`;
    this.#counts.terminated += Number(await server.psql(database, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (${sessions}) one;`));
  }
}

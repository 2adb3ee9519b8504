import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Dice } from '../cutover/workload.ts';

const everyMs = 10;

export interface Latency {
  readonly calls: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** What a service that holds the driver sees of the source: a point read and a point write by turns, one after the other, a hundred a second at most. */
export class LatencyProbe implements AsyncDisposable {
  readonly #client: pg.Client;
  readonly #dice = new Dice(1);
  readonly #rows: number;
  readonly #stop = new AbortController();
  #times: number[] = [];
  #running: Promise<void> = Promise.resolve();

  private constructor(client: pg.Client, rows: number) {
    this.#client = client;
    this.#rows = rows;
  }

  static async start(url: string, rows: number): Promise<LatencyProbe> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const probe = new LatencyProbe(client, rows);
    probe.#running = probe.#probe();
    probe.#running.catch(() => {}); // the disposal tells
    return probe;
  }

  /** Of the calls since the last time that it was asked. */
  take(): Latency {
    const sorted = this.#times.toSorted((a, b) => a - b);
    this.#times = [];
    const at = (share: number): number => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 100) / 100;
    return { calls: sorted.length, medianMs: at(0.5), p99Ms: at(0.99) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#client.end();
  }

  async #probe(): Promise<void> {
    for (let turn = 0; !this.#stop.signal.aborted; turn += 1) {
      const aid = 1 + this.#dice.roll(this.#rows);
      const begunMs = performance.now();
      if (turn % 2 === 0) await this.#client.query({ name: 'read', text: 'SELECT * FROM pgbench_accounts WHERE aid = $1', values: [aid] });
      else await this.#client.query({ name: 'write', text: 'UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = $1', values: [aid] });
      this.#times.push(performance.now() - begunMs);
      await sleep(Math.max(0, everyMs - (performance.now() - begunMs)));
    }
  }
}

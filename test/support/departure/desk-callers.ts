import type { RpcClient } from '../../../client/rpc-client.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { KeyspaceCluster } from '../cluster/keyspace-cluster.ts';

export const int64 = (value: number | bigint) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
export const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });

/** Callers, one at each gateway: each counts up the minutes of a ticket of its own, opens new ones, closes some for good, and reads its own writes back. */
export class DeskCallers implements AsyncDisposable {
  readonly minutes = new Map<number, number>();
  readonly opened = new Set<string>();
  readonly closed = new Set<string>();
  readonly failures: string[] = [];
  rounds = 0;
  stale = 0;
  readonly #table: string;
  readonly #running: Promise<unknown>;
  #going = true;

  constructor(cluster: KeyspaceCluster, table: string) {
    this.#table = table;
    this.#running = Promise.all(cluster.gateways.map(({ address }, at) => this.#run(cluster.client(DataService, address, 100_000), at + 1)));
  }

  /** What is wrong with the rows that a store has by now, as lines of "number|minutes". */
  violations(lines: string, rowsBefore: number): readonly string[] {
    const minutes = new Map(
      lines
        .trim()
        .split('\n')
        .map((line) => line.split('|') as [string, string]),
    );
    const found: string[] = [...this.failures];
    if (this.stale > 0) found.push(`${this.stale} stale reads`);
    for (const [own, value] of this.minutes)
      if (minutes.get(String(own)) !== String(value)) found.push(`ticket ${own} has ${minutes.get(String(own))} minutes instead of ${value}`);
    for (const no of this.opened) if (!this.closed.has(no) && !minutes.has(no)) found.push(`ticket ${no} is lost`);
    for (const no of this.closed) if (minutes.has(no)) found.push(`ticket ${no} is there again`);
    const expected = rowsBefore + this.opened.size - this.closed.size;
    if (minutes.size !== expected) found.push(`${minutes.size} tickets instead of ${expected}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#going = false;
    await this.#running;
  }

  async #run(client: RpcClient<typeof DataService>, own: number): Promise<void> {
    const table = this.#table;
    const key = { cells: { no: int64(own) } };
    for (let number = 1; this.#going; number += 1) {
      try {
        await client.update({ table, key, row: { cells: { minutes: int64(1_000 + number) } } });
        this.minutes.set(own, 1_000 + number);
        const { row } = await client.get({ table, key });
        if (row?.cells.minutes?.kind.value !== BigInt(1_000 + number)) this.stale += 1;
        const opened = await client.insert({ table, row: { cells: { title: text(`of caller ${own}, ${number}`), minutes: int64(0) } } });
        const no = opened.row?.cells.no ?? int64(0);
        this.opened.add(String(no.kind.value));
        if (number % 3 === 0) {
          await client.delete({ table, key: { cells: { no } } });
          this.closed.add(String(no.kind.value));
        }
        this.rounds += 1;
      } catch (error) {
        this.failures.push(`caller ${own}: ${String(error)}`);
      }
      await new Promise((again) => setTimeout(again, 20));
    }
  }
}

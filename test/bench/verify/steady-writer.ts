import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient } from '../../../client/rpc-client.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';

const callers = 32;
const tickMs = 20;
const int = (value: bigint) => ({ kind: { case: 'int64Value' as const, value } });

/** Writes at an even rate through a gateway: adds to one column of rows by turns. Never more calls at once than its callers; what they cannot keep up with is left out. */
export class SteadyWriter implements AsyncDisposable {
  readonly #run: Promise<void>;
  readonly #stop = new AbortController();
  #done = 0;
  #failure: unknown = null;

  constructor(address: string, options: { readonly table: string; readonly column: string; readonly rows: number; readonly perSecond: number }) {
    this.#run = this.#write(address, options).catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Writes that were answered with success. */
  get done(): number {
    return this.#done;
  }

  /** Ends it; rejects with the first write that failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#run;
    if (this.#failure !== null) throw this.#failure;
  }

  async #write(address: string, { table, column, rows, perSecond }: ConstructorParameters<typeof SteadyWriter>[1]): Promise<void> {
    using client = createRpcClient(DataService, address, { deadlineMs: 10_000 });
    let next = 0;
    let under = 0;
    let failure: unknown = null;
    const begun = performance.now();
    while (!this.#stop.signal.aborted && failure === null) {
      const due = Math.floor(((performance.now() - begun) * perSecond) / 1_000);
      for (; next < due && under < callers; next += 1) {
        under += 1;
        const id = BigInt(1 + (next % rows));
        client
          .update({ table, key: { cells: { id: int(id) } }, add: { cells: { [column]: int(1n) } } })
          .then(
            () => {
              this.#done += 1;
            },
            (error: unknown) => {
              failure ??= error;
            },
          )
          .finally(() => {
            under -= 1;
          });
      }
      // Late calls are not made up for: the rate is what a service asks for, no more.
      next = Math.max(next, due - callers);
      await sleep(tickMs);
    }
    while (under > 0) await sleep(tickMs);
    if (failure !== null) throw failure;
  }
}

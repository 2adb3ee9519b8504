import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createRpcClient, type RpcClient } from '../../client/rpc-client.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { RowSchema } from '../../gen/switchyard/data/v1/value_pb.ts';

/** Everything flows again within this after any healing. */
export const flowLimitMs = 5_000;
/** Looked on for longer, to tell what is late from what never comes. */
const giveUpMs = 40_000;
const callLimitMs = 1_000;
const againMs = 50;

const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const row = (column: string, value: number): MessageInitShape<typeof RowSchema> => ({ cells: { [column]: int(value) } });
type Data = RpcClient<typeof DataService>;

/** A row of each table that nobody else touches is not needed: adding nothing changes nothing, and passes the fence all the same. */
const tables = [
  { table: 'pgbench_accounts', key: row('aid', 1), add: row('abalance', 0) },
  { table: 'pgbench_tellers', key: row('tid', 1), add: row('tbalance', 0) },
  { table: 'pgbench_branches', key: row('bid', 1), add: row('bbalance', 0) },
  { table: 'pgbench_history', key: row('hid', 1_000_000_000), add: row('delta', 0) },
] as const;

/** That there is no such row is the store's own answer. */
const orAbsent = (error: unknown): void => {
  if (!hasReason(error, 'ROW_NOT_FOUND')) throw error;
};

const probes = tables.flatMap(({ table, key, add }) => [
  { what: `reads of ${table}`, call: (data: Data) => data.get({ table, key }).then(() => {}, orAbsent) },
  { what: `writes of ${table}`, call: (data: Data) => data.update({ table, key, add }).then(() => {}, orAbsent) },
]);

/** How long after `sinceMs` (of `performance.now`) all of it flowed through all gateways. */
export interface Flow {
  readonly ms: number;
  /** Of the last that flowed, or does not: gateway, call, how many tries it took and how it failed last. */
  readonly last: string;
  /** False: looked on for 40 s in vain. */
  readonly flows: boolean;
}

/** Resolves when reads and writes of every table have been answered by every gateway, each tried again and again over a new connection. */
export async function untilFlowing(gateways: readonly string[], sinceMs: number): Promise<Flow> {
  const flows = await Promise.all(
    gateways.flatMap((address, index) => probes.map(({ what, call }) => untilAnswered(address, `${what} through gateway-${index + 1}`, call, sinceMs))),
  );
  const bad = flows.find(({ flows: does }) => !does);
  return bad ?? flows.reduce((slowest, flow) => (flow.ms > slowest.ms ? flow : slowest));
}

async function untilAnswered(address: string, what: string, call: (data: Data) => Promise<void>, sinceMs: number): Promise<Flow> {
  let tries = 0;
  let failure = '';
  for (;;) {
    tries += 1;
    try {
      using data = createRpcClient(DataService, address, { deadlineMs: callLimitMs });
      await call(data);
      return { ms: performance.now() - sinceMs, last: `${what} at try ${tries}${failure}`, flows: true };
    } catch (error) {
      failure = ` (before: ${String(error)})`;
    }
    const ms = performance.now() - sinceMs;
    if (ms > giveUpMs) return { ms, last: `${what} at no one of ${tries} tries${failure}`, flows: false };
    await sleep(againMs);
  }
}

import { createRpcClient } from '../../client/rpc-client.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';

/*
 * A small service that never stops: 100 deposits and 100 reads a second through two gateways, one line a second. Run it while you move the tables; watch the column "slowest".
 * Usage: node examples/first-move/teller.ts [gateway address …]
 */
const addresses = process.argv.slice(2);
const gateways = (addresses.length > 0 ? addresses : ['127.0.0.1:7101', '127.0.0.1:7102']).map((address) => createRpcClient(DataService, address, { deadlineMs: 5_000 }));
const accounts = 1_000;
const int64 = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });

let calls = 0;
let errors = 0;
let slowestMs = 0;

async function timed(call: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  try {
    await call();
  } catch (error) {
    errors++;
    console.error(String(error));
  }
  calls++;
  slowestMs = Math.max(slowestMs, performance.now() - begun);
}

function tick(): void {
  const gateway = gateways[Math.floor(Math.random() * gateways.length)];
  if (gateway === undefined) return;
  const key = { cells: { aid: int64(1 + Math.floor(Math.random() * accounts)) } };
  void timed(() => gateway.update({ table: 'pgbench_accounts', key, add: { cells: { abalance: int64(1) } } }));
  void timed(() => gateway.get({ table: 'pgbench_accounts', key }));
}

setInterval(tick, 10);
setInterval(() => {
  console.log(`${new Date().toISOString().slice(11, 19)}  ${calls} calls  ${errors} errors  slowest ${slowestMs.toFixed(1)} ms`);
  calls = 0;
  slowestMs = 0;
}, 1_000);

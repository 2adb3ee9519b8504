import { randomUUID } from 'node:crypto';
import { createRpcClient } from '../../client/rpc-client.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';

/*
 * Writes to `job` and `queue` through the gateways until it is told to end (Ctrl-C, SIGTERM): jobs in every partition are made, changed and deleted, and each gives its queue a second more of retention. Then it reads back everything
 * that was acknowledged and prints what it found. Exit code 1: a call failed, or a row is not what it has to be.
 * Usage: node examples/sample-schema/writes.ts [gateway address …]
 */
const addresses = process.argv.slice(2);
const gateways = (addresses.length > 0 ? addresses : ['127.0.0.1:7101', '127.0.0.1:7102']).map((address) => createRpcClient(DataService, address, { deadlineMs: 20_000 }));
type Gateway = (typeof gateways)[number];

/** The first has its rows in the default partition, the others in one of their own. */
const queues = ['mail/out', 'orders', 'ledger'];
const pauseMs = 20;
const keysAtOnce = 200;
/** No worker of pg-boss takes these jobs: they begin in 2100, in microseconds. */
const begins = 4_102_444_800_000_000n;
/** More digits than a double holds: they have to come back as they went. */
const exact = '12345678901234567890.01234567890123456789';

const textCell = (value: string) => ({ kind: { case: 'textValue' as const, value } });
const intCell = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const jsonCell = (value: string) => ({ kind: { case: 'jsonValue' as const, value } });
const momentCell = (value: bigint) => ({ kind: { case: 'timestamptzMicros' as const, value } });
const nameKey = (queue: string) => ({ name: textCell(queue) });
const jobKey = (queue: string, id: string) => ({ ...nameKey(queue), id: { kind: { case: 'uuidValue' as const, value: id } } });

/** What was acknowledged last of a job. */
interface Acknowledged {
  readonly queue: string;
  /** Null: it was deleted. */
  readonly row: { readonly priority: number; readonly state: string } | null;
}
const jobs = new Map<string, Acknowledged>();
/** Seconds that were added to the queues' retention. */
const added = new Map<string, number>();
let calls = 0;
let errors = 0;
let slowestMs = 0;

/** Null: it failed. */
async function timed<T>(call: (gateway: Gateway) => Promise<T>): Promise<T | null> {
  const gateway = gateways[calls++ % gateways.length] as Gateway;
  const begun = performance.now();
  try {
    return await call(gateway);
  } catch (error) {
    errors++;
    console.error(String(error));
    return null;
  } finally {
    slowestMs = Math.max(slowestMs, performance.now() - begun);
  }
}

async function live(queue: string, n: number): Promise<void> {
  const id = randomUUID();
  const key = { cells: jobKey(queue, id) };
  const data = jsonCell(`{"n": ${n}, "text": "№ 圖像 🛤️ \\"a\\\\b\\"", "exact": ${exact}, "big": 1e40}`);
  const cells = { ...key.cells, data, priority: intCell(n), singleton_key: textCell(`written ${id}`), start_after: momentCell(begins) };
  if ((await timed((gateway) => gateway.insert({ table: 'job', row: { cells } }))) === null) return;
  jobs.set(id, { queue, row: { priority: n, state: 'created' } });

  const done = {
    state: { kind: { case: 'enumValue' as const, value: 'completed' } },
    completed_on: momentCell(BigInt(Date.now()) * 1_000n + 7n),
    output: jsonCell('null'),
  };
  if ((await timed((gateway) => gateway.update({ table: 'job', key, row: { cells: done }, add: { cells: { priority: intCell(1) } } }))) === null) return;
  jobs.set(id, { queue, row: { priority: n + 1, state: 'completed' } });

  const one = { cells: { retention_seconds: intCell(1) } };
  if ((await timed((gateway) => gateway.update({ table: 'queue', key: { cells: nameKey(queue) }, add: one }))) !== null) added.set(queue, (added.get(queue) ?? 0) + 1);
  if (n % 3 === 0 && (await timed((gateway) => gateway.delete({ table: 'job', key }))) !== null) jobs.set(id, { queue, row: null });
}

async function retentionOf(queue: string): Promise<number> {
  const answer = await timed((gateway) => gateway.get({ table: 'queue', key: { cells: nameKey(queue) }, columns: ['retention_seconds'] }));
  return Number(answer?.row?.cells.retention_seconds?.kind.value);
}

/** What is not as it was acknowledged. */
async function faultsOf(entries: readonly (readonly [string, Acknowledged])[]): Promise<readonly string[]> {
  const answer = await timed((gateway) => gateway.batchGet({ table: 'job', keys: entries.map(([id, { queue }]) => ({ cells: jobKey(queue, id) })) }));
  return entries.flatMap(([id, { queue, row }], i) => {
    const cells = answer?.entries[i]?.row?.cells;
    const cellOf = (column: string) => String(cells?.[column]?.kind.value);
    const is = cells === undefined ? 'no row' : `${cellOf('priority')} ${cellOf('state')} ${cellOf('data').includes(`"exact": ${exact}`)}`;
    const due = row === null ? 'no row' : `${row.priority} ${row.state} true`;
    return answer !== null && is === due ? [] : [`job ${id} of ${queue} is ${is}, not ${due}`];
  });
}

let going = true;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    going = false;
  });

const before = new Map<string, number>();
for (const queue of queues) before.set(queue, await retentionOf(queue));
await Promise.all(
  queues.map(async (queue) => {
    for (let n = 0; going; n++) {
      await live(queue, n);
      await new Promise((resume) => setTimeout(resume, pauseMs));
    }
  }),
);
const [writes, slowestWriteMs] = [calls - queues.length, slowestMs];

const faults: string[] = [];
for (const queue of queues) {
  const [is, due] = [await retentionOf(queue), (before.get(queue) ?? 0) + (added.get(queue) ?? 0)];
  if (is !== due) faults.push(`queue ${queue} keeps its jobs for ${is} s, not ${due}`);
}
const entries = [...jobs];
for (let from = 0; from < entries.length; from += keysAtOnce) faults.push(...(await faultsOf(entries.slice(from, from + keysAtOnce))));
for (const fault of faults) console.error(fault);
console.log(`${writes} writes, ${errors} errors, slowest ${slowestWriteMs.toFixed(1)} ms; ${jobs.size} jobs read back, ${faults.length} faults`);
process.exit(errors + faults.length === 0 ? 0 : 1);

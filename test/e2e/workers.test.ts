import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRpcClient } from '../../client/rpc-client.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { readRegistrations } from '../bench/cutover/consul-rules.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* One address, several processes: each of them is a gateway of its own to everybody but its callers. */

const count = 2;
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 1, controls: 1, gatewaySettings: { workers: count } });
}, 120_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const gateway = () => {
  const [first] = cluster.gateways;
  if (first === undefined) throw new Error('no gateway');
  return first;
};
/** Sessions of the registered gateways by their ids. */
const sessions = async (): Promise<ReadonlyMap<string, string>> => new Map((await readRegistrations(cluster.consul)).map(({ id, session }) => [id, session]));
async function workersOf(processId: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${processId}/task/${processId}/children`, 'utf8');
  return text.trim().split(/\s+/).filter(Boolean).map(Number);
}

const becomes = (what: string, probe: () => Promise<boolean>) => waitUntil(what, { limitMs: 30_000 }, async () => ((await probe()) ? true : undefined));

/** Calls over so many connections that each worker has had some. */
async function callAll(): Promise<void> {
  const clients = Array.from({ length: 4 * count }, () => createRpcClient(DataService, gateway().address));
  try {
    const answers = await Promise.all(clients.map((client) => client.get({ table: 'pgbench_branches', key: { cells: { bid: { kind: { case: 'int64Value', value: 1n } } } } })));
    expect(answers.map(({ row }) => Object.keys(row?.cells ?? {}).length)).toEqual(clients.map(() => 3));
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}

test('each worker is a gateway; one that is killed is started anew; all end with the process that started them', async () => {
  const { process: main } = gateway();
  await becomes('both workers registered', async () => (await sessions()).size === count);
  const before = await sessions();
  expect([...before.keys()].sort()).toEqual(['gateway-1.1', 'gateway-1.2']);
  await callAll();

  const [first = 0, second = 0] = await workersOf(main.processId);
  process.kill(first, 'SIGKILL');
  // Connections that it had been given are lost with it; from here on nobody is given to it.
  await becomes('its end', async () => !(await workersOf(main.processId)).includes(first));
  await callAll();
  await becomes('another worker in its place', async () => {
    const workers = await workersOf(main.processId);
    return workers.length === count && workers.includes(second) && !workers.includes(first);
  });
  await becomes('it registered in the place of the other', async () => {
    const now = await sessions();
    return now.size === count && [...now].filter(([id, session]) => before.get(id) !== session).length === 1;
  });
  await callAll();

  const last = await workersOf(main.processId);
  await main.terminate();
  for (const processId of last) expect(() => process.kill(processId, 0)).toThrow('ESRCH');
  expect(await sessions()).toEqual(new Map());
}, 120_000);

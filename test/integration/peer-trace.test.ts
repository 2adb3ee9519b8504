import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { OtlpReceiver } from '../support/otlp/otlp-receiver.ts';
import { findFreePorts } from '../support/servers/free-port.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* A call of the new platform that the old one answers is one trace, and the old one counts it as its peer's. */

let receiver: OtlpReceiver;
let folder: string;
let metricsAddress: string;
let oldPlatform: KeyspaceCluster;
let newPlatform: KeyspaceCluster;

beforeAll(async () => {
  receiver = await OtlpReceiver.start();
  const otlpEndpoint = receiver.endpoint;
  folder = await mkdtemp(join(tmpdir(), 'switchyard-peer-trace-'));
  const path = join(folder, 'shop.db');
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL; CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT) STRICT; INSERT INTO item VALUES (1, 'one')`);
  database.close();
  const [peersPort, metricsPort] = await findFreePorts(2);
  metricsAddress = `127.0.0.1:${metricsPort}`;
  const moreEnv = { PEER: 'secret-of-the-new-platform' };
  oldPlatform = await KeyspaceCluster.start({
    keyspaces: [{ name: 'shop', shards: [{ kind: 'sqlite', path }] }],
    gatewaySettings: { otlpEndpoint, metrics: metricsAddress, peers: [{ name: 'new', gateway: 'env:PEER' }], peersHttp: `127.0.0.1:${peersPort}` },
    moreEnv,
  });
  const by = { user: 'new', password: 'env:PEER' };
  const behind = (kind: string, gateway: string) => ({
    name: kind,
    shards: [{ kind, gateways: [gateway], control: [oldPlatform.controls[0]?.address ?? ''], keyspace: 'shop', gateway: by, player: by, owner: by }],
  });
  newPlatform = await KeyspaceCluster.start({
    gatewaySettings: { otlpEndpoint },
    keyspaces: [behind('grpc', oldPlatform.gateways[0]?.address ?? ''), behind('http', `127.0.0.1:${peersPort}`)],
    moreEnv,
  });
}, 120_000);

afterAll(async () => {
  await newPlatform?.[Symbol.asyncDispose]();
  await oldPlatform?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test.each(['grpc', 'http'])(
  'over %s',
  async (kind) => {
    const client = newPlatform.client(DataService, newPlatform.gateways[0]?.address ?? '');
    const { row } = await client.get({ table: `${kind}.item`, key: { cells: { id: { kind: { case: 'int64Value', value: 1n } } } } });
    expect(row?.cells.name?.kind.value).toBe('one');
    const [asked, answered] = await waitUntil('both spans', { limitMs: 30_000, everyMs: 100 }, async () => {
      const ofCaller = receiver.spans.find(({ name, attributes }) => name === 'switchyard.data.v1.DataService/Get' && attributes['db.collection.name'] === `${kind}.item`);
      const ofPeer = receiver.spans.find(({ name, traceId }) => name === 'switchyard.store.v1.DataStoreService/Get' && traceId === ofCaller?.traceId);
      return ofCaller === undefined || ofPeer === undefined ? undefined : ([ofCaller, ofPeer] as const);
    });
    expect(answered.parentSpanId).toBe(asked.spanId);
    expect(answered.attributes).toMatchObject({ 'rpc.system.name': kind, 'switchyard.peer': 'new' });
    const metrics = await (await fetch(`http://${metricsAddress}/metrics`)).text();
    expect(metrics).toMatch(/switchyard_peer_calls_total\{peer="new",method="Get",code="OK",reason=""\} [12]/);
    expect(metrics).toMatch(/switchyard_peer_call_duration_seconds_count\{method="Get"\} [12]/);
  },
  60_000,
);

import { fileURLToPath } from 'node:url';
import { create, fromBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { Client, credentials } from '@grpc/grpc-js';
import { channelOptions } from '../../../client/rpc-client.ts';
import { rpcMethodDefinition } from '../../../core/rpc-definition.ts';
import { DataService, StreamQueryRequestSchema, StreamQueryResponseSchema } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import { RowSchema } from '../../../gen/switchyard/data/v1/value_pb.ts';
import { type Cluster, startCluster } from '../../support/cluster/cluster.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { httpSubject } from '../http/http-subject.ts';
import { describeMachine } from '../machine.ts';
import { startEcho } from '../overhead/echo.ts';
import { median } from '../overhead/measure.ts';
import { concurrencies, failuresOf, ratiosOf, runRounds, totalsOf } from '../overhead/rounds.ts';
import { rpcSubject } from '../overhead/subjects.ts';
import { Direct } from './direct.ts';
import { memoryMiB, pin } from './pinning.ts';

const echoOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Whoever is measured has this processor to itself; callers and the store have the other one. */
const subjectProcessor = '0';
const otherProcessors = '1';
const poolSize = 16;

const sizes = {
  whole: { scale: 10, rounds: 7, milliseconds: 1_500, streams: 3 },
  short: { scale: 1, rounds: 2, milliseconds: 300, streams: 1 },
} as const;
const { whole } = sizes;

interface Streamed {
  readonly rowsPerSecond: number;
  /** Of the gateway, at most, while it streamed. */
  readonly growthMiB: number;
}

/** Rows of a piece, and the keys of its first and last row. The others are only counted: the caller shares a processor with the store, and would be what is measured. */
function look(piece: Buffer): { readonly rows: number; readonly first: bigint; readonly last: bigint } {
  const reader = new BinaryReader(piece);
  const keyOf = (bytes: Uint8Array): bigint => {
    const kind = fromBinary(RowSchema, bytes).cells.aid?.kind;
    return kind?.case === 'int64Value' ? kind.value : 0n;
  };
  let rows = 0;
  let first: Uint8Array | null = null;
  let last: Uint8Array | null = null;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field !== StreamQueryResponseSchema.field.rows.number) {
      reader.skip(type, field);
      continue;
    }
    last = reader.bytes();
    first ??= last;
    rows += 1;
  }
  return { rows, first: first === null ? 0n : keyOf(first), last: last === null ? 0n : keyOf(last) };
}

async function streamThrough(cluster: Cluster, rows: number): Promise<Streamed> {
  const [gateway] = cluster.gateways;
  const processId = gateway?.process.processId ?? 0;
  const { path, requestSerialize } = rpcMethodDefinition(DataService.method.streamQuery);
  const client = new Client(gateway?.address ?? '', credentials.createInsecure(), channelOptions);
  try {
    const before = await memoryMiB(processId);
    let most = before;
    let seen = 0;
    let last = 0n;
    const begunMs = performance.now();
    const call = client.makeServerStreamRequest(path, requestSerialize, (bytes: Buffer) => bytes, create(StreamQueryRequestSchema, { table: 'pgbench_accounts' }));
    for await (const piece of call as AsyncIterable<Buffer>) {
      const looked = look(piece);
      if (looked.rows > 0 && looked.first <= last) throw new Error(`account ${looked.first} came behind ${last}`);
      if (looked.rows > 0) last = looked.last;
      seen += looked.rows;
      most = Math.max(most, await memoryMiB(processId));
    }
    if (seen !== rows) throw new Error(`the stream had ${seen} rows, not ${rows}`);
    return { rowsPerSecond: Math.round((seen * 1_000) / (performance.now() - begunMs)), growthMiB: Math.round(most - before) };
  } finally {
    client.close();
  }
}

async function run({ options, say }: BenchContext): Promise<BenchResult> {
  const size = options.short === true ? sizes.short : whole;
  const number = (name: keyof typeof whole): number => Number(options[name] ?? size[name]);
  const config = { scale: number('scale'), rounds: number('rounds'), milliseconds: number('milliseconds'), streams: number('streams') };
  const accounts = config.scale * 100_000;
  await using cluster = await startCluster({ gateways: 1, controls: 1, scale: config.scale, http: true, gatewaySettings: { pool: { size: poolSize } }, say });
  using grpcEcho = await startEcho(echoOf('../overhead/echo-server.ts'));
  using jsonEcho = await startEcho(echoOf('../http/json-echo-server.ts'));
  const url = cluster.old.url(cluster.database, cluster.logins.gateway);
  await using direct = await Direct.start({ url, poolSize, accounts });
  const [gateway] = cluster.gateways;
  if (gateway === undefined || gateway.httpAddress === null) throw new Error('the cluster has no gateway that serves HTTP');
  await pin(process.pid, otherProcessors);
  for (const processId of [gateway.process.processId, grpcEcho.processId, jsonEcho.processId, direct.processId]) await pin(processId, subjectProcessor);

  const connections = Math.max(...concurrencies);
  await using echoSubject = rpcSubject('echo', grpcEcho.address, accounts);
  await using grpc = rpcSubject('grpc', gateway.address, accounts);
  await using jsonEchoSubject = httpSubject('json-echo', jsonEcho.address, accounts, connections);
  await using http = httpSubject('http', gateway.httpAddress, accounts, connections);
  const runs = await runRounds([echoSubject, grpc, jsonEchoSubject, http, direct.subject], config, say);
  const totals = totalsOf(runs);

  const streamed: Streamed[] = [];
  const straight: number[] = [];
  for (let round = 1; round <= config.streams; round += 1) {
    say(`stream ${round} of ${config.streams}`);
    streamed.push(await streamThrough(cluster, accounts));
    const { rows, seconds } = await direct.stream(url, 'SELECT * FROM pgbench_accounts ORDER BY aid');
    straight.push(Math.round(rows / seconds));
  }
  const share = (a: number, b: number): number => Math.round((a / b) * 1_000) / 1_000;
  const middle = (name: string): number => totals[name]?.medianUs ?? Number.NaN;
  const aims = {
    'Get over gRPC, share of the echo (at least 0.75)': ratiosOf(runs, config.rounds, 'grpc', ['echo'])['get x64 throughput grpc/echo'] ?? 0,
    'Get over gRPC, share of pg (aim 0.6)': ratiosOf(runs, config.rounds, 'grpc', ['pg'])['get x64 throughput grpc/pg'] ?? 0,
    'Get over HTTP, share of the JSON echo (at least 0.4)': ratiosOf(runs, config.rounds, 'http', ['json-echo'])['get x64 throughput http/json-echo'] ?? 0,
    'Insert over gRPC, share of pg (at least 0.6)': ratiosOf(runs, config.rounds, 'grpc', ['pg'])['insert x64 throughput grpc/pg'] ?? 0,
    'Get x1, median added to pg, ms (at most 0.6)': share(middle('grpc get x1') - middle('pg get x1'), 1_000),
    'Insert x1, median added to pg, ms (at most 0.6)': share(middle('grpc insert x1') - middle('pg insert x1'), 1_000),
    'StreamQuery, share of pg-query-stream (at least 0.5)': share(median(streamed.map(({ rowsPerSecond }) => rowsPerSecond)), median(straight)),
    'StreamQuery, growth of the gateway, MiB (below 100)': Math.max(...streamed.map(({ growthMiB }) => growthMiB)),
  };
  return {
    name: 'api',
    machine: describeMachine(),
    config: { ...config, concurrencies, keys: accounts, poolSize },
    totals: { ...totals, stream: { rowsPerSecond: streamed.map(({ rowsPerSecond }) => rowsPerSecond), straight } },
    ratios: aims,
    runs,
    violations: failuresOf(totals),
  };
}

/** What the data API costs beside what a service would use instead, each with one processor to itself. */
export const apiBench: Bench = {
  name: 'api',
  summary: 'Get, Insert and StreamQuery beside bare echoes and the direct driver, each pinned to one processor, callers and store to the other',
  options: [
    { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each, keys are uniform over all", default: whole.scale },
    { flags: '--rounds <n>', summary: 'rounds over all subjects; medians of them are shown', default: whole.rounds },
    { flags: '--milliseconds <n>', summary: 'time of one phase', default: whole.milliseconds },
    { flags: '--streams <n>', summary: 'how often the whole table is streamed', default: whole.streams },
    { flags: '--short', summary: 'a minute or two: scale 1, 2 short rounds' },
  ],
  run,
};

import { fileURLToPath } from 'node:url';
import { startCluster } from '../../support/cluster/cluster.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { describeMachine } from '../machine.ts';
import { startEcho } from '../overhead/echo.ts';
import { concurrencies, failuresOf, ratiosOf, runRounds, totalsOf } from '../overhead/rounds.ts';
import { rpcSubject } from '../overhead/subjects.ts';
import { httpSubject } from './http-subject.ts';

const echoServer = fileURLToPath(new URL('./json-echo-server.ts', import.meta.url));
const sizes = {
  whole: { scale: 10, rounds: 7, milliseconds: 1_500 },
  short: { scale: 1, rounds: 3, milliseconds: 300 },
} as const;
const { whole } = sizes;

async function run({ options, say }: BenchContext): Promise<BenchResult> {
  const size = options.short === true ? sizes.short : whole;
  const number = (name: keyof typeof whole): number => Number(options[name] ?? size[name]);
  const config = { scale: number('scale'), rounds: number('rounds'), milliseconds: number('milliseconds') };
  const accounts = config.scale * 100_000;
  const connections = Math.max(...concurrencies);
  await using cluster = await startCluster({ gateways: 1, controls: 1, scale: config.scale, http: true, say });
  using echo = await startEcho(echoServer);
  const [gateway] = cluster.gateways;
  if (gateway === undefined || gateway.httpAddress === null) throw new Error('the cluster has no gateway that serves HTTP');
  await using echoSubject = httpSubject('json-echo', echo.address, accounts, connections);
  await using overHttp = httpSubject('http', gateway.httpAddress, accounts, connections);
  await using overGrpc = rpcSubject('grpc', gateway.address, accounts);
  const runs = await runRounds([echoSubject, overHttp, overGrpc], config, say);
  const totals = totalsOf(runs);
  const ratios = ratiosOf(runs, config.rounds, 'http', ['json-echo', 'grpc']);
  return { name: 'http', machine: describeMachine(), config: { ...config, concurrencies, keys: accounts }, totals, ratios, runs, violations: failuresOf(totals) };
}

/** What the JSON door costs beside gRPC and beside a bare JSON server. */
export const httpBench: Bench = {
  name: 'http',
  summary: 'Get and Insert over HTTP beside gRPC and beside a bare node:http JSON echo',
  options: [
    { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each, keys are uniform over all", default: whole.scale },
    { flags: '--rounds <n>', summary: 'rounds over all subjects; medians of them are shown', default: whole.rounds },
    { flags: '--milliseconds <n>', summary: 'time of one phase', default: whole.milliseconds },
    { flags: '--short', summary: 'a minute at most: scale 1, 3 short rounds' },
  ],
  run,
};

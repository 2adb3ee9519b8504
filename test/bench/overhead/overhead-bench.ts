import { fileURLToPath } from 'node:url';
import { startCluster } from '../../support/cluster/cluster.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { describeMachine } from '../machine.ts';
import { startEcho } from './echo.ts';
import { concurrencies, failuresOf, ratiosOf, runRounds, totalsOf } from './rounds.ts';
import { pgSubject, rpcSubject } from './subjects.ts';

interface Config {
  readonly scale: number;
  readonly rounds: number;
  readonly milliseconds: number;
  readonly poolSize: number;
  readonly durable: boolean;
}

const echoServer = fileURLToPath(new URL('./echo-server.ts', import.meta.url));

const sizes = {
  whole: { scale: 10, rounds: 7, milliseconds: 1_500, pool: 16 },
  short: { scale: 1, rounds: 3, milliseconds: 300, pool: 16 },
} as const;
const { whole } = sizes;

function configOf({ options }: BenchContext): Config {
  const size = options.short === true ? sizes.short : whole;
  const number = (name: keyof typeof whole): number => Number(options[name] ?? size[name]);
  return { scale: number('scale'), rounds: number('rounds'), milliseconds: number('milliseconds'), poolSize: number('pool'), durable: options.durable === true };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const config = configOf(context);
  const accounts = config.scale * 100_000;
  await using cluster = await startCluster({ gateways: 1, controls: 1, scale: config.scale, durable: config.durable, say: context.say });
  using echo = await startEcho(echoServer);
  const gateway = cluster.gateways[0];
  if (gateway === undefined) throw new Error('the cluster has no gateway');
  await using bareSubject = rpcSubject('echo', echo.address, accounts);
  await using gatewaySubject = rpcSubject('gateway', gateway.address, accounts);
  await using directSubject = pgSubject(cluster.old.url(cluster.database, cluster.logins.gateway), config.poolSize, accounts);
  const runs = await runRounds([bareSubject, gatewaySubject, directSubject], config, context.say);
  const totals = totalsOf(runs);
  const ratios = ratiosOf(runs, config.rounds, 'gateway', ['echo', 'pg']);
  return { name: 'overhead', machine: describeMachine(), config: { ...config, concurrencies, keys: accounts }, totals, ratios, runs, violations: failuresOf(totals) };
}

/** What a call through the gateway costs beside the bare transport and beside the bare store. */
export const overheadBench: Bench = {
  name: 'overhead',
  summary: "the gateway's Get and Insert beside a bare grpc-js echo of the same messages and beside the same statements straight through pg",
  options: [
    { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each, keys are uniform over all", default: whole.scale },
    { flags: '--rounds <n>', summary: 'rounds over all subjects; medians of them are shown', default: whole.rounds },
    { flags: '--milliseconds <n>', summary: 'time of one phase', default: whole.milliseconds },
    { flags: '--pool <n>', summary: "connections of the direct driver's pool", default: whole.pool },
    { flags: '--durable', summary: 'the store waits for the disk at every commit' },
    { flags: '--short', summary: 'a minute at most: scale 1, 3 short rounds' },
  ],
  run,
};

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startCluster } from '../../support/cluster/cluster.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { describeMachine } from '../machine.ts';
import { type Measured, measure, median } from './measure.ts';
import { type OperationName, pgSubject, rpcSubject, type Subject } from './subjects.ts';

interface Config {
  readonly scale: number;
  readonly rounds: number;
  readonly milliseconds: number;
  readonly poolSize: number;
  readonly durable: boolean;
}

interface Run extends Measured {
  readonly round: number;
  readonly subject: Subject['name'];
  readonly operation: OperationName;
  readonly concurrency: number;
}

const concurrencies = [1, 64];
const operations: readonly OperationName[] = ['get', 'insert'];
const echoServer = fileURLToPath(new URL('./echo-server.ts', import.meta.url));
const startLimitMs = 10_000;

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

async function startEcho(): Promise<{ readonly address: string } & Disposable> {
  const child = fork(echoServer, [], { execArgv: ['--disable-warning=ExperimentalWarning'] });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('message', (message: { port: number }) => resolve(message.port));
  child.once('exit', (code) => reject(new Error(`the echo server ended with ${code}`)));
  const timer = setTimeout(() => reject(new Error('the echo server did not start')), startLimitMs);
  const port = await promise.finally(() => clearTimeout(timer));
  return { address: `127.0.0.1:${port}`, [Symbol.dispose]: () => child.kill('SIGKILL') };
}

/** Every subject, operation and concurrency in turn, round after round, so that what the machine does meanwhile meets all alike. */
async function runRounds(subjects: readonly Subject[], config: Config, say: BenchContext['say']): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for (let round = 0; round <= config.rounds; round += 1) {
    say(round === 0 ? 'warming up' : `round ${round} of ${config.rounds}`);
    for (const concurrency of concurrencies)
      for (const operation of operations)
        for (const subject of subjects) {
          const measured = await measure(subject.operations[operation], concurrency, config.milliseconds);
          if (round > 0) runs.push({ round, subject: subject.name, operation, concurrency, ...measured });
        }
  }
  return runs;
}

function totalsOf(runs: readonly Run[]): Record<string, Measured> {
  const totals: Record<string, Measured> = {};
  for (const { subject, operation, concurrency } of runs) {
    const name = `${subject} ${operation} x${concurrency}`;
    const same = runs.filter((run) => run.subject === subject && run.operation === operation && run.concurrency === concurrency);
    const middle = (pick: (run: Run) => number): number => median(same.map(pick));
    totals[name] ??= {
      perSecond: middle((run) => run.perSecond),
      medianUs: middle((run) => run.medianUs),
      p99Us: middle((run) => run.p99Us),
      errors: same.reduce((sum, run) => sum + run.errors, 0),
    };
  }
  return totals;
}

/** How many times longer the gateway's median call takes, and what share of the throughput it reaches: the median over the rounds, each round against itself. */
function ratiosOf(runs: readonly Run[], rounds: number): Record<string, number> {
  const ratios: Record<string, number> = {};
  const pick = (subject: string, operation: string, concurrency: number, round: number): Run | undefined =>
    runs.find((run) => run.subject === subject && run.operation === operation && run.concurrency === concurrency && run.round === round);
  for (const operation of operations)
    for (const concurrency of concurrencies)
      for (const other of ['echo', 'pg']) {
        const pairs = Array.from({ length: rounds }, (_, i) => [pick('gateway', operation, concurrency, i + 1), pick(other, operation, concurrency, i + 1)] as const);
        const over = (of: (run: Run) => number): number =>
          Math.round(median(pairs.flatMap(([a, b]) => (a === undefined || b === undefined ? [] : [of(a) / of(b)]))) * 1_000) / 1_000;
        ratios[`${operation} x${concurrency} latency gateway/${other}`] = over((run) => run.medianUs);
        ratios[`${operation} x${concurrency} throughput gateway/${other}`] = over((run) => run.perSecond);
      }
  return ratios;
}

async function run(context: BenchContext): Promise<BenchResult> {
  const config = configOf(context);
  const accounts = config.scale * 100_000;
  await using cluster = await startCluster({ gateways: 1, controls: 1, scale: config.scale, durable: config.durable, say: context.say });
  using echo = await startEcho();
  const gateway = cluster.gateways[0];
  if (gateway === undefined) throw new Error('the cluster has no gateway');
  await using bareSubject = rpcSubject('echo', echo.address, accounts);
  await using gatewaySubject = rpcSubject('gateway', gateway.address, accounts);
  await using directSubject = pgSubject(cluster.old.url(cluster.database, cluster.logins.gateway), config.poolSize, accounts);
  const runs = await runRounds([bareSubject, gatewaySubject, directSubject], config, context.say);
  const totals = totalsOf(runs);
  const violations = Object.entries(totals).flatMap(([name, { errors }]) => (errors > 0 ? [`${errors} calls of ${name} failed`] : []));
  return { name: 'overhead', machine: describeMachine(), config: { ...config, concurrencies, keys: accounts }, totals, ratios: ratiosOf(runs, config.rounds), runs, violations };
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

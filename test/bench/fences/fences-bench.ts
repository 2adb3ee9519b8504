import { postgresBackend } from '../../../backends/postgres/backend.ts';
import type { FenceScope, FenceSession } from '../../../backends/backend.ts';
import { attempt } from '../../../core/ids.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { type PostgresServer, startPostgres } from '../../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../../support/servers/shop.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { describeMachine } from '../machine.ts';

const sizes = {
  whole: { tables: 300, rounds: 15 },
  short: { tables: 30, rounds: 3 },
} as const;
const limitMs = 10_000;
const never = (): AbortSignal => AbortSignal.timeout(120_000);

/** One step, so many times over so many tables. Milliseconds. */
interface StepRun {
  readonly tables: number;
  readonly step: string;
  readonly medianMs: number;
  readonly mostMs: number;
}

async function run({ options, say }: BenchContext): Promise<BenchResult> {
  const size = options.short === true ? sizes.short : sizes.whole;
  const config = { tables: Number(options.tables ?? size.tables), rounds: Number(options.rounds ?? size.rounds) };
  await using server = await startPostgres({ name: 'fences', settings: { max_locks_per_transaction: '256' }, durable: true });
  const runs: StepRun[] = [];
  for (const count of [1, 10, 100, 300].filter((each) => each < config.tables).concat(config.tables)) {
    say(`${count} tables`);
    runs.push(...(await measure(server, count, config.rounds)));
  }
  const first = (count: number): number => runs.find(({ tables, step }) => tables === count && step === 'fence, first')?.medianMs ?? Number.NaN;
  const ratio = Math.round((first(config.tables) / first(1)) * 10) / 10;
  return { name: 'fences', machine: describeMachine(), config, totals: {}, ratios: { [`first fence of ${config.tables} tables to that of one`]: ratio }, runs, violations: [] };
}

/** Every round has fresh tables: the first fence switches their triggers on, which the later ones find done. */
async function measure(server: PostgresServer, count: number, rounds: number): Promise<readonly StepRun[]> {
  const times = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    const database = `fences_${count}_${round}`;
    await createShop(server, { tables: false, database });
    for (const [step, ms] of await timeSteps(server, database, count)) times.set(step, [...(times.get(step) ?? []), ms]);
    await server.psql('postgres', `DROP DATABASE ${database} WITH (FORCE);`);
  }
  return [...times].map(([step, all]) => {
    const sorted = all.toSorted((a, b) => a - b);
    return { tables: count, step, medianMs: rounded(sorted[Math.floor(sorted.length / 2)]), mostMs: rounded(sorted.at(-1)) };
  });
}

/** What each step of one hold took, in ms. */
async function timeSteps(server: PostgresServer, database: string, count: number): Promise<readonly (readonly [step: string, ms: number])[]> {
  const tables = Array.from({ length: count }, (_, i) => `t${i}`);
  const scope: FenceScope = { workflow: 'move', peer: 'new', tables };
  const shard = shardOf(server, database);
  await server.psql(database, tables.map((table) => `CREATE TABLE ${table} (id bigint PRIMARY KEY, value text);`).join('\n'), { login: SHOP_LOGINS.owner });
  await server.psql(database, postgresBackend.grantScript(shard, []));
  await using owner = postgresBackend.openOwner({
    shard,
    password: SHOP_LOGINS.owner.password,
    poolSize: 2,
    acquireTimeoutMs: 5_000,
    keyspace: 'old',
    openedBy: 'a bench',
    applicationName: 'fences',
    clock: systemClock,
    onBackgroundError: () => {},
  });
  await owner.install(never());
  await owner.claim(scope, 'source', never());
  await using session = await owner.openFence(scope, never());
  const times: (readonly [string, number])[] = [];
  for (const [step, act] of steps(session)) {
    const begunMs = performance.now();
    await act();
    times.push([step, performance.now() - begunMs]);
  }
  return times;
}

const steps = (session: FenceSession): readonly (readonly [string, () => Promise<void>])[] => [
  ['fence, first', () => session.fence(attempt(1), limitMs, never())],
  ['abort', () => session.abort(attempt(1), never())],
  ['fence, again', () => session.fence(attempt(2), limitMs, never())],
  ['commit', () => session.commit(attempt(2), never())],
  ['close', () => session.close(attempt(2), never())],
];

const rounded = (ms: number | undefined): number => Math.round((ms ?? Number.NaN) * 100) / 100;

function shardOf(server: PostgresServer, database: string): ServerShard {
  const by = (user: string) => ({ user, password: 'env:UNUSED' });
  const { gateway, player, owner } = SHOP_LOGINS;
  return { kind: 'postgres', host: server.host, port: server.port, database, gateway: by(gateway.user), player: by(player.user), owner: by(owner.user) };
}

/** How the source's steps of a hold grow with the number of tables. */
export const fencesBench: Bench = {
  name: 'fences',
  summary: 'fence, abort, commit and close over one to hundreds of tables of a PostgreSQL store',
  options: [
    { flags: '--tables <n>', summary: 'most tables of one workflow', default: sizes.whole.tables },
    { flags: '--rounds <n>', summary: 'rounds, each with fresh tables; medians of them are shown', default: sizes.whole.rounds },
    { flags: '--short', summary: 'few tables, 3 rounds' },
  ],
  run,
};

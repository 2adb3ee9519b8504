import { WorkflowService, type Verification } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { type Cluster, startCluster } from '../../support/cluster/cluster.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { startMove, workflowName } from '../cutover/bench-move.ts';
import { describeMachine } from '../machine.ts';
import { faultKinds, fillText, plantText, tableText } from './planted-faults.ts';
import { SteadyWriter } from './steady-writer.ts';

const sizes = {
  whole: { scale: 10, rows: 100_000, faults: 100, seconds: 300, writes: 1_000 },
  short: { scale: 1, rows: 10_000, faults: 30, seconds: 10, writes: 200 },
} as const;
const { whole } = sizes;
const verifyLimitMs = 3_600_000;
const tables = ['pgbench_accounts', 'verified'];

interface VerifyRun {
  readonly what: string;
  readonly rows: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
  readonly differences: number;
  readonly repaired: number;
}

async function run({ options, say }: BenchContext): Promise<BenchResult> {
  const size = options.short === true ? sizes.short : whole;
  const number = (name: keyof typeof whole): number => Number(options[name] ?? size[name]);
  const config = { scale: number('scale'), rows: number('rows'), faults: number('faults'), seconds: number('seconds'), writes: number('writes') };
  const all = config.scale * 100_000 + config.rows;
  // Rows in the first half are written to, those in the second differ.
  const half = Math.floor(config.rows / 2);
  await using cluster = await startCluster({ gateways: 1, controls: 1, scale: config.scale, say });
  const owner = { login: cluster.logins.owner, timeoutMs: 600_000 };
  await cluster.old.psql(cluster.database, tableText + fillText(config.rows), owner);
  await cluster.new.psql(cluster.database, "CREATE TYPE mood AS ENUM ('calm', 'so so');", owner);
  await cluster.grant();
  await startMove(cluster, null, tables);

  const runs: VerifyRun[] = [];
  const violations: string[] = [];
  const verify = async (what: string, expected: { readonly differences: number; readonly repaired: number }, repair = false): Promise<void> => {
    const found = await verification(cluster, repair);
    const seconds = Number(found.durationMs) / 1_000;
    const rows = Number(found.rowsCompared);
    const [differences, repaired] = [Number(found.differences), Number(found.repaired)];
    runs.push({ what, rows, seconds, rowsPerSecond: Math.round(rows / seconds), differences, repaired });
    say(`${what}: ${rows} rows in ${seconds} s, ${differences} differ, ${repaired} repaired`);
    if (rows !== all) violations.push(`${what}: ${rows} rows were compared, not ${all}`);
    if (differences !== expected.differences || repaired !== expected.repaired)
      violations.push(`${what}: ${differences} rows differ and ${repaired} were repaired, not ${expected.differences} and ${expected.repaired}: ${sampleText(found)}`);
  };
  const clean = { differences: 0, repaired: 0 };
  await verify('quiet', clean);
  const [gateway] = cluster.gateways;
  const begunMs = performance.now();
  let written = 0;
  {
    await using writer = new SteadyWriter(gateway?.address ?? '', { table: 'old.verified', column: 'n64', rows: half, perSecond: config.writes });
    do await verify('under writes', clean);
    while (performance.now() - begunMs < config.seconds * 1_000);
    // Nobody else may write the copy.
    await cluster.new.psql(cluster.database, plantText(config.faults, half), { login: cluster.logins.player });
    await verify(`${config.faults} planted faults, under writes`, { differences: config.faults, repaired: 0 });
    await verify('their repair, under writes', { differences: 0, repaired: config.faults }, true);
    await verify('after the repair, under writes', clean);
    written = Math.round((writer.done * 1_000) / (performance.now() - begunMs));
  }
  const ofKind = (prefix: string): readonly number[] => runs.filter(({ what }) => what.startsWith(prefix)).map(({ rowsPerSecond }) => rowsPerSecond);
  const [quiet = 0] = ofKind('quiet');
  const slowest = Math.min(...ofKind('under writes'));
  return {
    name: 'verify',
    machine: describeMachine(),
    config: { ...config, kinds: faultKinds.map(({ name }) => name) },
    totals: { quietRowsPerSecond: quiet, slowestRowsPerSecondUnderWrites: slowest, writesPerSecond: written },
    ratios: { 'slowest under writes to quiet': Math.round((slowest / quiet) * 100) / 100 },
    runs,
    violations,
  };
}

async function verification(cluster: Cluster, repair: boolean): Promise<Verification> {
  const { workflow } = await cluster.control(WorkflowService, verifyLimitMs).verifyWorkflow({ name: workflowName, repair });
  const result = workflow?.verification;
  if (result === undefined || result.error !== '') throw new Error(`the verification failed: ${result?.error}`);
  return result;
}

const sampleText = ({ sample }: Verification): string =>
  sample.map(({ table, key, what, sourceValue, targetValue }) => `${table} ${key} ${what}: ${sourceValue} | ${targetValue}`).join('; ');

/** How fast whole tables are compared while both sides change, and whether every fault is found and none is made up. */
export const verifyBench: Bench = {
  name: 'verify',
  summary: 'compares all rows of a move, quiet and under writes; planted faults of every kind must all be found and repaired, and none reported that is none',
  options: [
    { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each", default: whole.scale },
    { flags: '--rows <n>', summary: 'rows of a table of every type', default: whole.rows },
    { flags: '--faults <n>', summary: 'faults that are planted', default: whole.faults },
    { flags: '--seconds <n>', summary: 'how long it is compared again and again under writes', default: whole.seconds },
    { flags: '--writes <n>', summary: 'writes per second meanwhile', default: whole.writes },
    { flags: '--short', summary: 'a minute or two' },
  ],
  run,
};

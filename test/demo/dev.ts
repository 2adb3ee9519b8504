import { join, resolve } from 'node:path';
import { movedTables } from '../bench/cutover/bench-move.ts';
import { startCluster } from '../support/cluster/cluster.ts';
import type { Stage } from './demo.ts';
import type { Screen } from './screen.ts';

const root = resolve(import.meta.dirname, '../..');

/** Starts the demo's set-up and leaves it open until Ctrl-C, with what to try next. Everything ends with this process. */
export async function runDev(screen: Screen, stage: Stage): Promise<void> {
  screen.say('starting …');
  await using cluster = await startCluster({ gateways: 2, controls: 2, scale: 1, stores: { old: stage.old, new: stage.new }, topology: stage.topology, http: true });
  const [gateway] = cluster.gateways;
  const [control] = cluster.controls;
  screen.say(
    [
      '',
      ...Object.entries(cluster.stores).map(([name, { title, shard }]) => `  keyspace ${name}   ${title}, ${shard.path ?? `${shard.host}:${shard.port}/${shard.database}`}`),
      ...cluster.gateways.map(({ address, httpAddress }, index) => `  gateway-${index + 1}      gRPC ${address}, HTTP http://${httpAddress}`),
      ...cluster.controls.map(({ address }, index) => `  control-${index + 1}      ${address}`),
      `  topology       ${stage.topology}, ${cluster.consul.address}`,
      '',
      'Try, in another terminal:',
      `  export PATH="${join(root, 'cli/bin')}:$PATH" SWITCHYARD_CONTROL=${control?.address}`,
      `  curl http://${gateway?.httpAddress}/v1/tables/pgbench_accounts/rows/1`,
      `  switchyard movetables create first --source old --target new --tables ${movedTables.join(',')}`,
      '  switchyard movetables verify first',
      '  switchyard movetables switch-traffic first',
      '  switchyard doctor',
      '',
      'It stays until Ctrl-C, and leaves nothing.',
    ].join('\n'),
  );
  // Waiting for a signal alone keeps no process alive.
  const awake = setInterval(() => {}, 3_600_000);
  // Ctrl-C may come twice, from the terminal and from the command that started this process: both are one order, and what was started ends in peace.
  await new Promise<void>((told) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => told());
  });
  clearInterval(awake);
  screen.say('ending …');
}

import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { backends } from '../backends/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { abandonedBy, terminationOf } from '../runtime/lifecycle.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { readProcessConfig, startFailure } from '../runtime/process-options.ts';
import { startTracing } from '../runtime/tracing.ts';
import { openConfiguredTopology } from '../topo/configured-topology.ts';
import { type GatewayConfig, gatewayConfigSchema, gatewayOptions, workerConfig } from './config.ts';
import { startGateway } from './gateway.ts';
import { superviseWorkers } from './workers.ts';

/** Serves until the first SIGTERM or SIGINT, then drains. */
async function main(): Promise<void> {
  const config = await readProcessConfig({ name: 'gateway', schema: gatewayConfigSchema, options: gatewayOptions }, process.argv.slice(2), (text) => process.stdout.write(text));
  if (config === null) return;
  const log = createLogger('gateway', config.logLevel);
  const terminated = terminationOf(process);
  const worker = Number(process.env.SWITCHYARD_WORKER ?? 0);
  if (config.workers > 1 && worker === 0) {
    const start = (number: number) => fork(import.meta.filename, process.argv.slice(2), { env: { ...process.env, SWITCHYARD_WORKER: String(number) } });
    if (!(await superviseWorkers(config, { start, clock: systemClock, log, terminated }))) process.exitCode = 1;
    return;
  }
  if (worker === 0) await serve(config, log, terminated);
  else await serve(workerConfig(config, worker), log, Promise.race([terminated, abandonedBy(process)]));
}

async function serve(config: GatewayConfig, log: Logger, terminated: Promise<NodeJS.Signals>): Promise<void> {
  await using _tracing = await startTracing({ serviceName: 'switchyard-gateway', otlpEndpoint: config.otlpEndpoint, log });
  await using topology = await openConfiguredTopology(config, { clock: systemClock, log, newNonce: randomUUID, env: process.env });
  await using _gateway = await startGateway(config, { topology, backends, clock: systemClock, log, newId: randomUUID, env: process.env });
  log.info({ signal: await terminated }, 'told to stop');
}

try {
  await main();
} catch (error) {
  const failure = startFailure('gateway', error);
  process.stderr.write(failure.text);
  process.exitCode = failure.exitCode;
}

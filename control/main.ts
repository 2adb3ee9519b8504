import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { backends } from '../backends/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { terminationOf } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { readProcessConfig, startFailure } from '../runtime/process-options.ts';
import { startTracing } from '../runtime/tracing.ts';
import { openConfiguredTopology } from '../topo/configured-topology.ts';
import { controlConfigSchema, controlOptions } from './config.ts';
import { startControl } from './control.ts';

/** Works until the first SIGTERM or SIGINT, then hands its workflows over. */
async function main(): Promise<void> {
  const config = await readProcessConfig({ name: 'control', schema: controlConfigSchema, options: controlOptions }, process.argv.slice(2), (text) => process.stdout.write(text));
  if (config === null) return;
  const log = createLogger('control', config.logLevel);
  const terminated = terminationOf(process);
  await using _tracing = await startTracing({ serviceName: 'switchyard-control', otlpEndpoint: config.otlpEndpoint, log });
  await using topology = await openConfiguredTopology(config, { clock: systemClock, log, newNonce: randomUUID, env: process.env });
  const controlId = config.id ?? `${hostname()}-${randomUUID().slice(0, 8)}`;
  await using _control = await startControl(config, { topology, clock: systemClock, log, newId: randomUUID, controlId, backends, env: process.env });
  log.info({ signal: await terminated }, 'told to stop');
}

try {
  await main();
} catch (error) {
  const failure = startFailure('control', error);
  process.stderr.write(failure.text);
  process.exitCode = failure.exitCode;
}

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { backends } from '../backends/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { ConfigError, loadConfig } from '../runtime/config-file.ts';
import { terminationOf } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { resolveSecret } from '../runtime/secret.ts';
import { startTracing } from '../runtime/tracing.ts';
import { openConsulTopology } from '../topo/consul-topology.ts';
import { controlConfigSchema } from './config.ts';
import { startControl } from './control.ts';

const usage = `switchyard control: runs workflows and serves the control API

  --config <file>        YAML; every flag below wins over it
  --id <name>            this process among the control processes
  --cluster <name>       default "default"
  --listen <host:port>   control API, default 127.0.0.1:7201
  --metrics <host:port>  Prometheus metrics, default 127.0.0.1:7202; "off" for none
  --consul <url>         default http://127.0.0.1:8500
  --log-level <level>    debug, info, warn, error or silent
`;

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { config: text, id: text, cluster: text, listen: text, metrics: text, consul: text, 'log-level': text, help: { type: 'boolean' } },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const overrides = { id: values.id, cluster: values.cluster, listen: values.listen, metrics: values.metrics, consul: values.consul, logLevel: values['log-level'] };
  const config = await loadConfig(values.config ?? null, controlConfigSchema, overrides);
  const log = createLogger('switchyard-control', config.logLevel);
  await using _tracing = await startTracing({ serviceName: 'switchyard-control', otlpEndpoint: config.otlpEndpoint });
  await using topology = openConsulTopology({
    address: config.consul,
    cluster: config.cluster,
    clock: systemClock,
    newNonce: randomUUID,
    onBackgroundError: (error) => log.warn({ err: error }, 'topology'),
    ...(config.consulToken === undefined ? {} : { token: await resolveSecret(config.consulToken, process.env) }),
  });
  const controlId = config.id ?? `${hostname()}-${randomUUID().slice(0, 8)}`;
  await using _control = await startControl(config, { topology, clock: systemClock, log, newId: randomUUID, controlId, backends, env: process.env });
  const signal = await terminationOf(process);
  log.info({ signal }, 'control ends');
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
}

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { backends } from '../backends/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { ConfigError, loadConfig } from '../runtime/config-file.ts';
import { terminationOf } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { resolveSecret } from '../runtime/secret.ts';
import { startTracing } from '../runtime/tracing.ts';
import { openConsulTopology } from '../topo/consul-topology.ts';
import { gatewayConfigSchema } from './config.ts';
import { startGateway } from './gateway.ts';

const usage = `Usage: switchyard gateway [options]

  --config FILE          configuration, YAML or JSON; the options below win over it
  --listen HOST:PORT     where the data API is served (default 127.0.0.1:7101)
  --metrics HOST:PORT    where GET /metrics is served (default: nowhere)
  --consul URL           Consul agent (default http://127.0.0.1:8500)
  --cluster NAME         cluster (default "default")
  --id NAME              name of this gateway (default: gateway- and its address)
  --state-dir DIR        keeps the last good rules, to start with while Consul is away
  --otlp-endpoint URL    sends traces there by OTLP over HTTP (default: no traces)
  --log-level LEVEL      debug, info, warn, error or silent (default info)
  --help                 shows this
`;

const options = {
  config: { type: 'string' },
  listen: { type: 'string' },
  metrics: { type: 'string' },
  consul: { type: 'string' },
  cluster: { type: 'string' },
  id: { type: 'string' },
  'state-dir': { type: 'string' },
  'otlp-endpoint': { type: 'string' },
  'log-level': { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** Serves until the first SIGTERM or SIGINT, then drains. Exit code: 0; 2 for a wrong configuration; 1 for anything else. */
async function main(): Promise<number> {
  const { values } = parseArgs({ args: process.argv.slice(2), options });
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const { config: file, 'state-dir': stateDir, 'log-level': logLevel, 'otlp-endpoint': otlpEndpoint, listen, metrics, consul, cluster, id } = values;
  const telemetry = otlpEndpoint === undefined ? undefined : { otlpEndpoint };
  const config = await loadConfig(file ?? null, gatewayConfigSchema, { listen, metrics, consul, cluster, id, stateDir, logLevel, telemetry });
  const log = createLogger('gateway', config.logLevel);
  const terminated = terminationOf(process);
  await using _tracing = await startTracing({ serviceName: 'switchyard-gateway', otlpEndpoint: config.telemetry.otlpEndpoint ?? null });
  const token = config.consulToken === undefined ? {} : { token: await resolveSecret(config.consulToken, process.env) };
  await using topology = openConsulTopology({
    address: config.consul,
    cluster: config.cluster,
    clock: systemClock,
    newNonce: randomUUID,
    onBackgroundError: (error) => log.warn({ err: error }, 'Consul'),
    ...token,
  });
  await using _gateway = await startGateway(config, { topology, backends, clock: systemClock, log, newId: randomUUID, env: process.env });
  log.info({ signal: await terminated }, 'told to stop');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const known = error instanceof ConfigError || (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  process.stderr.write(known ? `${error.message}\n` : `switchyard gateway: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = known ? 2 : 1;
}

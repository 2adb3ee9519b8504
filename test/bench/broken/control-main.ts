// A test build of control: the product's own parts over stores that behave as a disturbance asks and may lack a safeguard. Takes `--config FILE --disturb SAFEGUARD [--break SAFEGUARD]`.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { backends } from '../../../backends/registry.ts';
import { controlConfigSchema } from '../../../control/config.ts';
import { startControl } from '../../../control/control.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { loadConfig } from '../../../runtime/config-file.ts';
import { terminationOf } from '../../../runtime/lifecycle.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import { type Safeguard, safeguards } from '../cutover/cutover-config.ts';
import { alteredBackend } from './altered-backend.ts';

function safeguard(text: string | undefined): Safeguard | null {
  const found = safeguards.find((known) => known === text);
  if (text !== undefined && found === undefined) throw new Error(`there is no safeguard "${text}"`);
  return found ?? null;
}

const { values } = parseArgs({ options: { config: { type: 'string' }, disturb: { type: 'string' }, break: { type: 'string' } } });
const [disturbance, broken] = [safeguard(values.disturb), safeguard(values.break)];
if (values.config === undefined || disturbance === null) throw new Error('--config and --disturb are required');

const config = await loadConfig(values.config, controlConfigSchema);
const log = createLogger('switchyard-control', config.logLevel);
log.warn({ disturbance, broken }, 'this is a test build of control: not for use');
await using topology = openConsulTopology({
  address: config.consul,
  cluster: config.cluster,
  clock: systemClock,
  newNonce: randomUUID,
  onBackgroundError: (error) => log.warn({ err: error }, 'topology'),
});
const altered = new Map([...backends].map(([kind, backend]) => [kind, alteredBackend(backend, { disturbance, broken, log: (message) => log.warn(message) })]));
await using _control = await startControl(config, {
  topology,
  clock: systemClock,
  log,
  newId: randomUUID,
  controlId: config.id ?? randomUUID(),
  backends: altered,
  env: process.env,
});
await terminationOf(process);

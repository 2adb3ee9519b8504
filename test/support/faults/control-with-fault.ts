// A control process as control/main.ts starts it, but for a step of the cutover after which it kills or freezes itself. Started with --config <file> --faults <folder of the plans>.
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
import { faultOnStep } from './fault-plan.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { config: text, faults: text } });
if (values.faults === undefined) throw new Error('--faults is required: the folder of the plans');
const config = await loadConfig(values.config ?? null, controlConfigSchema);
const controlId = config.id ?? 'control-with-fault';
const log = createLogger('control-with-fault', config.logLevel);
await using topology = openConsulTopology({
  address: config.consul,
  cluster: config.cluster,
  clock: systemClock,
  newNonce: randomUUID,
  onBackgroundError: (error) => log.warn({ err: error }, 'topology'),
});
await using _control = await startControl(config, {
  topology,
  clock: systemClock,
  log,
  newId: randomUUID,
  controlId,
  backends,
  env: process.env,
  onStep: faultOnStep(values.faults, controlId, (signal) => {
    log.info({ signal }, 'the fault comes now');
    // Delivered to the sender before the call returns: nothing of the next step has begun.
    process.kill(process.pid, signal);
  }),
});
await terminationOf(process);

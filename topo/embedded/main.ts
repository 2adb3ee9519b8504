import { randomUUID } from 'node:crypto';
import { systemClock } from '../../runtime/clock.ts';
import { terminationOf } from '../../runtime/lifecycle.ts';
import { createLogger } from '../../runtime/logger.ts';
import { readProcessConfig, startFailure } from '../../runtime/process-options.ts';
import { embeddedConfigSchema, embeddedOptions } from './config.ts';
import { startEmbeddedTopology } from './embedded-topology.ts';

/** Serves until the first SIGTERM or SIGINT, or until its log cannot be written. */
async function main(): Promise<void> {
  const config = await readProcessConfig({ name: 'topology', schema: embeddedConfigSchema, options: embeddedOptions, shared: ['log-level'] }, process.argv.slice(2), (text) =>
    process.stdout.write(text),
  );
  if (config === null) return;
  const log = createLogger('topology', config.logLevel);
  const terminated = terminationOf(process);
  await using topology = await startEmbeddedTopology({ ...config, clock: systemClock, log, newId: randomUUID, random: Math.random });
  log.info({ address: topology.address, dataDir: config.dataDir }, 'serving');
  const failed = new Promise<never>((_resolve, reject) => topology.failed.addEventListener('abort', () => reject(topology.failed.reason), { once: true }));
  log.info({ signal: await Promise.race([terminated, failed]) }, 'told to stop');
}

try {
  await main();
} catch (error) {
  const failure = startFailure('topology', error);
  process.stderr.write(failure.text);
  process.exitCode = failure.exitCode;
}

import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { systemClock } from '../runtime/clock.ts';
import { createLogger } from '../runtime/logger.ts';
import { gatewayConfigSchema } from './config.ts';
import { superviseWorkers } from './workers.ts';

const started = (config: Readonly<Record<string, unknown>>) =>
  superviseWorkers(gatewayConfigSchema.parse({ workers: 2, http: 'off', ...config }), {
    start: () => {
      throw new Error('no worker may be started');
    },
    clock: systemClock,
    log: createLogger('gateway', 'silent'),
    terminated: new Promise(() => {}),
  });

test('workers cannot share a port that each of them chooses', async () => {
  await expect(started({ listen: '127.0.0.1:0' })).rejects.toThrow('listen: port 0 is another one for each worker; give the port that they share');
});

test('nor one on which somebody else listens, even if it could be shared', async () => {
  const server = createServer().listen({ host: '127.0.0.1', port: 0, reusePort: true });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(started({ listen: `127.0.0.1:${port}` })).rejects.toThrow(/^listen: 127\.0\.0\.1:\d+ cannot be served \(.*EADDRINUSE.*\); give another address$/);
  server.close();
  await once(server, 'close');
});

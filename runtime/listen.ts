import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { HostPort } from './host-port.ts';

/**
 * Listens; port 0 takes a free one. Rejects with what the system says. `isShared`: beside other processes that share the port, among whom the system divides the connections; those of a process that ends are refused at once and not left waiting.
 */
export function listen(server: Server, { host, port }: HostPort, isShared = false): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort: isShared }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Rejects where somebody listens already, whoever it is. */
export async function refuseTaken(at: HostPort): Promise<void> {
  const server = createServer();
  await listen(server, at);
  server.close();
  await once(server, 'close');
}

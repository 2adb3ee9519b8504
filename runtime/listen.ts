import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { ConfigError } from './config-file.ts';
import { formatHostPort, type HostPort } from './host-port.ts';

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

/** What a process says of an address of its configuration on which it cannot listen. */
export function cannotServe(field: string, at: HostPort, cause: unknown, advice: string): ConfigError {
  const told = cause instanceof Error ? cause.message : String(cause);
  // grpc-js puts what the system says behind its own words.
  const why = /errors: \[(.+)\]$/.exec(told)?.[1] ?? told;
  return new ConfigError(`${field}: ${formatHostPort(at)} cannot be served (${why}); ${advice}`, { cause });
}

/** Rejects where somebody listens already, whoever it is. */
export async function refuseTaken(at: HostPort): Promise<void> {
  const server = createServer();
  await listen(server, at);
  server.close();
  await once(server, 'close');
}

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the range that operating systems hand to outgoing connections: otherwise a client's connection could sit on
// the port of a server that is down for a moment, and the server could not come back on it.
const LOWEST = 15_000;
const HIGHEST = 32_000;
const ATTEMPTS = 200;

/** Resolves to whether nobody listens on this loopback port right now. It is not reserved. */
export function isPortFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = createServer();
  probe.once('error', () => resolve(false));
  probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)));
  return promise;
}

/**
 * Picks `count` different loopback ports that are free right now. Another process may take one before it is used, so
 * a caller that cannot bind asks again. Rejects when the machine has hardly a free port left.
 */
export async function findFreePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>();
  for (let attempt = 0; attempt < ATTEMPTS && found.size < count; attempt += 1) {
    const port = randomInt(LOWEST, HIGHEST);
    if (!found.has(port) && (await isPortFree(port))) found.add(port);
  }
  if (found.size < count) throw new Error(`found no ${count} free ports between ${LOWEST} and ${HIGHEST} on 127.0.0.1`);
  return [...found];
}

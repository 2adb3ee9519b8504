import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import type { HostPort } from './host-port.ts';
import { cannotServe, listen } from './listen.ts';

/** A registry of a process's own; nothing is registered globally. */
export const createMetrics = (): Registry => new Registry();

/** Serves `GET /metrics` in Prometheus' text format until disposed. Port 0 takes a free one; `port` is the one taken. ConfigError where that cannot be. */
export async function serveMetrics(registry: Registry, at: HostPort): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('only GET /metrics is served here\n');
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500, { 'content-type': 'text/plain' }).end(`${String(error)}\n`),
    );
  });
  server.requestTimeout = 10_000;
  await listen(server, at).catch((error: unknown) => Promise.reject(cannotServe('metrics', at, error, 'give another address with --metrics, or "off"')));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

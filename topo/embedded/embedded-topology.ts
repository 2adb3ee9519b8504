import { resolve } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { HostPort } from '../../runtime/host-port.ts';
import type { Logger } from '../../runtime/logger.ts';
import { SessionKeeper } from './state/session-keeper.ts';
import { TopologyServer } from './http/topology-server.ts';
import { TopologyStore } from './state/topology-store.ts';

/** Consul's least. */
const LEAST_TTL_MS = 10_000;
const COMPACT_AT_BYTES = 4 * 1024 * 1024;
const MAX_CONNECTIONS = 1_024;
const MAX_BLOCKING_QUERIES = 1_024;
const MAX_SESSIONS = 4_096;
const SEND_LIMIT_MS = 30_000;

export interface EmbeddedTopologyOptions {
  /** Where the log lies; made when it is missing. One server at a time. */
  readonly dataDir: string;
  /** Default: a free port on loopback. There is no authentication. */
  readonly listen?: HostPort;
  readonly clock: Clock;
  readonly log: Logger;
  /** A new UUID every time, for sessions. */
  readonly newId: () => string;
  /** From 0 up to 1, for the jitter of blocking queries. */
  readonly random: () => number;
  /** Shortest TTL of a session. Default 10,000, as Consul's. */
  readonly leastTtlMs?: number;
  /** The log is not compacted while it is smaller. Default 4 MiB. */
  readonly compactAtBytes?: number;
  /** Default 1,024; more are closed at once. */
  readonly maxConnections?: number;
  /** Default 1,024; more are refused with 429. */
  readonly maxBlockingQueries?: number;
  /** How long an answer may wait for a reader that takes nothing, before its connection is cut. Default 30,000. */
  readonly sendLimitMs?: number;
}

/** A running server. Disposing answers what is under way, closes every connection and lets go of the data directory. */
export interface EmbeddedTopology extends AsyncDisposable {
  /** `http://host:port`: what the configuration calls "consul". */
  readonly address: string;
  /** Aborts, with the error, when the log cannot be written. Every call is answered with 500 from then on: what is on the disk counts, so end it and start it again. */
  readonly failed: AbortSignal;
}

/**
 * Starts the subset of Consul's HTTP API that Switchyard uses, kept in one file. It is for laptops, demonstrations and tests: nothing is replicated. ConfigError when another
 * server has the data directory or its log is damaged;
 * rejects with the system's error when it cannot listen.
 */
export async function startEmbeddedTopology(options: EmbeddedTopologyOptions): Promise<EmbeddedTopology> {
  const { clock, log, newId, random } = options;
  await using stack = new AsyncDisposableStack();
  const failed = new AbortController();
  const store = stack.use(
    await TopologyStore.open({
      directory: resolve(options.dataDir),
      clock,
      compactAtBytes: options.compactAtBytes ?? COMPACT_AT_BYTES,
      onTorn: (bytes) => log.warn({ bytes }, 'the last record was not written to its end, hence never answered: it has been cut off'),
      onFailure: (error) => failed.abort(error),
    }),
  );
  const sessions = stack.use(new SessionKeeper(store, clock, ({ id, name }) => log.info({ session: id, name }, 'a session has expired')));
  const limits = { leastTtlMs: options.leastTtlMs ?? LEAST_TTL_MS, maxSessions: MAX_SESSIONS, maxBlockingQueries: options.maxBlockingQueries ?? MAX_BLOCKING_QUERIES };
  const server = stack.use(
    await TopologyServer.listen({
      listen: options.listen ?? { host: '127.0.0.1', port: 0 },
      clock,
      log,
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      sendLimitMs: options.sendLimitMs ?? SEND_LIMIT_MS,
      parts: { store, sessions, clock, newId, random, ...limits },
    }),
  );
  const running = stack.move();
  return { address: `http://${server.address}`, failed: failed.signal, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

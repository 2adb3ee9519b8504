import { join } from 'node:path';
import { z } from 'zod';
import { formatHostPort, hostPortSchema } from '../runtime/host-port.ts';
import { gatewayPeersSchema, peersHttpSchema } from '../runtime/peers/config.ts';
import { type ProcessOption, processFields } from '../runtime/process-options.ts';

const count = z.number().int().min(1);

/** A gateway's configuration file; the only home of its defaults. Without an id it is "gateway-" and the address that it listens on. */
export const gatewayConfigSchema = z.strictObject({
  ...processFields,
  listen: hostPortSchema.prefault('127.0.0.1:7101').describe('Where the data API is served. On loopback unless told otherwise: there is no authentication yet.'),
  http: z
    .union([z.literal('off').transform(() => null), hostPortSchema])
    .prefault('127.0.0.1:7111')
    .describe('Where the data API is served as JSON over HTTP; "off": nowhere.'),
  httpHosts: z
    .array(z.string().min(1).max(253))
    .max(100)
    .default([])
    .describe(
      'Names by which callers over HTTP know this gateway, beside its address, "localhost" and the name that it listens on. Calls to any other name are refused: a page in somebody\'s browser could make them.',
    ),
  workers: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe("Processes that share the addresses; each is a gateway of its own, with an id, a pool and metrics of its own. A caller's connection is one of theirs."),
  stateDir: z.string().min(1).optional().describe('Directory for the last good rules, with which a gateway starts while Consul is away. Left out: it does not start then.'),
  pool: z
    .strictObject({
      size: count.max(1_000).default(16).describe('Connections to each keyspace for calls; two more are kept for look-ups of fence rows.'),
      acquireTimeoutMs: count.default(2_000).describe('Longest wait for a free connection.'),
    })
    .prefault({}),
  buffer: z
    .strictObject({
      maxEntries: count.default(10_000).describe('Writes that a cutover may hold in this gateway at once.'),
      maxBytes: count.default(64 * 1024 * 1024).describe('Their bytes, in all.'),
      windowMs: count.default(10_000).describe('Longest stay of a held write.'),
      drainConcurrency: count.max(1_000).default(32).describe('Writes of one workflow that are let go at once after a hold.'),
    })
    .prefault({}),
  transactions: z
    .strictObject({
      maxOpen: count.max(1_000).default(8).describe('Transactions open at once, in each keyspace: each has a connection of the pool to itself.'),
      idleMs: count.max(4_500).default(4_000).describe('Longest time from an answer in a transaction to its next request.'),
      totalMs: count.default(60_000).describe('Longest time from its first request to its end.'),
      drainMs: count.max(1_000).default(50).describe('How long an open transaction may go on when a hold of its tables begins.'),
    })
    .prefault({}),
  peers: gatewayPeersSchema,
  peersHttp: peersHttpSchema,
  settleMs: count
    .max(3_600_000)
    .default(30_000)
    .describe(
      'How long a foreign service may still do a write after its connection broke: so long no table leaves it. After a start as well, for what the process before has sent.',
    ),
  defaultDeadlineMs: count.default(10_000).describe('Deadline of callers that give none.'),
  streamDeadlineMs: count.default(3_600_000).describe('Deadline of callers that give none, of calls that answer with a stream.'),
  drainLimitMs: count.default(10_000).describe('How long calls under way may take to finish when the gateway stops.'),
});

export type GatewayConfig = z.output<typeof gatewayConfigSchema>;

/** The configuration of one of several workers, counted from 1: what two processes cannot share has its number. */
export function workerConfig(config: GatewayConfig, worker: number): GatewayConfig {
  const { metrics, stateDir } = config;
  return {
    ...config,
    id: `${config.id ?? `gateway-${formatHostPort(config.listen)}`}.${worker}`,
    metrics: metrics === null || metrics.port === 0 ? metrics : { ...metrics, port: metrics.port + worker - 1 },
    ...(stateDir === undefined ? {} : { stateDir: join(stateDir, String(worker)) }),
  };
}

export const gatewayOptions: readonly ProcessOption[] = [
  { flag: 'listen', field: 'listen', value: 'HOST:PORT', help: 'where the data API is served (default 127.0.0.1:7101)' },
  { flag: 'http', field: 'http', value: 'HOST:PORT', help: 'where it is served as JSON over HTTP, or "off" (default 127.0.0.1:7111)' },
  { flag: 'id', field: 'id', value: 'NAME', help: 'name of this gateway (default: gateway- and its address)' },
  { flag: 'workers', field: 'workers', value: 'N', help: 'processes that share the addresses (default 1)' },
  { flag: 'state-dir', field: 'stateDir', value: 'DIR', help: 'keeps the last good rules, to start with while Consul is away' },
];

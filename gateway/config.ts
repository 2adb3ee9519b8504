import { z } from 'zod';
import { hostPortSchema } from '../runtime/host-port.ts';
import { logLevels } from '../runtime/logger.ts';

const count = z.number().int().min(1);
const reference = z.string().regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/, 'must be "env:NAME" or "file:/path": secrets are given by reference only');

/** A gateway's configuration file; the only home of its defaults. */
export const gatewayConfigSchema = z.strictObject({
  /** Name in registrations, logs and traces; unique in the cluster. Default: "gateway-" and the address that it listens on. */
  id: z
    .string()
    .regex(/^[\w.:[\]-]{1,128}$/, 'must be 1 to 128 letters, digits, ".", ":", "[", "]", "_" or "-"')
    .optional(),
  /** Where the data API is served. On loopback unless told otherwise: there is no authentication yet. */
  listen: hostPortSchema.prefault('127.0.0.1:7101'),
  /** Where `GET /metrics` is served; left out: nowhere. */
  metrics: hostPortSchema.optional(),
  /** Address of the Consul agent. */
  consul: z.url({ protocol: /^https?$/ }).default('http://127.0.0.1:8500'),
  /** Everything in Consul lies under `switchyard/<cluster>/`. */
  cluster: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{1,63}$/, 'must be 1 to 63 letters, digits, _ or -')
    .default('default'),
  /** Consul's ACL token by reference. */
  consulToken: reference.optional(),
  /** Directory for the last good rules, with which a gateway starts while Consul is away. Left out: it does not start then. */
  stateDir: z.string().min(1).optional(),
  pool: z
    .strictObject({
      /** Connections to each keyspace for calls; two more are kept for look-ups of fence rows. */
      size: count.max(1_000).default(16),
      /** Longest wait for a free connection. */
      acquireTimeoutMs: count.default(2_000),
    })
    .prefault({}),
  buffer: z
    .strictObject({
      /** Writes that may be held at once. */
      maxEntries: count.default(10_000),
      maxBytes: count.default(64 * 1024 * 1024),
      /** Longest stay of a held write. */
      windowMs: count.default(10_000),
      /** Writes of one workflow that are let go at once after a hold. */
      drainConcurrency: count.max(1_000).default(32),
    })
    .prefault({}),
  /** Deadline of callers that give none. */
  defaultDeadlineMs: count.default(10_000),
  /** How long calls under way may take to finish when the gateway stops. */
  drainLimitMs: count.default(10_000),
  telemetry: z
    .strictObject({
      /** Base address of an OTLP/HTTP receiver; left out: no traces. */
      otlpEndpoint: z.url({ protocol: /^https?$/ }).optional(),
    })
    .prefault({}),
  logLevel: z.enum(logLevels).default('info'),
});

export type GatewayConfig = z.output<typeof gatewayConfigSchema>;

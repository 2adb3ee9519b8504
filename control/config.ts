import { z } from 'zod';
import { hostPortSchema } from '../runtime/host-port.ts';
import { logLevels } from '../runtime/logger.ts';

/** Configuration of a control process; the only home of its defaults. */
export const controlConfigSchema = z.strictObject({
  /** Shown in locks, records and rules; unique among the control processes. Left out: made of the host's name and a random part. */
  id: z.string().min(1).max(100).optional(),
  /** Name of the cluster: everything lies under `switchyard/<cluster>/` in Consul. */
  cluster: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be at most 64 letters, digits, _ or -')
    .default('default'),
  /** The control API. */
  listen: hostPortSchema.prefault('127.0.0.1:7201'),
  /** Prometheus metrics; "off" serves none. */
  metrics: z.union([z.literal('off').transform(() => null), hostPortSchema]).prefault('127.0.0.1:7202'),
  /** The Consul agent: scheme, host and port. */
  consul: z.url().default('http://127.0.0.1:8500'),
  /** ACL token by reference: "env:NAME" or "file:/path". */
  consulToken: z.string().optional(),
  stores: z
    .strictObject({
      /** Connections to one store under one identity for one workflow. */
      poolSize: z.number().int().min(2).max(64).default(6),
      acquireTimeoutMs: z.number().int().min(100).default(5_000),
    })
    .prefault({}),
  logLevel: z.enum(logLevels).default('info'),
  /** OTLP/HTTP receiver of traces; left out: tracing is off. */
  otlpEndpoint: z.url().nullable().default(null),
});

export type ControlConfig = z.output<typeof controlConfigSchema>;

import { z } from 'zod';
import { hostPortSchema } from '../../runtime/host-port.ts';
import { type ProcessOption, processFields } from '../../runtime/process-options.ts';

/** The configuration of `switchyard topology`. */
export const embeddedConfigSchema = z.strictObject({
  /** There is no authentication: anything but loopback is your network's business. */
  listen: hostPortSchema.prefault('127.0.0.1:8500'),
  /** Made when it is missing. */
  dataDir: z.string({ error: 'must be given: where the data is to lie' }).min(1),
  /** Shortest TTL of a session, in ms. */
  leastTtlMs: z.number().int().positive().default(10_000),
  logLevel: processFields.logLevel,
});

export const embeddedOptions: readonly ProcessOption[] = [
  { flag: 'listen', field: 'listen', value: 'HOST:PORT', help: 'where it serves (default 127.0.0.1:8500, where the other processes look for Consul)' },
  { flag: 'data-dir', field: 'dataDir', value: 'FOLDER', help: 'where its data lies; made when it is missing' },
];

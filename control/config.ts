import { z } from 'zod';
import { hostPortSchema } from '../runtime/host-port.ts';
import { controlPeersSchema, peersHttpSchema } from '../runtime/peers/config.ts';
import { type ProcessOption, processFields } from '../runtime/process-options.ts';

/** What a healthy log keeps in passing: a large transaction, a reader that begins anew. */
const leastLogMiB = 64;
const mostLogMiB = 2 ** 30;

const logSize = (usual: number, what: string) => {
  const refused = { error: `must be a whole number of MiB from ${leastLogMiB} to ${mostLogMiB}, or "off"`, abort: true };
  return z
    .union([z.literal('off').transform(() => null), z.number().int(refused).min(leastLogMiB, refused).max(mostLogMiB, refused)], refused)
    .prefault(usual)
    .describe(what);
};

/** Configuration of a control process; the only home of its defaults. Without an id one is made of the host's name and a random part. */
export const controlConfigSchema = z.strictObject({
  ...processFields,
  listen: hostPortSchema.prefault('127.0.0.1:7201').describe('Where the control API is served. On loopback unless told otherwise: there is no authentication yet.'),
  stores: z
    .strictObject({
      poolSize: z.number().int().min(2).max(64).default(6).describe('Connections to one store under one login for one workflow.'),
      acquireTimeoutMs: z.number().int().min(100).default(5_000).describe('Longest wait for one of them.'),
    })
    .prefault({}),
  requestIds: z
    .strictObject({
      keptHours: z
        .number()
        .min(1)
        .max(8_760)
        .default(24)
        .describe(
          'How long a store keeps the record of a write that carried a request id: a repetition that comes later is a new write. Far longer than any cutover with all its attempts, and than callers go on trying.',
        ),
    })
    .prefault({}),
  watch: z
    .strictObject({
      keptHours: z
        .number()
        .min(0.01)
        .max(8_760)
        .default(24)
        .describe('How long a store keeps a change that was written down for watchers: a watcher that stays away longer has to read its table again.'),
    })
    .prefault({}),
  logs: z
    .strictObject({
      alarmMiB: logSize(
        4_096,
        'A log that makes a store keep so much of its history is said to do so: in the log, by `switchyard doctor` and in the status of its workflow. "off": never.',
      ),
      dropMiB: logSize(
        32_768,
        'A log that makes a store keep so much is dropped, before it fills the disk. Its stream ends for good: the workflow fails, or has no way back any more. Less than the disk of each store has to spare. "off": never.',
      ),
    })
    .refine(({ alarmMiB, dropMiB }) => alarmMiB === null || dropMiB === null || alarmMiB < dropMiB, {
      path: ['alarmMiB'],
      message: 'must be less than logs.dropMiB, so that somebody knows before a log is dropped: lower it, raise logs.dropMiB, or turn one of them "off"',
    })
    .prefault({}),
  peers: controlPeersSchema,
  peersHttp: peersHttpSchema,
});

export type ControlConfig = z.output<typeof controlConfigSchema>;

export const controlOptions: readonly ProcessOption[] = [
  { flag: 'listen', field: 'listen', value: 'HOST:PORT', help: 'where the control API is served (default 127.0.0.1:7201)' },
  { flag: 'id', field: 'id', value: 'NAME', help: 'name of this control process (default: host and a random part)' },
];

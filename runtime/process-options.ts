import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ConfigError, loadConfig } from './config-file.ts';
import { hostPortSchema } from './host-port.ts';
import { logLevels } from './logger.ts';

/** The fields that every process's configuration has beside its own. Spread into a strict object. */
export const processFields = {
  id: z
    .string()
    .regex(/^[\w.:[\]-]{1,100}$/, 'must be 1 to 100 letters, digits, ".", ":", "[", "]", "_" or "-"')
    .optional()
    .describe('Name in registrations, locks, logs and traces; unique in the cluster.'),
  cluster: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{1,63}$/, 'must be 1 to 63 letters, digits, _ or -')
    .default('default')
    .describe('Everything in Consul lies under `switchyard/<cluster>/`.'),
  consul: z
    .url({ protocol: /^https?$/ })
    .default('http://127.0.0.1:8500')
    .describe('Address of the Consul agent.'),
  consulToken: z
    .string()
    .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/, 'must be "env:NAME" or "file:/path": secrets are given by reference only')
    .optional()
    .describe("Consul's ACL token by reference: `env:NAME` or `file:/path`."),
  metrics: z
    .union([z.literal('off').transform(() => null), hostPortSchema])
    .prefault('off')
    .describe('Where `GET /metrics` is served; "off": nowhere.'),
  otlpEndpoint: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null)
    .describe('Base address of an OTLP/HTTP receiver; null: no traces.'),
  logLevel: z.enum(logLevels).default('info').describe('What is logged, and everything worse.'),
} as const;

/** One command line option: its place in the configuration, and how help shows it. */
export interface ProcessOption {
  readonly flag: string;
  readonly field: string;
  readonly value: string;
  readonly help: string;
}

const sharedOptions: readonly ProcessOption[] = [
  { flag: 'metrics', field: 'metrics', value: 'HOST:PORT', help: 'where GET /metrics is served (default: nowhere)' },
  { flag: 'consul', field: 'consul', value: 'URL', help: 'Consul agent (default http://127.0.0.1:8500)' },
  { flag: 'cluster', field: 'cluster', value: 'NAME', help: 'cluster (default "default")' },
  { flag: 'otlp-endpoint', field: 'otlpEndpoint', value: 'URL', help: 'sends traces there by OTLP over HTTP (default: no traces)' },
  { flag: 'log-level', field: 'logLevel', value: 'LEVEL', help: 'debug, info, warn, error or silent (default info)' },
];

/**
 * Reads the command line of a process: its own options, the shared ones (or those of them that `shared` names), `--config FILE` under them, `--help`. Null: help was asked for
 * and `print` got it. ConfigError names what is wrong.
 */
export async function readProcessConfig<S extends z.ZodType>(
  command: { readonly name: string; readonly schema: S; readonly options: readonly ProcessOption[]; readonly shared?: readonly string[] },
  args: readonly string[],
  print: (text: string) => void,
): Promise<z.output<S> | null> {
  const shared = sharedOptions.filter(({ flag }) => command.shared === undefined || command.shared.includes(flag));
  const known = [{ flag: 'config', field: '', value: 'FILE', help: 'configuration, YAML or JSON; the options below win over it' }, ...command.options, ...shared];
  const types = Object.fromEntries(known.map(({ flag }) => [flag, { type: 'string' as const }]));
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({ args: [...args], options: { ...types, help: { type: 'boolean' } } }));
  } catch (cause) {
    throw new ConfigError(`${cause instanceof Error ? cause.message : String(cause)}\n(switchyard ${command.name} --help shows the options)`, { cause });
  }
  if (values.help === true) {
    const lines = known.map(({ flag, value, help }) => `  ${`--${flag} ${value}`.padEnd(24)}${help}`);
    print(`Usage: switchyard ${command.name} [options]\n\n${lines.join('\n')}\n  ${'--help'.padEnd(24)}shows this\n`);
    return null;
  }
  const overrides = Object.fromEntries(known.filter(({ field }) => field !== '').map(({ flag, field }) => [field, values[flag]]));
  return loadConfig(typeof values.config === 'string' ? values.config : null, command.schema, overrides);
}

/** How a process that could not start, or failed, says so: the text for stderr and the exit code (2: configuration). */
export function startFailure(name: string, error: unknown): { readonly text: string; readonly exitCode: number } {
  if (error instanceof ConfigError) return { text: `${error.message}\n`, exitCode: 2 };
  return { text: `switchyard ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`, exitCode: 1 };
}

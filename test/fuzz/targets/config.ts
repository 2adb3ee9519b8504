import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import { controlConfigSchema, controlOptions } from '../../../control/config.ts';
import { gatewayConfigSchema, gatewayOptions } from '../../../gateway/config.ts';
import { ConfigError } from '../../../runtime/config-file.ts';
import type { HostPort } from '../../../runtime/host-port.ts';
import { type ProcessOption, readProcessConfig } from '../../../runtime/process-options.ts';
import { embeddedConfigSchema, embeddedOptions } from '../../../topo/embedded/config.ts';
import { strayJson } from '../inputs/random-json.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

/** What `readProcessConfig` is told of a process, whichever it is. */
interface Command {
  readonly name: string;
  readonly schema: z.ZodType<{ readonly listen: HostPort }>;
  readonly options: readonly ProcessOption[];
  readonly shared?: readonly string[];
}

const commands: readonly Command[] = [
  { name: 'gateway', schema: gatewayConfigSchema, options: gatewayOptions },
  { name: 'control', schema: controlConfigSchema, options: controlOptions },
  { name: 'topology', schema: embeddedConfigSchema, options: embeddedOptions, shared: ['log-level'] },
];

const samples = [
  {
    listen: '127.0.0.1:7101',
    http: 'off',
    httpHosts: ['shop.example'],
    stateDir: '/var/lib/x',
    pool: { size: 16 },
    buffer: { maxEntries: 5 },
    id: 'g1',
    cluster: 'prod',
    metrics: '[::1]:9100',
  },
  {
    listen: 'localhost:7201',
    stores: { poolSize: 6 },
    requestIds: { keptHours: 24 },
    watch: { keptHours: 24 },
    logs: { alarmMiB: 'off', dropMiB: 32_768 },
    consul: 'http://127.0.0.1:8500',
    consulToken: 'env:TOKEN',
    otlpEndpoint: null,
  },
  { listen: '127.0.0.1:8500', dataDir: '/tmp/x', leastTtlMs: 10_000, logLevel: 'info' },
];

const yamls = [
  'listen: 127.0.0.1:7101\nhttp: off\npool:\n  size: 16\n',
  '# nothing\n',
  'a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n',
  '? [complex, key]\n: value\n',
  '!!binary "aGk="\n',
  'listen: !!set {a, b}\n',
  '<<: {listen: x}\nlisten: |\n  127.0.0.1:1\n',
  '--- a\n--- b\n',
  '%YAML 1.1\n---\nhttp: off\nlisten: 1:2:3\n',
];

/** Configuration files and the command lines of processes. The first byte chooses the process; what follows is the file, or after a NUL the arguments, one a line. */
export const target: FuzzTarget = {
  name: 'config',
  words: [
    'listen',
    'http',
    'off',
    '127.0.0.1:0',
    'pool',
    'size',
    '&a',
    '*a',
    '<<',
    '!!',
    '---',
    '- ',
    ': ',
    '\n',
    '|',
    '>',
    '? ',
    '{',
    '}',
    '--config',
    '--listen',
    '--help',
    '--id=',
    '--',
    '-x',
    '\0',
  ],
  generate: (random) => {
    const at = random.below(samples.length);
    const body = random.chance(40)
      ? random.pick(yamls)
      : random.chance(80)
        ? strayJson(random, samples[at] ?? {}, 8)
        : `\0--listen\n127.0.0.1:0\n--log-level\n${random.pick(['info', 'x'])}`;
    return Buffer.concat([Buffer.from([at]), Buffer.from(body)]);
  },
  open: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-fuzz-'));
    const file = join(directory, 'config.yaml');
    return {
      run: async (input) => {
        const command = commands[(input[0] ?? 0) % commands.length] as Command;
        const body = input.subarray(1);
        const asArguments = body[0] === 0;
        if (!asArguments) await writeFile(file, body);
        const args = asArguments ? body.subarray(1).toString().split('\n') : ['--config', file];
        return await outcomeOf(async () => {
          const config = await readProcessConfig(command, args, (text) => must(text.startsWith('Usage:'), 'help does not begin with how it is used'));
          must(config === null || config.listen.port <= 65_535, 'a port that is none');
        }, [ConfigError]);
      },
      [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
    };
  },
};

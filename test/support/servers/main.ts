import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findConsul, findPostgres } from './debian.ts';
import { describeSandbox, startSandbox } from './sandbox.ts';

const USAGE = `Usage: npm run servers -- up [options]
       npm run -s servers -- psql <arguments of psql>
       npm run -s servers -- consul <arguments of consul>

up: starts two PostgreSQL servers ("old" with a shop's database, "new" with an empty one) and Consul on 127.0.0.1, and
keeps them until Ctrl-C. Nothing is left behind.

  --old-port <port>     default 6432
  --new-port <port>     default 6433
  --consul-port <port>  default 8500
  --dir <folder>        keep the servers' logs there

psql, consul: the command of that name that goes with the servers, for machines where it is not installed.
`;

// Far longer than a second needs to be: it only keeps the process alive while it waits for a signal.
const HEARTBEAT_MS = 60_000;

function parsePort(option: string, text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`--${option} wants a port from 1 to 65535, not "${text}"`);
  return port;
}

function parse(args: readonly string[]) {
  const options = {
    'old-port': { type: 'string', default: '6432' },
    'new-port': { type: 'string', default: '6433' },
    'consul-port': { type: 'string', default: '8500' },
    dir: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const ports = {
    oldPort: parsePort('old-port', values['old-port']),
    newPort: parsePort('new-port', values['new-port']),
    consulPort: parsePort('consul-port', values['consul-port']),
  };
  return { wantsHelp: values.help === true || positionals.join(' ') !== 'up', ...ports, ...(values.dir === undefined ? {} : { directory: values.dir }) };
}

async function up(args: readonly string[]): Promise<number> {
  const { wantsHelp, ...options } = parse(args);
  if (wantsHelp) {
    process.stdout.write(USAGE);
    return args.includes('--help') || args.includes('-h') ? 0 : 2;
  }
  const { promise: interrupted, resolve } = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  const heartbeat = setInterval(() => {}, HEARTBEAT_MS);
  try {
    process.stdout.write('Starting two PostgreSQL servers and Consul (the first time may take a minute: what is missing is downloaded) ...\n');
    const starting = startSandbox(options);
    // A Ctrl-C that comes while they start ends this process, and with it whatever has been started.
    const sandbox = await Promise.race([starting, interrupted]);
    if (sandbox === undefined) return 130;
    process.stdout.write(describeSandbox(sandbox));
    await interrupted;
    process.stdout.write('\nStopping ...\n');
    await sandbox[Symbol.asyncDispose]();
    process.stdout.write('Stopped; nothing is left.\n');
    return 0;
  } finally {
    clearInterval(heartbeat);
  }
}

async function passOn(tool: 'psql' | 'consul', args: readonly string[]): Promise<number> {
  const postgres = tool === 'psql' ? await findPostgres() : undefined;
  const file = postgres === undefined ? await findConsul() : join(postgres.folder, 'psql');
  // The terminal sends Ctrl-C to the tool as well, and what that means there is the tool's business.
  process.on('SIGINT', () => {});
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...postgres?.env } });
  child.on('error', reject);
  child.on('exit', (code) => resolve(code ?? 1));
  return promise;
}

try {
  const [command, ...rest] = process.argv.slice(2);
  process.exit(command === 'psql' || command === 'consul' ? await passOn(command, rest) : await up(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

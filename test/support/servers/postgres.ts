import { randomBytes } from 'node:crypto';
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { findPostgres, type PostgresPrograms } from './debian.ts';
import { findFreePorts } from './free-port.ts';
import { findPostgresUser, preparePostgresTemplate } from './postgres-template.ts';
import { SupervisedProcess, untilStopped } from './supervised-process.ts';
import { waitUntil } from './wait-until.ts';

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 30_000;
const PORT_ATTEMPTS = 5;
const SUPERUSER = 'postgres';

export interface PostgresOptions {
  /** Part of the directory's name, to tell servers apart in a list of processes. Letters, digits and dashes. */
  readonly name?: string;
  /** Settings of postgresql.conf, which win over the defaults below. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: made up for this server alone. */
  readonly superuserPassword?: string;
  /** Default: a random free one. A fixed port that is taken is an error. */
  readonly port?: number;
  /** The server gets a disk of its own of this size, in memory, which can be full. For root on Linux. Default: it writes where the system has its temporary files. */
  readonly diskMiB?: number;
  /** Wait for the disk at every commit, as production does. Default false: crashes of the server are survived, those of the machine not. */
  readonly durable?: boolean;
  /** Where the server's log goes; default: into its own directory, which is removed with it. */
  readonly logFile?: string;
}

/** Who connects. */
export interface PostgresLogin {
  readonly user: string;
  readonly password: string;
}

export interface CommandRunOptions {
  /** Default: the superuser. */
  readonly login?: PostgresLogin;
  /** Default 60 s; the program is killed and the call rejects after it. */
  readonly timeoutMs?: number;
}

const DEFAULT_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  wal_level: 'logical',
  max_wal_senders: '20',
  max_replication_slots: '20',
  max_prepared_transactions: '10',
  max_connections: '300',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  autovacuum: 'on',
  log_line_prefix: '%m [%p] %q%u@%d ',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

const VOLATILE_SETTINGS: Readonly<Record<string, string>> = { fsync: 'off', full_page_writes: 'off' };

/**
 * A PostgreSQL server of its own on loopback: real binaries, an empty cluster (locale C, UTF-8), logical replication
 * possible, passwords checked by SCRAM, no Unix socket. It and its directory are gone when it is disposed of and when
 * this process ends in whatever way.
 */
export class PostgresServer implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  /** Of the server that runs, such as 15. */
  readonly version: number;
  /** The superuser, whose password is made up for this server alone. */
  readonly superuser: PostgresLogin;
  readonly #process: SupervisedProcess;
  readonly #programs: PostgresPrograms;
  readonly #logFile: string;

  /** Use `startPostgres`. */
  constructor(parts: { port: number; superuser: PostgresLogin; process: SupervisedProcess; programs: PostgresPrograms; logFile: string }) {
    this.port = parts.port;
    this.superuser = parts.superuser;
    this.version = parts.programs.version;
    this.#process = parts.process;
    this.#programs = parts.programs;
    this.#logFile = parts.logFile;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  /** Of the server's main process while it runs. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Holds everything that the server writes, unless its log goes elsewhere. */
  get directory(): string {
    return this.#process.directory;
  }

  /** Connection URL, for the superuser unless a login is given. */
  url(database: string, login: PostgresLogin = this.superuser): string {
    return `postgres://${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /**
   * Runs SQL through the real psql, statement by statement, and resolves to what it prints: rows as lines, columns
   * joined by `|`, nothing for statements without rows. Rejects at the first statement that fails.
   */
  psql(database: string, sql: string, options: CommandRunOptions = {}): Promise<string> {
    return this.#run('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', '-'], options, sql);
  }

  /** Runs the real pgbench with these arguments and resolves to its standard output. Give long runs a `timeoutMs`. */
  pgbench(database: string, args: readonly string[], options: CommandRunOptions = {}): Promise<string> {
    return this.#run('pgbench', [...args, database], options);
  }

  /** Makes and fills pgbench's four tables (100,000 accounts a scale). Existing ones are replaced. */
  async pgbenchInit(database: string, scale: number, options: CommandRunOptions = {}): Promise<void> {
    await this.pgbench(database, ['--initialize', '--quiet', `--scale=${scale}`], { timeoutMs: 60_000 + scale * 5_000, ...options });
  }

  /** Pours what pg_dump says of a database, with these arguments, into a database of another server, through psql. */
  async pourInto(target: PostgresServer, databases: { readonly from: string; readonly to: string }, args: readonly string[], timeoutMs: number): Promise<void> {
    const { folder, env } = this.#programs;
    const pipe = `set -o pipefail; ${JSON.stringify(join(folder, 'pg_dump'))} "$@" "$SOURCE" | ${JSON.stringify(join(folder, 'psql'))} -X -q -v ON_ERROR_STOP=1 "$TARGET"`;
    const urls = { SOURCE: this.url(databases.from), TARGET: target.url(databases.to) };
    await runCommand('bash', ['-c', pipe, 'pour', ...args], { env: { ...env, ...urls }, timeoutMs });
  }

  /** Rejects when there is one of this name. */
  async createDatabase(name: string, owner: string = this.superuser.user): Promise<void> {
    await this.psql('postgres', `CREATE DATABASE ${quoteIdentifier(name)} OWNER ${quoteIdentifier(owner)};`);
  }

  /** What the server wrote last. */
  logTail(): Promise<string> {
    return this.#process.logTail();
  }

  /**
   * Stops the server and keeps its data. `fast` ends clients' sessions and writes a checkpoint, `immediate` is a crash
   * from which the next start recovers. What has not ended after 30 s is killed.
   */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.#process.stop(mode === 'fast' ? 'SIGINT' : 'SIGQUIT', STOP_LIMIT_MS);
  }

  /** Freezes the server with all its processes: connections stay, new ones are taken by the kernel alone, nothing answers. */
  async pause(): Promise<void> {
    await Promise.all((await this.#signalAll('SIGSTOP')).map(untilStopped));
  }

  async resume(): Promise<void> {
    await this.#signalAll('SIGCONT');
  }

  /** The main process first, so that it starts no others meanwhile. Resolves to all that were told. */
  async #signalAll(signal: 'SIGSTOP' | 'SIGCONT'): Promise<readonly number[]> {
    const { pid } = this;
    if (pid === undefined) return [];
    this.#process.signal(signal);
    const children = await childrenOf(pid);
    for (const child of children) {
      try {
        process.kill(child, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    return [pid, ...children];
  }

  /** Starts a stopped server again with its data, on the same port. Rejects when it is not ready after 30 s. */
  async start(): Promise<void> {
    const data = join(this.#process.directory, 'data');
    const env = Object.entries(this.#programs.env).map(([name, value]) => `${name}=${value}`);
    await this.#process.start('env', [...env, join(this.#programs.folder, 'postgres'), '-D', data], this.#logFile);
    const limits = { limitMs: READY_LIMIT_MS, everyMs: 10, explain: () => this.logTail() };
    await waitUntil('the start of PostgreSQL', limits, async () => {
      await this.#process.assertRunning();
      return (await readStatus(data, this.#process.pid)) === 'ready' ? true : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.dispose();
  }

  #run(program: string, args: readonly string[], options: CommandRunOptions, input = ''): Promise<string> {
    const login = options.login ?? this.superuser;
    const connection = { PGHOST: this.host, PGPORT: `${this.port}`, PGUSER: login.user, PGPASSWORD: login.password, PGCONNECT_TIMEOUT: '10' };
    const { timeoutMs } = options;
    return runCommand(join(this.#programs.folder, program), args, {
      env: { ...this.#programs.env, ...connection },
      input,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }
}

/**
 * Starts a PostgreSQL server, in about half a second once the binaries and the template of its data directory are
 * there. Rejects with one line that says what to do when there are no binaries, and with the log's end when the
 * server does not come up.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const [programs, user] = await Promise.all([findPostgres(), findPostgresUser()]);
  const template = await preparePostgresTemplate(programs, user);
  for (let attempt = 1; ; attempt += 1) {
    const prefix = `switchyard-postgres-${options.name === undefined ? '' : `${options.name}-`}`;
    const process = await SupervisedProcess.open({
      prefix,
      killSignal: 'SIGQUIT',
      ...(options.diskMiB === undefined ? {} : { diskMiB: options.diskMiB }),
      ...(user === undefined ? {} : { user }),
    });
    try {
      const port = options.port ?? (await findFreePorts(1))[0] ?? 0;
      const data = join(process.directory, 'data');
      await runCommand('cp', ['-a', template.directory, data]);
      await appendFile(join(data, 'postgresql.conf'), settingsText({ port: `${port}`, ...settingsFor(options) }));

      const logFile = options.logFile ?? join(process.directory, 'log');
      const superuser = { user: SUPERUSER, password: options.superuserPassword ?? randomBytes(12).toString('hex') };
      const server = new PostgresServer({ port, superuser, process, programs, logFile });
      await server.start();
      const initial = { user: SUPERUSER, password: template.password };
      await server.psql('postgres', `ALTER ROLE ${SUPERUSER} PASSWORD ${quoteLiteral(superuser.password)};`, { login: initial });
      return server;
    } catch (error) {
      const portTaken = /could not bind/.test(await process.logTail());
      await process.dispose();
      if (!portTaken || options.port !== undefined || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

function settingsFor(options: PostgresOptions): Readonly<Record<string, string>> {
  return { ...DEFAULT_SETTINGS, ...(options.durable === true ? {} : VOLATILE_SETTINGS), ...options.settings };
}

function settingsText(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${quoteLiteral(value)}\n`)
    .join('');
}

/** The server tells its state in its pid file, which is where pg_ctl looks too. One of an earlier run does not count. */
async function readStatus(data: string, pid: number | undefined): Promise<string | undefined> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  return Number(lines[0]) === pid ? lines[7]?.trim() : undefined;
}

/** Linux only. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
    .split(' ')
    .map(Number)
    .filter((child) => child > 0);
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

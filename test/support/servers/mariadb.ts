import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ignoreExisting } from './apt.ts';
import { runCommand } from './command.ts';
import { CACHE_FOLDER, findMariaDb, type MariaDbPrograms } from './debian.ts';
import { findFreePorts } from './free-port.ts';
import { findPostgresUser } from './postgres-template.ts';
import { SupervisedProcess } from './supervised-process.ts';
import type { UnixUser } from './supervisor-protocol.ts';
import { waitUntil } from './wait-until.ts';

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;
const INSTALL_LIMIT_MS = 300_000;
const PORT_ATTEMPTS = 5;
const SUPERUSER = 'root';

/** Who connects. */
export interface MariaDbLogin {
  readonly user: string;
  readonly password: string;
}

export interface MariaDbOptions {
  /** Part of the directory's name, to tell servers apart in a list of processes. Letters, digits and dashes. */
  readonly name?: string;
  /** Settings of the server's own option file, which win over the defaults below. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: a random free one. A fixed port that is taken is an error. */
  readonly port?: number;
  /** Wait for the disk at every commit, as production does. Default false: crashes of the server are survived, those of the machine not. */
  readonly durable?: boolean;
  /** Where the server's log goes; default: into its own directory, which is removed with it. */
  readonly logFile?: string;
}

export interface MariaDbCommandOptions {
  /** Default: the superuser. */
  readonly login?: MariaDbLogin;
  /** Default 60 s; the program is killed and the call rejects after it. */
  readonly timeoutMs?: number;
}

const DEFAULT_SETTINGS: Readonly<Record<string, string>> = {
  'bind-address': HOST,
  'skip-name-resolve': '1',
  'server-id': '1',
  'log-bin': 'binlog',
  'binlog-format': 'ROW',
  'binlog-row-image': 'FULL',
  'binlog-row-metadata': 'FULL',
  'character-set-server': 'utf8mb4',
  'collation-server': 'utf8mb4_general_ci',
  'max-connections': '300',
  'max-allowed-packet': '64M',
  'innodb-buffer-pool-size': '256M',
  'default-time-zone': '+00:00',
};

const VOLATILE_SETTINGS: Readonly<Record<string, string>> = { 'innodb-flush-log-at-trx-commit': '2', 'sync-binlog': '0' };

/**
 * A MariaDB server of its own on loopback: real binaries, an empty data directory, a row-based binary log with full images and metadata, logins with passwords. It and its directory are gone when it is disposed of and when this
 * process ends in whatever way.
 */
export class MariaDbServer implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  /** Of the server that runs, such as "10.11.19". */
  readonly version: string;
  /** The superuser, whose password is made up for this server alone. */
  readonly superuser: MariaDbLogin;
  readonly #process: SupervisedProcess;
  readonly #programs: MariaDbPrograms;
  readonly #logFile: string;

  /** Use `startMariaDb`. */
  constructor(parts: { port: number; superuser: MariaDbLogin; process: SupervisedProcess; programs: MariaDbPrograms; logFile: string }) {
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

  /** Of the server's process while it runs. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Holds everything that the server writes, unless its log goes elsewhere. */
  get directory(): string {
    return this.#process.directory;
  }

  /**
   * Runs SQL through the real client, statement by statement, and resolves to what it prints: rows as lines, columns separated by tabs, with the client's own escapes (`\t`, `\n`, `\\`, `\0`) and NULL as `NULL`. Rejects at the
   * first statement that fails. `database` empty: none.
   */
  sql(database: string, sql: string, options: MariaDbCommandOptions = {}): Promise<string> {
    const login = options.login ?? this.superuser;
    const at = [`--host=${this.host}`, `--port=${this.port}`, '--protocol=tcp', `--user=${login.user}`];
    const form = ['--batch', '--skip-column-names', '--default-character-set=utf8mb4', '--connect-timeout=10'];
    return runCommand(this.#programs.client, ['--no-defaults', ...at, ...form, ...(database === '' ? [] : [database])], {
      env: { ...this.#programs.env, MYSQL_PWD: login.password },
      input: sql,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
  }

  /** Rejects when there is one of this name. Its texts are equal only bit by bit, unless a column says otherwise. */
  async createDatabase(name: string): Promise<void> {
    await this.sql('', `CREATE DATABASE ${quoteMariaDbName(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;`);
  }

  /** What the server wrote last. */
  logTail(): Promise<string> {
    return this.#process.logTail();
  }

  /** Stops the server and keeps its data. `immediate` is a crash from which the next start recovers. What has not ended after 60 s is killed. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.#process.stop(mode === 'fast' ? 'SIGTERM' : 'SIGKILL', STOP_LIMIT_MS);
  }

  /** Freezes the server: connections stay, new ones are taken by the kernel alone, nothing answers. */
  async pause(): Promise<void> {
    await this.#process.freeze();
  }

  resume(): void {
    this.#process.signal('SIGCONT');
  }

  /** Starts a stopped server again with its data, on the same port. Rejects when it is not ready in time. */
  async start(): Promise<void> {
    const env = Object.entries(this.#programs.env).map(([name, value]) => `${name}=${value}`);
    const options = [`--defaults-file=${join(this.directory, 'my.cnf')}`];
    await this.#process.start('env', [...env, this.#programs.server, ...options], this.#logFile);
    await waitUntil('the start of MariaDB', { limitMs: READY_LIMIT_MS, everyMs: 50, explain: () => this.logTail() }, async () => {
      await this.#process.assertRunning();
      return this.sql('', 'SELECT 1;', { timeoutMs: 10_000 }).then(
        () => true,
        () => undefined,
      );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.dispose();
  }
}

/**
 * Starts a MariaDB server, in a second or two once the binaries and the template of its data directory are there. Rejects with one line that says what to do when there are no binaries, and with the log's end when the server does
 * not come up.
 */
export async function startMariaDb(options: MariaDbOptions = {}): Promise<MariaDbServer> {
  // The user that a server of root's runs as, whatever the server.
  const [programs, user] = await Promise.all([findMariaDb(), findPostgresUser()]);
  const template = await prepareTemplate(programs, user);
  for (let attempt = 1; ; attempt += 1) {
    const process = await SupervisedProcess.open({
      prefix: `switchyard-mariadb-${options.name === undefined ? '' : `${options.name}-`}`,
      killSignal: 'SIGKILL',
      ...(user === undefined ? {} : { user }),
    });
    try {
      const port = options.port ?? (await findFreePorts(1))[0] ?? 0;
      const data = join(process.directory, 'data');
      await runCommand('cp', ['-a', template, data]);
      const superuser = { user: SUPERUSER, password: randomBytes(12).toString('hex') };
      const first = join(process.directory, 'first.sql');
      const passwords = ["'root'@'localhost'", "'root'@'127.0.0.1'"].map(
        (account) => `CREATE OR REPLACE USER ${account} IDENTIFIED BY '${superuser.password}';\nGRANT ALL ON *.* TO ${account} WITH GRANT OPTION;\n`,
      );
      await writeFile(first, passwords.join(''), { mode: 0o644 });
      await writeFile(join(process.directory, 'my.cnf'), optionFile({ ...placed(programs, process.directory), 'init-file': first, port: `${port}`, ...settingsFor(options) }), {
        mode: 0o644,
      });
      const server = new MariaDbServer({ port, superuser, process, programs, logFile: options.logFile ?? join(process.directory, 'log') });
      await server.start();
      return server;
    } catch (error) {
      const portTaken = /Bind on TCP|port is already in use|Address already in use/i.test(await process.logTail());
      await process.dispose();
      if (!portTaken || options.port !== undefined || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/** The identifier, quoted whatever it contains. */
export const quoteMariaDbName = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

function placed(programs: MariaDbPrograms, directory: string): Readonly<Record<string, string>> {
  return { basedir: programs.base, datadir: join(directory, 'data'), socket: join(directory, 'socket'), 'pid-file': join(directory, 'pid'), tmpdir: directory };
}

function settingsFor(options: MariaDbOptions): Readonly<Record<string, string>> {
  return { ...DEFAULT_SETTINGS, ...(options.durable === true ? {} : VOLATILE_SETTINGS), ...options.settings };
}

const optionFile = (settings: Readonly<Record<string, string>>): string =>
  `[mariadbd]\n${Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('')}`;

/** Makes an empty data directory once a version and user, which takes some seconds, and keeps it under `.cache/` to be copied by every server. */
async function prepareTemplate(programs: MariaDbPrograms, user: UnixUser | undefined): Promise<string> {
  const parent = join(CACHE_FOLDER, 'mariadb-template');
  const template = join(parent, `${programs.version}-${user?.uid ?? process.getuid?.() ?? 0}`);
  if (await exists(template)) return template;
  await mkdir(parent, { recursive: true });
  const part = await mkdtemp(`${template}.part-`);
  // The server's user may not be able to enter the repository, so it is made elsewhere.
  const work = await mkdtemp(join(tmpdir(), 'switchyard-mariadb-install-'));
  try {
    if (user !== undefined) await runCommand('chown', [`${user.uid}:${user.gid}`, work]);
    const data = join(work, 'data');
    const quiet = ['--auth-root-authentication-method=normal', '--skip-name-resolve', '--skip-test-db', '--force'];
    await runCommand(programs.install, ['--no-defaults', `--basedir=${programs.base}`, `--datadir=${data}`, ...quiet], {
      cwd: work,
      env: programs.env,
      timeoutMs: INSTALL_LIMIT_MS,
      ...user,
    });
    await runCommand('cp', ['-a', data, join(part, 'data')]);
    await rename(join(part, 'data'), template).catch(ignoreExisting);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(part, { recursive: true, force: true });
  }
  return template;
}

const exists = (path: string): Promise<boolean> =>
  runCommand('test', ['-d', path]).then(
    () => true,
    () => false,
  );

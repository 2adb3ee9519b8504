import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { APT_FOLDER, unpackDebianPackages } from './apt.ts';
import { runCommand } from './command.ts';

/** Where downloaded programs and prepared data are kept from run to run; not under version control. */
export const CACHE_FOLDER = fileURLToPath(new URL('../../../.cache/', import.meta.url));

// The newest release of Debian that has Consul.
const CONSUL_RELEASE = 'bullseye';
const CONSUL_HINT = 'Consul is needed and was not found: put a `consul` binary (1.8 or newer) into your PATH, from your package manager or from the download page of its makers.';

const PYTHON_PACKAGES = ['python3-grpcio', 'python3-protobuf', 'protobuf-compiler', 'protobuf-compiler-grpc', 'libprotobuf-dev'] as const;
const PYTHON_HINT = `Python with grpcio, and protoc with its plugin for gRPC, are needed and were not found: apt-get install ${PYTHON_PACKAGES.join(' ')}.`;

const OLDEST_POSTGRES = 15;
const POSTGRES_PROGRAMS = ['postgres', 'initdb', 'pg_ctl', 'psql', 'pgbench'] as const;
const POSTGRES_HINT =
  'PostgreSQL 15 or newer is needed and was not found: install its server, psql and pgbench (Debian: apt-get install postgresql), or put their folder into your PATH.';

const OLDEST_MARIADB = [10, 6] as const;
const MARIADB_PROGRAMS = {
  server: ['usr/sbin/mariadbd', 'sbin/mariadbd'],
  client: ['usr/bin/mariadb', 'bin/mariadb'],
  install: ['usr/bin/mariadb-install-db', 'bin/mariadb-install-db'],
} as const;
const MARIADB_HINT = 'MariaDB 10.6 or newer is needed and was not found: install its server and client (Debian: apt-get install mariadb-server).';

/** Where to look; the defaults are this machine's. */
export interface SearchPlaces {
  /** Like the environment variable PATH. */
  readonly path?: string;
  readonly cacheFolder?: string;
  readonly aptFolder?: string;
  /** Folder with one folder a version of PostgreSQL, each with a `bin`. */
  readonly postgresFolder?: string;
}

/** Programs of one version of PostgreSQL. */
export interface PostgresPrograms {
  readonly version: number;
  readonly folder: string;
  /** For the programs' environment: where unpacked libraries are, when they are not installed. */
  readonly env: Readonly<Record<string, string>>;
}

/** Programs of one version of MariaDB, by their paths. */
export interface MariaDbPrograms {
  /** Such as "10.11.19". */
  readonly version: string;
  /** Folder that the server takes its messages and scripts from: `--basedir`. */
  readonly base: string;
  readonly server: string;
  readonly client: string;
  readonly install: string;
  /** For the programs' environment: where unpacked libraries are, when they are not installed. */
  readonly env: Readonly<Record<string, string>>;
}

const found = new Map<string, Promise<unknown>>();

/** One search at a time and one answer a place in this process; a failure is not remembered. */
function once<T>(key: string, search: () => Promise<T>): Promise<T> {
  const known = found.get(key) as Promise<T> | undefined;
  const answer = known ?? search();
  if (known === undefined) {
    found.set(key, answer);
    answer.catch(() => found.delete(key));
  }
  return answer;
}

/**
 * Path of a `consul` binary: from PATH, else from `.cache/consul`, into which it is downloaded from Debian when it is
 * not there yet (some seconds, once). Rejects with one line that says what to do where that is not possible.
 */
export function findConsul(places: SearchPlaces = {}): Promise<string> {
  return once(JSON.stringify(['consul', places]), async () => {
    const installed = await findInPath('consul', places.path ?? process.env.PATH ?? '');
    if (installed !== undefined) return installed;
    const folder = join(places.cacheFolder ?? CACHE_FOLDER, 'consul');
    const cached = join(folder, 'usr/bin/consul');
    if (await isExecutable(cached)) return cached;
    const request = { packages: ['consul'], release: CONSUL_RELEASE, aptFolder: places.aptFolder ?? APT_FOLDER, into: folder };
    await unpackDebianPackages(request).catch((cause: Error) => {
      throw new Error(`${CONSUL_HINT} (Downloading it from Debian failed: ${oneLine(cause)})`, { cause });
    });
    return cached;
  });
}

/** A Python with grpcio and protobuf, and in `env`'s PATH what makes code of a proto: the machine's own, else Debian's packages, unpacked into `.cache/python-grpc`. */
export function findPythonGrpc(places: SearchPlaces = {}): Promise<{ readonly python: string; readonly env: Readonly<Record<string, string>> }> {
  return once(JSON.stringify(['python', places]), async () => {
    const own = '/usr/bin/python3';
    const path = places.path ?? process.env.PATH ?? '';
    const hasAll = (python: string, env: Readonly<Record<string, string>>): Promise<boolean> =>
      runCommand(python, ['-c', 'import grpc, google.protobuf, shutil; assert shutil.which("protoc") and shutil.which("grpc_python_plugin")'], { env }).then(
        () => true,
        () => false,
      );
    if (await hasAll(own, { PATH: path })) return { python: own, env: { PATH: path } };
    const folder = join(places.cacheFolder ?? CACHE_FOLDER, 'python-grpc');
    const env = {
      PATH: [join(folder, 'usr/bin'), path].join(delimiter),
      PYTHONPATH: join(folder, 'usr/lib/python3/dist-packages'),
      LD_LIBRARY_PATH: ['usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu', 'lib/x86_64-linux-gnu'].map((part) => join(folder, part)).join(delimiter),
    };
    if (!(await isExecutable(folder))) {
      const request = { packages: PYTHON_PACKAGES, aptFolder: places.aptFolder ?? APT_FOLDER, into: folder };
      await unpackDebianPackages(request).catch((cause: Error) => {
        throw new Error(`${PYTHON_HINT} (Downloading it from Debian failed: ${oneLine(cause)})`, { cause });
      });
    }
    const python = (await isExecutable(own)) ? own : join(folder, 'usr/bin/python3');
    if (!(await hasAll(python, env))) throw new Error(`${PYTHON_HINT} (Debian's packages in ${folder} do not run here)`);
    return { python, env };
  });
}

/**
 * The newest PostgreSQL on this machine whose folder has all programs that we use: from PATH, `/usr/lib/postgresql`, or
 * `.cache/postgres` (root's `/var/cache/switchyard`, should nobody else be able to enter the repository), into which Debian's packages are unpacked when there is none (nothing is installed and no server
 * started). Rejects with one line that says what to do where that is not possible.
 */
export function findPostgres(places: SearchPlaces = {}): Promise<PostgresPrograms> {
  return once(JSON.stringify(['postgres', places]), async () => {
    const installed = await newestPostgres([
      ...(places.path ?? process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
      ...(await versionFolders(places.postgresFolder ?? '/usr/lib/postgresql')),
    ]);
    if (installed !== undefined) return installed;
    const folder = join(places.cacheFolder ?? (await cacheForServers()), 'postgres');
    const cached = await unpackedPostgres(folder);
    if (cached !== undefined) return cached;
    const request = { packages: ['postgresql'], into: folder };
    await unpackDebianPackages(request).catch((cause: Error) => {
      throw new Error(`${POSTGRES_HINT} (Downloading it from Debian failed: ${oneLine(cause)})`, { cause });
    });
    const unpacked = await unpackedPostgres(folder);
    if (unpacked === undefined) throw new Error(`${POSTGRES_HINT} (What Debian has is incomplete or older.)`);
    return unpacked;
  });
}

/**
 * MariaDB's server, client and installer: the machine's own under `/usr`, else Debian's packages, unpacked into `.cache/mariadb` (nothing is installed and no server started). Rejects with one line that says what to do where
 * that is not possible.
 */
export function findMariaDb(places: SearchPlaces = {}): Promise<MariaDbPrograms> {
  return once(JSON.stringify(['mariadb', places]), async () => {
    const installed = await mariaDbUnder('/');
    if (installed !== undefined) return installed;
    const folder = join(places.cacheFolder ?? (await cacheForServers()), 'mariadb');
    const cached = await mariaDbUnder(folder);
    if (cached !== undefined) return cached;
    await unpackDebianPackages({ packages: ['mariadb-server'], aptFolder: places.aptFolder ?? APT_FOLDER, into: folder }).catch((cause: Error) => {
      throw new Error(`${MARIADB_HINT} (Downloading it from Debian failed: ${oneLine(cause)})`, { cause });
    });
    const unpacked = await mariaDbUnder(folder);
    if (unpacked === undefined) throw new Error(`${MARIADB_HINT} (What Debian has is incomplete or older.)`);
    return unpacked;
  });
}

async function mariaDbUnder(root: string): Promise<MariaDbPrograms | undefined> {
  const pathOf = async (candidates: readonly string[]): Promise<string | undefined> => {
    for (const candidate of candidates) if (await isExecutable(join(root, candidate))) return join(root, candidate);
    return undefined;
  };
  const [server, client, install] = await Promise.all([MARIADB_PROGRAMS.server, MARIADB_PROGRAMS.client, MARIADB_PROGRAMS.install].map(pathOf));
  if (server === undefined || client === undefined || install === undefined) return undefined;
  const env = root === '/' ? {} : { LD_LIBRARY_PATH: await librariesUnder(root) };
  const version = /\d+\.\d+\.\d+/.exec(await runCommand(server, ['--no-defaults', '--version'], { env }))?.[0] ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_MARIADB;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) return undefined;
  return { version, base: join(root, 'usr'), server, client, install, env };
}

async function unpackedPostgres(folder: string): Promise<PostgresPrograms | undefined> {
  return newestPostgres(await versionFolders(join(folder, 'usr/lib/postgresql')), { LD_LIBRARY_PATH: await librariesUnder(folder) });
}

/** Where the libraries of packages are that were unpacked into this folder. */
async function librariesUnder(folder: string): Promise<string> {
  const libraries = (await readdir(join(folder, 'usr/lib')).catch(() => [])).filter((name) => name.endsWith('-linux-gnu'));
  return libraries.map((name) => join(folder, 'usr/lib', name)).join(delimiter);
}

async function versionFolders(parent: string): Promise<readonly string[]> {
  const versions = await readdir(parent).catch(() => []);
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(parent, version, 'bin'));
}

async function newestPostgres(folders: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<PostgresPrograms | undefined> {
  const complete: PostgresPrograms[] = [];
  for (const folder of folders) {
    const present = await Promise.all(POSTGRES_PROGRAMS.map((program) => isExecutable(join(folder, program))));
    if (present.includes(false)) continue;
    const version = Number(/\d+/.exec(await runCommand(join(folder, 'postgres'), ['--version'], { env }))?.[0]);
    if (version >= OLDEST_POSTGRES) complete.push({ version, folder, env });
  }
  return complete.sort((a, b) => b.version - a.version)[0];
}

async function findInPath(program: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    if (folder !== '' && (await isExecutable(join(folder, program)))) return join(folder, program);
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function oneLine(error: Error): string {
  return error.message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
}

// A server of root's runs as somebody else, who has to be able to enter the folder of its programs.
async function cacheForServers(): Promise<string> {
  return process.getuid?.() !== 0 || (await isOpenToAll(dirname(CACHE_FOLDER))) ? CACHE_FOLDER : '/var/cache/switchyard';
}

async function isOpenToAll(folder: string): Promise<boolean> {
  if (folder === dirname(folder)) return true;
  return ((await stat(folder)).mode & 0o001) !== 0 && (await isOpenToAll(dirname(folder)));
}

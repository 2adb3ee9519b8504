import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ignoreExisting } from './apt.ts';
import { runCommand } from './command.ts';
import { CACHE_FOLDER, type PostgresPrograms } from './debian.ts';
import type { UnixUser } from './supervisor-protocol.ts';

const LOCALE = ['--locale=C', '--encoding=UTF8'];

/** A data directory as initdb leaves it, never used by a server itself, and its superuser's password. */
export interface PostgresTemplate {
  readonly directory: string;
  readonly password: string;
}

/** PostgreSQL refuses to run as root. Undefined when this process is not root's and its own user serves. */
export async function findPostgresUser(): Promise<UnixUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all(['-u', '-g'].map((flag) => runCommand('id', [flag, name]).catch(() => '')));
    const [uid, gid] = ids.map((text) => Number.parseInt(text, 10));
    if (uid !== undefined && gid !== undefined && uid > 0 && gid > 0) return { uid, gid };
  }
  throw new Error('PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`');
}

/**
 * Runs initdb once a version and user, which takes a second, and keeps the result under `.cache/` to be copied by every
 * server. Callers at the same time, in this process or others, each make one and the first to be ready wins.
 */
export async function preparePostgresTemplate(programs: PostgresPrograms, user: UnixUser | undefined): Promise<PostgresTemplate> {
  const version = (await runCommand(join(programs.folder, 'postgres'), ['--version'], { env: programs.env })).trim().replace(/[^\w.]+/g, '-');
  const parent = join(CACHE_FOLDER, 'postgres-template');
  const template = join(parent, `${version}-${user?.uid ?? process.getuid?.() ?? 0}`);
  const known = await readTemplate(template);
  if (known !== undefined) return known;

  await mkdir(parent, { recursive: true });
  const part = await mkdtemp(`${template}.part-`);
  // The server's user may not be able to enter the repository, so initdb works elsewhere.
  const work = await mkdtemp(join(tmpdir(), 'switchyard-initdb-'));
  try {
    const password = randomBytes(12).toString('hex');
    const passwordFile = join(work, 'password');
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (user !== undefined) await runCommand('chown', ['-R', `${user.uid}:${user.gid}`, work]);
    const data = join(work, 'data');
    const auth = ['--auth=scram-sha-256', '--username=postgres', `--pwfile=${passwordFile}`];
    await runCommand(join(programs.folder, 'initdb'), ['-D', data, '--no-sync', ...LOCALE, ...auth], { cwd: work, env: programs.env, ...user });
    await runCommand('cp', ['-a', data, passwordFile, part]);
    await rename(part, template).catch(ignoreExisting);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(part, { recursive: true, force: true });
  }
  const made = await readTemplate(template);
  if (made === undefined) throw new Error(`the PostgreSQL template in ${template} is incomplete: remove it`);
  return made;
}

async function readTemplate(template: string): Promise<PostgresTemplate | undefined> {
  const password = await readFile(join(template, 'password'), 'utf8').catch(() => undefined);
  return password === undefined ? undefined : { directory: join(template, 'data'), password };
}

import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from './command.ts';

const APT_TIMEOUT_MS = 300_000;

/** Where the machine keeps its list of package sources. */
export const APT_FOLDER = '/etc/apt';

// The names that Debian gives to whole releases. A source whose suites are none of these (a security or updates pocket,
// somebody else's archive) has no counterpart in another release.
const RELEASES: ReadonlySet<string> = new Set(['bullseye', 'bookworm', 'trixie', 'forky', 'sid', 'oldoldstable', 'oldstable', 'stable', 'testing', 'unstable']);

/**
 * The machine's own Debian sources as they would read for another release: the text of a `.list` and of a `.sources`
 * file, either of them empty when the machine has none of that kind.
 */
export async function sourcesForRelease(release: string, aptFolder = APT_FOLDER): Promise<{ list: string; deb822: string }> {
  const parts = join(aptFolder, 'sources.list.d');
  const names = await readdir(parts).catch(() => []);
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const readAll = (ending: string) => Promise.all(names.filter((name) => name.endsWith(ending)).map((name) => read(join(parts, name))));
  const lists = [await read(join(aptFolder, 'sources.list')), ...(await readAll('.list'))];
  const stanzas = (await readAll('.sources')).flatMap((text) => withoutComments(text).split(/\n\s*\n/));
  return {
    list: lists.flatMap((text) => text.split('\n').flatMap((line) => listLineFor(release, line))).join(''),
    deb822: stanzas.flatMap((stanza) => stanzaFor(release, stanza)).join('\n'),
  };
}

function withoutComments(text: string): string {
  return text.replace(/^#.*\n/gm, '');
}

/** `deb [options] uri suite component...`; the options may contain spaces. */
function listLineFor(release: string, line: string): readonly string[] {
  const match = /^\s*deb\s+(?<options>\[[^\]]*\]\s+)?(?<uri>\S+)\s+(?<suite>\S+)\s+\S/.exec(line);
  const { options = '', uri = '', suite = '' } = match?.groups ?? {};
  return RELEASES.has(suite) ? [`deb ${options}${uri} ${release} main\n`] : [];
}

function stanzaFor(release: string, stanza: string): readonly string[] {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(stanza)?.[1]?.trim();
  const suites = field('Suites')?.split(/\s+/) ?? [];
  const isBinary = field('Types')?.split(/\s+/).includes('deb') ?? false;
  const isEnabled = field('Enabled')?.toLowerCase() !== 'no';
  if (!isBinary || !isEnabled || !suites.some((suite) => RELEASES.has(suite))) return [];
  const replaced = stanza
    .replace(/^Types:.*$/im, 'Types: deb')
    .replace(/^Suites:.*$/im, `Suites: ${release}`)
    .replace(/^Components:.*$/im, 'Components: main');
  return [`${replaced.trim()}\n`];
}

export interface AptRequest {
  readonly packages: readonly string[];
  /** Take the packages of this Debian release, without what they depend on; otherwise this machine's, with it. */
  readonly release?: string;
  readonly aptFolder?: string;
  /** The packages' files end up under this folder, which appears only when it is complete. */
  readonly into: string;
}

/**
 * Downloads Debian packages and unpacks them into a folder, without installing anything: no root needed, no maintainer
 * script runs, and apt's own lists, cache and settings stay as they are (its proxy, keys and access settings are used).
 * Callers at the same time each download and the first to be ready wins. Rejects where there is no apt, no source for
 * the release, no such package or no network, at the latest after some minutes.
 */
export async function unpackDebianPackages(request: AptRequest): Promise<void> {
  const { packages, release, into } = request;
  await mkdir(dirname(into), { recursive: true });
  const work = await mkdtemp(`${into}.part-`);
  try {
    const options = await privateApt(work, release, request.aptFolder ?? APT_FOLDER);
    const run = (...args: readonly string[]) => runCommand('apt-get', [...options, ...args], { cwd: join(work, 'debs'), timeoutMs: APT_TIMEOUT_MS });
    // One source that cannot be reached does not matter when another has the package: the download decides.
    await run('update').catch(() => {});
    if (release === undefined) await run('install', '--download-only', '--no-install-recommends', '--yes', ...packages);
    else await run('download', ...packages);
    const unpacked = join(work, 'unpacked');
    for (const deb of await findDebs(work)) await runCommand('dpkg', ['-x', deb, unpacked]);
    await rename(unpacked, into).catch(ignoreExisting);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function privateApt(work: string, release: string | undefined, aptFolder: string): Promise<readonly string[]> {
  for (const folder of ['debs', 'parts', 'state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(work, folder), { recursive: true });
  }
  // Hooks of the machine act on the machine's own apt folders.
  const hooks = ['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success', 'DPkg::Post-Invoke'];
  await writeFile(join(work, 'apt.conf'), hooks.map((hook) => `#clear ${hook};\n`).join(''));
  const settings = [
    `Dir::State=${join(work, 'state')}`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${join(work, 'cache')}`,
    'Acquire::Languages=none',
    'APT::Sandbox::User=root', // the unprivileged user of apt may not be able to enter this folder
    'Debug::NoLocking=true', // the lock protects the machine's own state, which only root can lock
  ];
  if (release !== undefined) {
    const { list, deb822 } = await sourcesForRelease(release, aptFolder);
    if (list === '' && deb822 === '') throw new Error(`${aptFolder} names no source of a Debian release`);
    await writeFile(join(work, 'sources.list'), list);
    await writeFile(join(work, 'parts', 'release.sources'), deb822);
    settings.push(`Dir::Etc::SourceList=${join(work, 'sources.list')}`, `Dir::Etc::SourceParts=${join(work, 'parts')}`);
    settings.push('Acquire::Check-Valid-Until=false'); // nobody renews the dates of an old release
  }
  return ['-c', join(work, 'apt.conf'), ...settings.flatMap((setting) => ['-o', setting])];
}

async function findDebs(work: string): Promise<readonly string[]> {
  const folders = [join(work, 'debs'), join(work, 'cache', 'archives')];
  const found = await Promise.all(folders.map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))));
  return found.flat().filter((path) => path.endsWith('.deb'));
}

/** For renaming a finished folder into place when somebody else may have been faster. */
export function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
}

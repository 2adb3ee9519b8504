import { access, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackDebianPackages } from '../support/servers/apt.ts';
import { CACHE_FOLDER } from '../support/servers/debian.ts';

const folder = join(CACHE_FOLDER, 'libfaketime');
/** For every architecture of Linux that the processes run on here. */
const candidates = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']
  .flatMap((place) => [place, join(folder, place)])
  .map((place) => join(place, 'faketime/libfaketime.so.1'));

async function installed(): Promise<string | null> {
  for (const file of candidates) {
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return null;
}

/** The library that gives a process a clock of its own, from the system or unpacked from its packages. Null where it cannot be had. */
export async function findFaketime(): Promise<string | null> {
  const there = await installed();
  if (there !== null) return there;
  try {
    await unpackDebianPackages({ packages: ['libfaketime'], into: folder });
  } catch {
    return null;
  }
  return installed();
}

/** Wall clocks of processes, each of which can jump; the monotonic ones stay true. */
export class Clocks {
  readonly #library: string;
  readonly #directory: string;

  private constructor(library: string, directory: string) {
    this.#library = library;
    this.#directory = directory;
  }

  static async create(directory: string): Promise<Clocks> {
    const library = await findFaketime();
    if (library === null) throw new Error('there is no libfaketime on this machine');
    return new Clocks(library, directory);
  }

  /** Environment of the process of this name. Its clock is right until it is set. */
  envOf(process: string): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file(process),
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DISABLE_SHM: '1',
    };
  }

  /** From at most a second later on the process's clock is wrong by so much. */
  async set(process: string, offsetS: number): Promise<void> {
    const file = this.#file(process);
    await writeFile(`${file}.part`, `${offsetS < 0 ? '' : '+'}${offsetS}\n`);
    await rename(`${file}.part`, file);
  }

  #file(process: string): string {
    return join(this.#directory, `${process}.clock`);
  }
}

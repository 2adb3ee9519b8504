import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackDebianPackages } from '../support/servers/apt.ts';
import { runCommand } from '../support/servers/command.ts';
import { CACHE_FOLDER } from '../support/servers/debian.ts';

const folder = join(CACHE_FOLDER, 'nftables');
/** Beside the ones of other runs, whose process is in their name. */
const prefix = 'switchyard_fault_';

interface Nft {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
}

const places: readonly Nft[] = [
  { file: '/usr/sbin/nft', env: {} },
  { file: join(folder, 'usr/sbin/nft'), env: { LD_LIBRARY_PATH: ['x86_64', 'aarch64'].map((cpu) => join(folder, `usr/lib/${cpu}-linux-gnu`)).join(':') } },
];

async function findNft(): Promise<Nft | null> {
  for (const place of places) {
    const isThere = await access(place.file).then(
      () => true,
      () => false,
    );
    if (isThere) return place;
  }
  return null;
}

/** Drops packets on loopback, as the kernel does it: whoever speaks hears nothing at all. */
export class PacketFilter {
  readonly #nft: Nft;
  readonly #table = `${prefix}${process.pid}`;

  private constructor(nft: Nft) {
    this.#nft = nft;
  }

  /** Null, or why there can be none here. Takes away what a run left behind that was killed. */
  static async open(): Promise<PacketFilter | string> {
    if ((await findNft()) === null) await unpackDebianPackages({ packages: ['nftables'], into: folder }).catch(() => {});
    const nft = await findNft();
    if (nft === null) return 'there is no nft on this machine, and none can be had';
    const filter = new PacketFilter(nft);
    try {
      await filter.#clean();
      await filter.drop([1]);
      await filter.pass();
      return filter;
    } catch (error) {
      return `packets cannot be filtered here: ${String(error)}`;
    }
  }

  /** From now on, whatever comes to or from these ports of loopback, until `pass`. */
  async drop(ports: readonly number[]): Promise<void> {
    const set = `{ ${ports.join(', ')} }`;
    await this.#run(`table inet ${this.#table} {
      chain input { type filter hook input priority 0; iif lo tcp dport ${set} drop; iif lo tcp sport ${set} drop; }
    }`);
  }

  async pass(): Promise<void> {
    await this.#run(`delete table inet ${this.#table}`);
  }

  async #clean(): Promise<void> {
    const tables = await runCommand(this.#nft.file, ['list', 'tables', 'inet'], { env: this.#nft.env });
    for (const [, name = '', pid] of tables.matchAll(new RegExp(`(${prefix}(\\d+))`, 'g'))) if (!(await isAlive(Number(pid)))) await this.#run(`delete table inet ${name}`);
  }

  async #run(input: string): Promise<void> {
    await runCommand(this.#nft.file, ['-f', '-'], { env: this.#nft.env, input });
  }
}

const isAlive = (pid: number): Promise<boolean> =>
  access(`/proc/${pid}`).then(
    () => true,
    () => false,
  );

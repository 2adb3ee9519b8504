import { Dice } from '../bench/cutover/workload.ts';
import type { PostgresServer } from '../support/servers/postgres.ts';
import { FaultProxy } from './proxy/fault-proxy.ts';
import { Link } from './proxy/link.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Every session of ours in a PostgreSQL store names its process: "switchyard gateway-1 look-ups". */
const sessionName = /application_name\0switchyard ([^\0 ]+)/;

/** A proxy between every two parties that speak to each other. */
export class Network implements AsyncDisposable {
  readonly #seed: number;
  readonly #links = new Map<string, Link>();
  readonly #ports = new Map<string, number>();
  readonly #stack = new AsyncDisposableStack();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** In order of name. */
  get links(): readonly Link[] {
    return [...this.#links.keys()].toSorted().map((name) => this.link(...(name.split(' ') as [string, string])));
  }

  link(from: string, to: string): Link {
    const name = `${from} ${to}`;
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const link = new Link(from, to, new Dice(this.#seed + this.#links.size + 1));
    this.#links.set(name, link);
    return link;
  }

  /** The port on 127.0.0.1 by which this party reaches that one, and nobody else does. */
  async between(from: string, to: string, target: Address): Promise<number> {
    const link = this.link(from, to);
    const { port } = this.#stack.use(await FaultProxy.open({ ...target, oneParty: true, linkOf: () => link }));
    this.#ports.set(`${from} ${to}`, port);
    return port;
  }

  /** The port on 127.0.0.1 by which every process reaches this store. */
  async toStore(name: string, { host, port }: PostgresServer): Promise<number> {
    const linkOf = (first: Buffer): Link => this.link(sessionName.exec(first.toString('latin1'))?.[1] ?? 'somebody', name);
    const proxy = this.#stack.use(await FaultProxy.open({ host, port, oneParty: false, linkOf }));
    this.#ports.set(`* ${name}`, proxy.port);
    return proxy.port;
  }

  /** Of the proxies, by who connects (a store's: "*") and to whom. */
  get ports(): ReadonlyMap<string, number> {
    return this.#ports;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

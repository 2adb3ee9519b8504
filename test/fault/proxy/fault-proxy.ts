import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Link } from './link.ts';
import { ProxiedConnection } from './proxied-connection.ts';

export interface FaultProxyOptions {
  readonly host: string;
  readonly port: number;
  /** The link that a new connection belongs to, by what it says first. */
  readonly linkOf: (first: Buffer) => Link;
  /** A connection belongs to its link before it has said anything, and is given nothing to `linkOf`: where only one party comes here. */
  readonly oneParty: boolean;
}

/** A TCP proxy on loopback between parties; each link is treated by itself. */
export class FaultProxy implements AsyncDisposable {
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: FaultProxyOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    server.on('connection', (near) => this.#take(near));
  }

  static async open(options: FaultProxyOptions): Promise<FaultProxy> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    const proxy = new FaultProxy(options, server);
    const listening = Promise.withResolvers<void>();
    server.once('error', listening.reject);
    server.listen({ host: '127.0.0.1', port: 0 }, listening.resolve);
    await listening.promise;
    server.unref();
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    for (const socket of this.#sockets) socket.destroy();
    await closed.promise;
  }

  #take(near: Socket): void {
    this.#sockets.add(near);
    near.once('close', () => this.#sockets.delete(near));
    const join = (first: Buffer): void => {
      new ProxiedConnection(near, this.#options, this.#options.linkOf(first), first);
    };
    if (this.#options.oneParty) {
      join(Buffer.alloc(0));
      return;
    }
    near.on('error', () => {});
    near.once('data', join);
  }
}

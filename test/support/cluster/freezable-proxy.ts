import { createServer, connect, type Server, type Socket } from 'node:net';

/**
 * A TCP relay on loopback that can be frozen: connections stay up and new ones are accepted, but no byte passes until it is thawed; nothing is lost. It is what a network that stalls looks like to both ends.
 */
export class FreezableProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  #frozen = false;
  #holdsNew = false;
  #held = 0;

  private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (near) => this.#relay(near));
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<FreezableProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new FreezableProxy(server, target);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    server.unref();
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    return address.port;
  }

  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** From here on new connections alone are frozen, until `thaw`. */
  holdNew(): void {
    this.#holdsNew = true;
  }

  /** Connections that were frozen since they were new. */
  get held(): number {
    return this.#held;
  }

  thaw(): void {
    this.#frozen = false;
    this.#holdsNew = false;
    this.#held = 0;
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #relay(near: Socket): void {
    if (this.#holdsNew) this.#held += 1;
    const far = connect({ ...this.#target, noDelay: true });
    this.#join(near, far);
    this.#join(far, near);
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    if (this.#frozen || this.#holdsNew) from.pause();
    from.on('data', (bytes) => {
      if (!to.write(bytes)) {
        from.pause();
        to.once('drain', () => {
          if (!this.#frozen) from.resume();
        });
      }
    });
    from.on('end', () => to.end());
    // A broken half ends the other half; whoever is at the ends sees it there.
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

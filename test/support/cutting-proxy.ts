import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** What to do with a piece that passes: let it through, hold it back for ever, or pass the first `keep` bytes and reset both connections. */
export type Treatment = 'pass' | 'hold' | { readonly cutAfter: number };

export interface Piece {
  readonly direction: 'request' | 'answer';
  readonly bytes: Buffer;
  /** All request bytes of this connection since the last answer began, to know what an answer belongs to. */
  readonly request: string;
}

/** A TCP proxy on loopback that can break connections at a chosen point. Everything passes until `treat` is set. */
export class CuttingProxy implements AsyncDisposable {
  treat: (piece: Piece) => Treatment = () => 'pass';
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a free port and leads to `target`, e.g. "http://127.0.0.1:8500". */
  static async open(target: string): Promise<CuttingProxy> {
    const url = new URL(target);
    const server = createServer();
    const proxy = new CuttingProxy(server);
    server.on('connection', (client) => proxy.#join(client, connect(Number(url.port), url.hostname)));
    const listening = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', listening.resolve);
    await listening.promise;
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    for (const socket of this.#sockets) socket.destroy();
    await closed.promise;
  }

  #join(client: Socket, server: Socket): void {
    let request = '';
    let answering = false;
    client.on('data', (bytes: Buffer) => {
      if (answering) request = '';
      answering = false;
      request += bytes.toString('latin1');
      this.#forward({ direction: 'request', bytes, request }, server, client);
    });
    server.on('data', (bytes: Buffer) => {
      answering = true;
      this.#forward({ direction: 'answer', bytes, request }, client, server);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      // A reset of one side is what this proxy is for: it only has to reach the other one.
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  #forward(piece: Piece, to: Socket, from: Socket): void {
    const treatment = this.treat(piece);
    if (treatment === 'hold') return;
    if (treatment === 'pass') {
      to.write(piece.bytes);
      return;
    }
    to.write(piece.bytes.subarray(0, treatment.cutAfter), () => {
      // A moment, so that what was written is read before the reset throws it away.
      setTimeout(() => {
        to.resetAndDestroy();
        from.resetAndDestroy();
      }, 20);
    });
  }
}

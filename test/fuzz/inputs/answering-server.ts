import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A request as it came. */
export interface Asked {
  readonly line: string;
  readonly body: string;
}

/** Answers each request with the next bytes that it was given, whatever they are, and ends the connection. */
export class AnsweringServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #answers: Buffer[] = [];
  #asked: Asked[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => this.#serve(socket));
  }

  static async open(): Promise<AnsweringServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new AnsweringServer(server);
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What it answers from now on; with nothing left it says that it cannot. */
  answer(answers: readonly Buffer[]): void {
    this.#answers = [...answers];
    this.#asked = [];
  }

  get asked(): readonly Asked[] {
    return this.#asked;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {}); // the client has gone
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = text.slice(0, end);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      this.#asked.push({ line: head.split('\r\n')[0] ?? '', body: text.slice(end + 4) });
      text = '';
      socket.end(this.#answers.shift() ?? wholeAnswer(503, '', 'text/plain'));
    });
  }
}

/** An answer as it must be. */
export function wholeAnswer(status: number, body: string, type = 'application/json'): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} Something\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

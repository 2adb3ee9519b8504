import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { httpLimits } from './limits.ts';

interface Line {
  /** Requests that are not answered to their end. */
  waiting: number;
  tail: Promise<void>;
}

/**
 * The connections of a server. What a caller sends down one connection without waiting is done in that order, each request when the answer to the one before is sent: two writes never change places. None is begun once the
 * connection is closed or the server drains.
 */
export class Connections {
  readonly #server: Server;
  readonly #lines = new Map<Socket, Line>();
  #draining = false;

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#lines.set(socket, { waiting: 0, tail: Promise.resolve() });
      socket.once('close', () => this.#lines.delete(socket));
    });
  }

  /** Whether a request of this connection is still to be answered: nothing else may be written to it, or the caller would take it for that answer. */
  isAnswering(socket: Socket): boolean {
    return (this.#lines.get(socket)?.waiting ?? 0) > 0;
  }

  /** Calls `handle` when it is this request's turn. `handle` never rejects. */
  enter({ socket }: IncomingMessage, response: ServerResponse, handle: () => Promise<void>): void {
    const line = this.#lines.get(socket);
    if (line === undefined || line.waiting >= httpLimits.requestsInLine) {
      socket.destroy();
      return;
    }
    line.waiting += 1;
    line.tail = line.tail.then(() => this.#next(line, socket, response, handle));
  }

  async #next(line: Line, socket: Socket, response: ServerResponse, handle: () => Promise<void>): Promise<void> {
    if (socket.writable && !this.#draining) {
      const closed = new Promise<void>((resolve) => response.once('close', () => resolve()));
      await handle();
      await closed;
    }
    line.waiting -= 1;
    if (this.#draining && line.waiting === 0) socket.destroySoon();
  }

  /** Takes no new connections, ends those without a request at once and the others when their request is answered; after `limitMs` they are cut. */
  drain(limitMs: number, clock: Clock): Promise<void> {
    this.#draining = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(limitMs, () => {
      for (const socket of this.#lines.keys()) socket.destroy();
    });
    // Not the HTTP server's own `close`: that takes a connection for idle whose answer is still being sent, and cuts it.
    NetServer.prototype.close.call(this.#server, () => {
      cancel();
      this.#server.close(() => {}); // ends its timers
      resolve();
    });
    for (const [socket, { waiting }] of this.#lines) if (waiting === 0) socket.destroySoon();
    return promise;
  }
}

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { type BatchEnd, CommitWatch } from './commit-watch.ts';

const settleLimitMs = 15_000;

/** How a connection is cut in its commit. To the client all three look the same. */
export type CommitCut =
  /** The server never gets it. */
  | { readonly how: 'lost' }
  /** The server does it, and its answer is thrown away. */
  | { readonly how: 'unanswered' }
  /** The client loses the connection at once; the server gets the commit after that. */
  | { readonly how: 'late'; readonly afterMs: number };

export interface StoreRelayOptions {
  readonly host: string;
  readonly port: number;
  /** Whose connections can be cut; everybody else's pass. */
  readonly user: string;
  /** Asked whenever one of them commits; null: this one passes. */
  readonly commitCut: () => CommitCut | null;
  /** Told of each such cut when it is over: whether the server did commit. */
  readonly onCommitCut: (cut: CommitCut, committed: boolean) => void;
}

/** A TCP relay on loopback in front of a PostgreSQL server, which can cut the connections of one login: now, or right when they commit. */
export class StoreRelay implements AsyncDisposable {
  readonly #options: StoreRelayOptions;
  readonly #server: Server;
  readonly #connections = new Set<RelayedConnection>();

  private constructor(options: StoreRelayOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    server.on('connection', (near) => this.#relay(near));
  }

  static async open(options: StoreRelayOptions): Promise<StoreRelay> {
    const server = createServer({ noDelay: true });
    const relay = new StoreRelay(options, server);
    const listening = Promise.withResolvers<void>();
    server.once('error', listening.reject);
    server.listen({ host: '127.0.0.1', port: 0 }, listening.resolve);
    await listening.promise;
    server.unref();
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The connections that can be cut. */
  get connections(): readonly RelayedConnection[] {
    return [...this.#connections].filter((connection) => connection.user === this.#options.user && !connection.isCut);
  }

  /** Resolves when the server has answered all commits that were cut on their way to it. */
  async settled(): Promise<void> {
    await waitUntil('the end of the commits that were cut', { limitMs: settleLimitMs, everyMs: 10 }, async () =>
      [...this.#connections].some((connection) => connection.isCut) ? undefined : true,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    for (const connection of this.#connections) connection.reset();
    await closed.promise;
  }

  #relay(near: Socket): void {
    const connection = new RelayedConnection(near, this.#options, () => this.#connections.delete(connection));
    this.#connections.add(connection);
  }
}

/** One connection through the relay, from the client (near) to the server (far). */
export class RelayedConnection {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #options: StoreRelayOptions;
  readonly #watch = new CommitWatch();
  #cut: CommitCut | null = null;

  constructor(near: Socket, options: StoreRelayOptions, onEnd: () => void) {
    this.#near = near;
    this.#far = connect({ host: options.host, port: options.port, noDelay: true });
    this.#options = options;
    near.on('data', (bytes: Buffer) => this.#forward(bytes));
    this.#far.on('data', (bytes: Buffer) => this.#answer(bytes));
    near.on('end', () => this.#far.end());
    this.#far.on('end', () => near.end());
    // A side that breaks is told by its end.
    near.on('error', () => {});
    this.#far.on('error', () => {});
    near.on('close', () => {
      if (this.#cut === null) this.#far.destroy();
    });
    this.#far.on('close', () => {
      if (this.#cut !== null) this.#endCut('failed');
      near.destroy();
      onEnd();
    });
  }

  get user(): string | null {
    return this.#watch.user;
  }

  /** Whether the client waits for an answer. */
  get waiting(): boolean {
    return this.#watch.waiting;
  }

  /** It is being cut in its commit. */
  get isCut(): boolean {
    return this.#cut !== null;
  }

  /** Breaks both sides, whatever is on its way. */
  reset(): void {
    this.#near.resetAndDestroy();
    this.#far.resetAndDestroy();
  }

  #forward(bytes: Buffer): void {
    const commits = this.#watch.sent(bytes);
    const cut = commits && this.user === this.#options.user ? this.#options.commitCut() : null;
    if (cut === null) {
      pass(bytes, this.#near, this.#far);
      return;
    }
    this.#cut = cut;
    if (cut.how === 'unanswered') {
      this.#far.write(bytes);
      return;
    }
    this.#near.resetAndDestroy();
    if (cut.how === 'lost') this.#far.resetAndDestroy();
    else setTimeout(() => this.#far.write(bytes), cut.afterMs);
  }

  #answer(bytes: Buffer): void {
    const end = this.#watch.answered(bytes);
    if (this.#cut === null) pass(bytes, this.#far, this.#near);
    else if (end !== null) this.#endCut(end);
  }

  #endCut(end: BatchEnd): void {
    const cut = this.#cut;
    if (cut === null) return;
    this.#cut = null;
    this.#options.onCommitCut(cut, end === 'committed');
    this.reset();
  }
}

function pass(bytes: Buffer, from: Socket, to: Socket): void {
  if (to.write(bytes)) return;
  from.pause();
  to.once('drain', () => from.resume());
}

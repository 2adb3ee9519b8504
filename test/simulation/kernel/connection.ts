import type { Network } from './network.ts';
import type { SimProcess } from './process.ts';
import type { Timeline } from './scheduler.ts';

/** What a server keeps for one connection. */
export interface ServerSession {
  /** Somebody asks, on another connection, to end what the session does now. */
  cancel(): void;
  /** The other end has closed the connection. What the session is in the middle of goes on to its end. */
  close(): void;
}

/** Something that can be connected to. `process` is what runs there now; a restart is another one. */
export interface Host<S extends ServerSession> {
  readonly place: string;
  readonly process: SimProcess;
  openSession(): S;
  readonly connections: Set<Connection<S>>;
}

/** No answer came. `sent`: the request may have arrived, so that nobody knows what became of it. */
export class ConnectionLost extends Error {
  readonly sent: boolean;

  constructor(why: string, sent: boolean) {
    super(why);
    this.name = 'ConnectionLost';
    this.sent = sent;
  }
}

/** The caller gave up before an answer came. */
export class GivenUp extends Error {
  constructor() {
    super('the caller did not wait for the answer');
    this.name = 'GivenUp';
  }
}

export interface SendOptions {
  readonly signal: AbortSignal;
  /** What an abort does: the caller leaves at once; or it waits a little, asks the server to end what it does, and waits for the answer for a while; or the same without asking. */
  readonly onAbort: 'leave' | 'cancel' | 'wait';
}

/** How long an answer is waited for after an abort, before the server is asked to cancel and after it. */
const cancelAfterMs = 200;
const cancelLimitMs = 1_000;

/** A connection, whatever it leads to. */
export type AnyConnection = Pick<Connection<ServerSession>, 'break' | 'drop' | 'isOrphaned'>;

/** As long as PostgreSQL's clients take at most, once the server answers, to find that a silent connection is dead. */
const foundDeadMs = 3_000;

const refused = 'the connection was refused';
const brokenText = 'the connection broke';

interface Pending {
  readonly settle: (act: () => void) => void;
  readonly reject: (error: unknown) => void;
}

/** One connection of a process to a host. Requests follow each other; each is one message there and one back. */
export class Connection<S extends ServerSession> {
  readonly #client: SimProcess;
  readonly #host: Host<S>;
  readonly #network: Network;
  readonly #scheduler: Timeline;
  #session: S | null = null;
  /** What ran at the host when the connection was made. */
  #server: SimProcess | null = null;
  #lost: string | null = null;
  /** It was never made: nothing is carried over it, now or later. */
  #isRefused = false;
  #pending: Pending | null = null;

  constructor(client: SimProcess, host: Host<S>, network: Network, scheduler: Timeline) {
    this.#client = client;
    this.#host = host;
    this.#network = network;
    this.#scheduler = scheduler;
  }

  get isUsable(): boolean {
    return this.#lost === null;
  }

  /** Runs `work` at the server and brings back what it resolves to or rejects with. ConnectionLost; GivenUp. */
  send<T>(work: (session: S) => Promise<T>, { signal, onAbort: whenAborted }: SendOptions): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (this.#lost !== null) return Promise.reject(new ConnectionLost(this.#lost, false));
    let isSettled = false;
    let patience: (() => void) | null = null;
    const pending: Pending = {
      reject,
      settle: (act) => {
        if (isSettled) return;
        isSettled = true;
        this.#pending = null;
        signal.removeEventListener('abort', onAbort);
        patience?.();
        act();
      },
    };
    const giveUp = (): void => {
      pending.settle(() => reject(new GivenUp()));
      this.drop();
    };
    const onAbort = (): void => {
      const { clock } = this.#client;
      if (whenAborted === 'leave') giveUp();
      else {
        patience = clock.after(cancelAfterMs, () => {
          if (whenAborted === 'cancel') this.#toServer((session) => session.cancel());
          patience = clock.after(cancelLimitMs, giveUp);
        });
      }
    };
    this.#pending = pending;
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    this.#toServer((session) => {
      const answer = (act: () => void): void =>
        this.#network.send(
          this.#host.place,
          this.#client.name,
          this.#client,
          () => pending.settle(act),
          () => this.#lose(brokenText),
        );
      work(session).then(
        (value) => answer(() => resolve(value)),
        (error: unknown) => answer(() => reject(error)),
      );
    });
    return promise;
  }

  /** The client closes it, or its process has died. */
  drop(): void {
    if (this.#lost !== null) return;
    this.#lost = 'the connection was closed';
    this.#host.connections.delete(this);
    this.#toServer((session) => session.close(), true);
  }

  /** Nothing is left open on it: there is nothing to tell the server. */
  release(): void {
    this.#lost ??= 'the connection was closed';
    this.#host.connections.delete(this);
  }

  /** The server has died: the client hears of it, if anything comes through. */
  break(): void {
    this.#reset(this.#host.place, 'the server closed the connection');
  }

  /** Whether the connection's client is gone. */
  get isOrphaned(): boolean {
    return !this.#client.isAlive;
  }

  /** Brings a message to the server's session, if what ran there when the connection was made still does. */
  #toServer(act: (session: S) => void, closed = false): void {
    const { place } = this.#host;
    const deliver = (): void => {
      // A message that was sent before may still be on its way, and the server be back by then.
      if (this.#isRefused) return;
      const server = this.#server ?? this.#connect(closed);
      if (server === null || !server.isAlive || this.#session === null) {
        this.#isRefused = server === null;
        if (!closed) this.#reset(place, this.#isRefused ? refused : 'the server no longer knows the connection');
        return;
      }
      const session = this.#session;
      if (server.isRunning) act(session);
      else this.#scheduler.schedule(0, server, () => act(session));
    };
    this.#network.send(this.#client.name, place, everlasting, deliver, () => {
      if (!closed) this.#lose(brokenText);
    });
  }

  #connect(closed: boolean): SimProcess | null {
    const { process } = this.#host;
    if (closed || !process.isAlive) return null;
    this.#server = process;
    this.#session = this.#host.openSession();
    if (this.#lost === null) this.#host.connections.add(this);
    return process;
  }

  #reset(from: string, why: string): void {
    const lose = (): void => this.#lose(why);
    // Word of it that is lost comes late: while it waits, a client of a store asks over another connection what has become of its own.
    this.#network.send(from, this.#client.name, this.#client, lose, () => void this.#scheduler.schedule(foundDeadMs, this.#client, lose));
  }

  /** The client hears that the connection is gone. */
  #lose(why: string): void {
    if (!this.#client.isAlive) return;
    this.#lost ??= why;
    this.#host.connections.delete(this);
    const pending = this.#pending;
    pending?.settle(() => pending.reject(new ConnectionLost(why, why !== refused)));
  }
}

/** The network itself: it never stops. */
const everlasting = { admission: 'run', defer: () => {} } as const;

import type { ChangeFeed, StreamSpec } from '../../../backends/backend.ts';
import type { ChangeTransaction } from '../../../core/change.ts';
import { type Position, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { Connection } from '../kernel/connection.ts';
import type { LogEntry, LoggedEvent } from './engine.ts';
import type { StoreSession } from './session.ts';
import { abortError, type StoreLink } from './store-link.ts';
import type { StoreServer } from './server.ts';

const beatMs = 1_000;
const idlePositionMs = 5_000;
/** Without a word for so long the server counts as gone. */
const silenceLimitMs = 15_000;

/** One stream's log, as it arrives over a connection; each request waits at the server until there is something new or a second has passed. */
export class SimChangeFeed implements ChangeFeed {
  readonly #link: StoreLink;
  readonly #stream: StreamSpec;
  readonly #schemas: ReadonlyMap<string, TableSchema>;
  readonly #signal: AbortSignal;
  readonly #end = new AbortController();
  readonly #connection: Connection<StoreSession>;
  #reader: LogReader | null = null;
  #isDisposed = false;
  #at: number;
  #confirmed: number;

  constructor(link: StoreLink, stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal) {
    this.#link = link;
    this.#stream = stream;
    this.#schemas = schemas;
    this.#signal = signal;
    this.#at = Number(from);
    this.#confirmed = Number(from);
    this.#connection = link.connect();
  }

  confirm(to: Position): void {
    this.#confirmed = Math.max(this.#confirmed, Number(to));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ChangeTransaction[], void, undefined> {
    try {
      for (;;) {
        const group = await this.#next();
        if (this.#isDisposed) return;
        yield group;
      }
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#end.abort(new SwitchyardError('CANCELLED', 'the feed has ended'));
    this.#connection.drop();
  }

  async #next(): Promise<readonly ChangeTransaction[]> {
    if (this.#signal.aborted) throw abortError(this.#signal);
    const { server, process } = this.#link;
    const stop = process.clock.after(silenceLimitMs, () => this.#end.abort(new SwitchyardError('STORE_UNAVAILABLE', 'the server has been silent for too long')));
    const onAbort = (): void => this.#end.abort(abortError(this.#signal));
    this.#signal.addEventListener('abort', onAbort, { once: true });
    const [from, confirmed] = [this.#at, this.#confirmed];
    try {
      const { transactions, at } = await this.#link.request(this.#connection, 'nothing', this.#end.signal, () => {
        this.#reader ??= new LogReader(server, this.#stream, this.#schemas);
        return this.#reader.next(from, confirmed);
      });
      this.#at = at;
      return transactions;
    } catch (error) {
      if (this.#isDisposed && !this.#signal.aborted) return [];
      throw error;
    } finally {
      stop();
      this.#signal.removeEventListener('abort', onAbort);
    }
  }
}

interface Delivery {
  readonly transactions: readonly ChangeTransaction[];
  readonly at: number;
}

/** Readers of a stream, of which the newest ends the others. */
const readers = new WeakMap<StoreServer['process'], Map<string, LogReader>>();

/** The server's side of a followed log. */
class LogReader {
  readonly #server: StoreServer;
  readonly #stream: StreamSpec;
  readonly #schemas: ReadonlyMap<string, TableSchema>;
  /** The run of the server that this reader belongs to. */
  readonly #process: StoreServer['process'];
  #ended: (() => void) | null = null;
  #isEnded = false;
  #hasBegun = false;
  #positionAtMs: number;

  constructor(server: StoreServer, stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>) {
    this.#server = server;
    this.#stream = stream;
    this.#schemas = schemas;
    this.#positionAtMs = server.now;
    this.#process = server.process;
    const ofServer = readers.get(server.process) ?? new Map<string, LogReader>();
    readers.set(server.process, ofServer);
    ofServer.get(stream.id)?.end();
    ofServer.set(stream.id, this);
  }

  async next(from: number, confirmed: number): Promise<Delivery> {
    const { engine } = this.#server;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      const changed = this.#changedShape(engine.lastCommit);
      if (changed !== null) throw changed;
    }
    this.#check(from);
    const slot = engine.slots.get(this.#stream.id);
    if (slot !== undefined) slot.confirmed = Math.max(slot.confirmed, confirmed);
    if (engine.lastCommit <= from) await this.#change();
    this.#check(from);
    const transactions: ChangeTransaction[] = [];
    for (const entry of engine.logAfter(from)) {
      const changed = this.#changedShape(entry.commit);
      if (changed !== null && transactions.length === 0) throw changed;
      if (changed !== null) return { transactions, at: entry.commit - 1 };
      const transaction = this.#transaction(entry);
      if (transaction !== null) transactions.push(transaction);
    }
    const at = engine.lastCommit;
    if (transactions.length > 0) this.#positionAtMs = this.#server.now;
    else if (at > from && this.#server.now - this.#positionAtMs > idlePositionMs) {
      this.#positionAtMs = this.#server.now;
      return { transactions: [{ id: null, position: position(String(at)), ageMs: 0, events: [] }], at };
    }
    return { transactions, at };
  }

  /** Resolves at the next commit, after a second at the latest. */
  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stopListening = this.#server.engine.listen(() => {
      stopListening();
      if (this.#server.process !== this.#process) return;
      stopBeat();
      // Commits that follow at once arrive together.
      this.#server.after(0, resolve);
    });
    const stopBeat = this.#server.after(beatMs, () => {
      stopListening();
      resolve();
    });
    this.#ended = () => {
      stopListening();
      stopBeat();
      resolve();
    };
    return promise;
  }

  /** Another reader has taken its place. */
  end(): void {
    this.#isEnded = true;
    this.#ended?.();
  }

  #check(from: number): void {
    const slot = this.#server.engine.slots.get(this.#stream.id);
    if (this.#isEnded) throw new SwitchyardError('STORE_UNAVAILABLE', `another reader of the log "${this.#stream.id}" has ended this one`);
    if (slot === undefined) throw failed(this.#stream, 'its log is gone');
    if (from < slot.confirmed) throw failed(this.#stream, `its log begins at ${slot.confirmed} by now, after ${from}`);
  }

  /** The failure of a stream whose tables had another shape after this commit than when it began. */
  #changedShape(commit: number): SwitchyardError | null {
    for (const [table, schema] of this.#schemas) {
      const present = this.#server.engine.read('table', table, commit) as TableSchema | undefined;
      if (present?.fingerprint !== schema.fingerprint) return failed(this.#stream, `the shape of table ${table} has changed`, { problem: 'SCHEMA_CHANGED', table });
    }
    return null;
  }

  /** Null: nothing in it is for the stream. */
  #transaction(entry: LogEntry): ChangeTransaction | null {
    if (entry.isPlayers) return null;
    const events = entry.events.filter((logged) => this.#isFor(logged)).map(({ event }) => event);
    return events.length === 0 ? null : { id: null, position: position(String(entry.commit)), ageMs: Math.max(0, this.#server.now - entry.atMs), events };
  }

  #isFor({ event, workflow, stream }: LoggedEvent): boolean {
    switch (event.kind) {
      case 'marker':
        return workflow === this.#stream.workflow;
      case 'watermark':
        return stream === this.#stream.id;
      case 'request':
        return this.#stream.tables.includes(event.record.table);
      case 'truncate':
        return event.tables.some((table) => this.#stream.tables.includes(table));
      default:
        return this.#stream.tables.includes(event.table);
    }
  }
}

const failed = (stream: StreamSpec, why: string, metadata: Readonly<Record<string, string>> = {}): SwitchyardError =>
  new SwitchyardError('STREAM_FAILED', `stream ${stream.id}: ${why}`, { metadata: { stream: stream.id, ...metadata } });

import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { abortError } from '../../../topo/consul-transport.ts';
import type { KvClient, KvItem, KvReading, KvWrite, ReadMode, WriteOutcome } from '../../../topo/kv-client.ts';
import { Connection, type ServerSession } from '../kernel/connection.ts';
import type { Network } from '../kernel/network.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { Timeline } from '../kernel/scheduler.ts';
import type { ConsulServer } from './consul-server.ts';

const limitMs = 2_000;

/** Consul's calls of one process, over the simulated network. Whatever is not answered in time may have been done, or may still be. */
export class SimKvClient implements KvClient, AsyncDisposable {
  readonly #process: SimProcess;
  readonly #server: ConsulServer;
  readonly #network: Network;
  readonly #scheduler: Timeline;
  readonly #ttls = new Map<string, number>();
  readonly #live = new Set<AbortController>();
  #isClosed = false;

  constructor(process: SimProcess, server: ConsulServer, network: Network, scheduler: Timeline) {
    this.#process = process;
    this.#server = server;
    this.#network = network;
    this.#scheduler = scheduler;
  }

  get(key: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    return this.#read(mode, (state) => state.get(key), signal);
  }

  list(prefix: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    return this.#read(mode, (state) => state.list(prefix), signal);
  }

  async keys(prefix: string, signal: AbortSignal): Promise<readonly string[]> {
    const { items } = await this.list(prefix, { kind: 'consistent' }, signal);
    return items.map((item) => item.key);
  }

  snapshot(prefixes: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, KvItem>> {
    return this.#call(() => this.#server.snapshot(prefixes), limitMs, signal);
  }

  write(operations: readonly KvWrite[], signal: AbortSignal): Promise<WriteOutcome> {
    return this.#call(() => this.#server.write(operations), limitMs, signal);
  }

  async createSession(_name: string, ttlMs: number, signal: AbortSignal): Promise<string> {
    const id = await this.#call(() => this.#server.createSession(ttlMs), limitMs, signal);
    this.#ttls.set(id, ttlMs);
    return id;
  }

  renewSession(id: string, signal: AbortSignal, within: number): Promise<boolean> {
    return this.#call(() => this.#server.renewSession(id, this.#ttls.get(id) ?? 10_000), within, signal);
  }

  destroySession(id: string, signal: AbortSignal, within = limitMs): Promise<void> {
    return this.#call(() => this.#server.destroySession(id), within, signal);
  }

  sessionIds(signal: AbortSignal): Promise<ReadonlySet<string>> {
    return this.#call(() => this.#server.sessionIds(), limitMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const call of this.#live) call.abort(closed());
  }

  #read(mode: ReadMode, read: Parameters<ConsulServer['read']>[1], signal: AbortSignal): Promise<KvReading> {
    return this.#call(() => this.#server.read(mode, read), mode.kind === 'blocking' ? mode.waitMs * 1.1 + 2_000 : limitMs, signal);
  }

  async #call<T>(work: () => Promise<T>, within: number, signal: AbortSignal): Promise<T> {
    if (signal.aborted) throw abortError(signal);
    if (this.#isClosed) throw closed();
    const end = new AbortController();
    const onAbort = (): void => end.abort(abortError(signal));
    const stop = this.#process.clock.after(within, () => end.abort(new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul: no answer within ${within} ms`)));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#live.add(end);
    const connection = new Connection<ServerSession>(this.#process, this.#server, this.#network, this.#scheduler);
    try {
      return await connection.send(work, { signal: end.signal, onAbort: 'leave' });
    } catch (error) {
      if (end.signal.aborted) throw end.signal.reason;
      throw error instanceof SwitchyardError ? error : new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul: ${String(error)}`);
    } finally {
      stop();
      signal.removeEventListener('abort', onAbort);
      this.#live.delete(end);
      connection.release();
    }
  }
}

const closed = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'Consul: the connection was closed');

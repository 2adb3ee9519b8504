import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { abortError } from '../../../topo/consul-transport.ts';
import type { KvClient, KvItem, KvReading, KvWrite, ReadMode, WriteOutcome } from '../../../topo/kv-client.ts';
import { Connection, type ServerSession } from '../kernel/connection.ts';
import type { Network } from '../kernel/network.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { Scheduler } from '../kernel/scheduler.ts';
import type { ConsulServer } from './consul-server.ts';

const limitMs = 2_000;

/** Consul's calls of one process, over the simulated network. Whatever is not answered in time may have been done, or may still be. */
export class SimKvClient implements KvClient, AsyncDisposable {
  readonly #process: SimProcess;
  readonly #server: ConsulServer;
  readonly #network: Network;
  readonly #scheduler: Scheduler;
  readonly #ttls = new Map<string, number>();
  readonly #closed = new AbortController();

  constructor(process: SimProcess, server: ConsulServer, network: Network, scheduler: Scheduler) {
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
    this.#closed.abort(new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'Consul: the connection was closed'));
  }

  #read(mode: ReadMode, read: Parameters<ConsulServer['read']>[1], signal: AbortSignal): Promise<KvReading> {
    return this.#call(() => this.#server.read(mode, read), mode.kind === 'blocking' ? mode.waitMs * 1.1 + 2_000 : limitMs, signal);
  }

  async #call<T>(work: () => Promise<T>, within: number, signal: AbortSignal): Promise<T> {
    if (signal.aborted) throw abortError(signal);
    const limit = new AbortController();
    const stop = this.#process.clock.after(within, () => limit.abort());
    const connection = new Connection<ServerSession>(this.#process, this.#server, this.#network, this.#scheduler);
    try {
      return await connection.send(work, { signal: AbortSignal.any([signal, limit.signal, this.#closed.signal]), patienceMs: 0 });
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      if (error instanceof SwitchyardError) throw error;
      throw new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul: ${limit.signal.aborted ? `no answer within ${within} ms` : String(error)}`);
    } finally {
      stop();
      connection.release();
    }
  }
}

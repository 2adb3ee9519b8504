import type { KvClient, KvItem, KvReading, KvWrite, ReadMode, WriteOutcome } from '../../../topo/kv-client.ts';
import { ConsulState } from '../../simulation/consul/consul-state.ts';

/** Consul's calls, answered at once from memory. Without watches: a blocking read waits for its signal. */
export class MemoryConsul implements KvClient, AsyncDisposable {
  #state = new ConsulState();
  #kept = this.#state;

  /** Remembers what `restore` goes back to. */
  keep(): void {
    this.#kept = this.#state.copy();
  }

  restore(): void {
    this.#state = this.#kept.copy();
  }

  get(key: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    return this.#read(mode, signal, () => this.#state.get(key));
  }

  list(prefix: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    return this.#read(mode, signal, () => this.#state.list(prefix));
  }

  async keys(prefix: string): Promise<readonly string[]> {
    return this.#state.list(prefix).items.map(({ key }) => key);
  }

  async snapshot(prefixes: readonly string[]): Promise<ReadonlyMap<string, KvItem>> {
    return new Map(prefixes.flatMap((prefix) => this.#state.list(prefix).items.map((item) => [item.key, item] as const)));
  }

  async write(operations: readonly KvWrite[]): Promise<WriteOutcome> {
    return this.#state.write(operations);
  }

  async createSession(name: string, ttlMs: number): Promise<string> {
    this.#state.createSession(name, ttlMs, Number.POSITIVE_INFINITY);
    return name;
  }

  async renewSession(id: string): Promise<boolean> {
    return this.#state.renewSession(id, Number.POSITIVE_INFINITY);
  }

  async destroySession(id: string): Promise<void> {
    this.#state.endSession(id);
  }

  async sessionIds(): Promise<ReadonlySet<string>> {
    return this.#state.sessionIds;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #read(mode: ReadMode, signal: AbortSignal, read: () => KvReading): Promise<KvReading> {
    if (mode.kind === 'blocking') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    return read();
  }
}

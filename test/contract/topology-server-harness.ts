import { performance } from 'node:perf_hooks';
import type { TopologyServer } from '../support/servers/topology-server.ts';

/** Longest time of one call that does not wait by itself. */
const CALL_LIMIT_MS = 10_000;

export interface Answer {
  readonly status: number;
  /** Of the X-Consul-Index header; NaN where there is none. */
  readonly index: number;
  readonly text: string;
  readonly headers: Headers;
  readonly afterMs: number;
}

/** A key as the API shows it. */
export interface ShownEntry {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number;
  readonly LockIndex: number;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly Session?: string;
}

export interface TransactionAnswer {
  readonly Results: readonly { readonly KV: ShownEntry }[] | null;
  readonly Errors: readonly { readonly OpIndex: number; readonly What: string }[] | null;
}

export type Method = 'GET' | 'PUT' | 'DELETE' | 'POST';

/** Plain calls to Consul's HTTP API, as any client makes them. */
export class TopologyCaller {
  readonly server: TopologyServer;

  constructor(server: TopologyServer) {
    this.server = server;
  }

  async call(method: Method, path: string, body?: string | Buffer, limitMs = CALL_LIMIT_MS): Promise<Answer> {
    const begunAtMs = performance.now();
    const response = await fetch(`${this.server.address}/v1/${path}`, { method, signal: AbortSignal.timeout(limitMs), ...(body === undefined ? {} : { body: Buffer.from(body) }) });
    const text = await response.text();
    const index = Number(response.headers.get('x-consul-index') ?? Number.NaN);
    return { status: response.status, index, text, headers: response.headers, afterMs: performance.now() - begunAtMs };
  }

  get(path: string, limitMs?: number): Promise<Answer> {
    return this.call('GET', path, undefined, limitMs);
  }

  /** Whether it was done: what a PUT or DELETE of a key answers. Throws at any other answer. */
  async put(path: string, body = ''): Promise<boolean> {
    return truth(await this.call('PUT', `kv/${path}`, body));
  }

  async delete(path: string): Promise<boolean> {
    return truth(await this.call('DELETE', `kv/${path}`));
  }

  /** The entry, or undefined where there is none. */
  async entry(key: string): Promise<ShownEntry | undefined> {
    return (await this.entries(key))[0];
  }

  /** The entries that a key, with `?recurse` a prefix, has. */
  async entries(path: string): Promise<readonly ShownEntry[]> {
    const answer = await this.get(`kv/${path}`);
    return answer.status === 404 ? [] : (JSON.parse(answer.text) as ShownEntry[]);
  }

  async session(request: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const answer = await this.call('PUT', 'session/create', JSON.stringify({ TTL: '60s', LockDelay: '0s', ...request }));
    if (answer.status !== 200) throw new Error(`no session: ${answer.status} ${answer.text}`);
    return (JSON.parse(answer.text) as { ID: string }).ID;
  }

  async transaction(operations: readonly Readonly<Record<string, unknown>>[]): Promise<TransactionAnswer & { readonly status: number }> {
    const answer = await this.call('PUT', 'txn', JSON.stringify(operations.map((KV) => ({ KV }))));
    if (answer.status !== 200 && answer.status !== 409) throw new Error(`the transaction was answered ${answer.status}: ${answer.text}`);
    return { status: answer.status, ...(JSON.parse(answer.text) as TransactionAnswer) };
  }
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');
export const textOf = (entry: ShownEntry | undefined): string | undefined => (entry === undefined ? undefined : Buffer.from(entry.Value ?? '', 'base64').toString());

function truth(answer: Answer): boolean {
  const text = answer.text.trim();
  if (answer.status !== 200 || (text !== 'true' && text !== 'false')) throw new Error(`answered ${answer.status}: ${answer.text}`);
  return text === 'true';
}

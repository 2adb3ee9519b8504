import { join } from 'node:path';
import { type ConsulPorts, type ConsulServer, startConsul } from './consul.ts';
import { findFreePorts } from './free-port.ts';
import type { TopologyServer } from './topology-server.ts';
import { waitUntil } from './wait-until.ts';

const answerLimitMs = 3_000;
const leaderLimitMs = 30_000;

export interface ConsulClusterOptions {
  readonly servers: number;
  /** Where the servers' logs go; default: into their own directories. */
  readonly logDirectory?: string;
}

/** Several real Consul servers that elect a leader. As a `TopologyServer` it is all of them; whoever asks for an address gets one that runs. */
export class ConsulCluster implements TopologyServer {
  readonly kind = 'consul';
  readonly servers: readonly ConsulServer[];
  readonly #rpcPorts: readonly number[];

  private constructor(servers: readonly ConsulServer[], rpcPorts: readonly number[]) {
    this.servers = servers;
    this.#rpcPorts = rpcPorts;
  }

  /** Resolves when there is a leader. */
  static async start({ servers, logDirectory }: ConsulClusterOptions): Promise<ConsulCluster> {
    const free = await findFreePorts(3 * servers);
    const ports = Array.from({ length: servers }, (_, i): ConsulPorts => ({ http: free[3 * i] ?? 0, serf: free[3 * i + 1] ?? 0, rpc: free[3 * i + 2] ?? 0 }));
    const addresses = ports.map(({ serf }) => `127.0.0.1:${serf}`);
    const starts = await Promise.allSettled(
      ports.map((own, i) => {
        const settings = { bootstrap_expect: servers, retry_join: addresses, retry_interval: '1s', node_name: `consul-${i + 1}` };
        return startConsul({ persistent: true, ports: own, settings, ...(logDirectory === undefined ? {} : { logFile: join(logDirectory, `consul-${i + 1}.log`) }) });
      }),
    );
    const started = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed === undefined)
      return new ConsulCluster(
        started,
        ports.map(({ rpc }) => rpc),
      );
    await Promise.all(started.map((server) => server[Symbol.asyncDispose]()));
    throw failed.reason;
  }

  get #one(): ConsulServer {
    const server = this.servers.find((each) => each.isRunning) ?? this.servers[0];
    if (server === undefined) throw new Error('a cluster without servers');
    return server;
  }

  get address(): string {
    return this.#one.address;
  }

  get isRunning(): boolean {
    return this.servers.some((server) => server.isRunning);
  }

  get pid(): number | undefined {
    return this.#one.pid;
  }

  get directory(): string {
    return this.#one.directory;
  }

  /** The server that leads, as one of those that answer knows it; waits for an election that is under way. */
  async leader(): Promise<ConsulServer> {
    return waitUntil("Consul's leader", { limitMs: leaderLimitMs, everyMs: 100 }, async () => {
      for (const server of this.servers.filter((each) => each.isRunning)) {
        const answer = await fetch(`${server.address}/v1/status/leader`, { signal: AbortSignal.timeout(answerLimitMs) }).then(
          (response) => response.text(),
          () => '',
        );
        const index = this.#rpcPorts.findIndex((port) => answer.includes(`:${port}"`));
        const leader = this.servers[index];
        if (leader?.isRunning === true) return leader;
      }
      return undefined;
    });
  }

  kv(...args: readonly string[]): Promise<string> {
    return this.#one.kv(...args);
  }

  async pause(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.pause()));
  }

  resume(): void {
    for (const server of this.servers) server.resume();
  }

  async logTail(): Promise<string> {
    return (await Promise.all(this.servers.map((server) => server.logTail()))).join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  async start(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.start()));
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
  }
}

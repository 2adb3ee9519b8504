/** What can hold the topology: a real Consul agent, or the server that stands in for one. */
export const topologyServerKinds = ['consul', 'embedded'] as const;
export type TopologyServerKind = (typeof topologyServerKinds)[number];

const PROBE_LIMIT_MS = 2_000;

export interface TopologyServerOptions {
  /** Keep the data over `restart`. Default false. */
  readonly persistent?: boolean;
  /** Shortest TTL of a session, in ms. Default 10,000. */
  readonly leastTtlMs?: number;
  /** Where the server's log goes; default: into its own directory, which is removed with it. */
  readonly logFile?: string;
}

/** A server with Consul's HTTP API on loopback, in a process of its own. It and its directory are gone when it is disposed of and when this process ends in whatever way. */
export interface TopologyServer extends AsyncDisposable {
  readonly kind: TopologyServerKind;
  /** `http://127.0.0.1:<port>`, the same after a restart. */
  readonly address: string;
  readonly isRunning: boolean;
  /** Of the server's main process while it runs. */
  readonly pid: number | undefined;
  /** Holds everything that the server writes, unless its log goes elsewhere. */
  readonly directory: string;
  /** Runs the real `consul kv <args>` and resolves to what it prints. Rejects when it fails, a lost CAS included, or after 60 s. */
  kv(...args: readonly string[]): Promise<string>;
  /** Freezes the server: connections stay and are accepted, nothing answers. */
  pause(): Promise<void>;
  resume(): void;
  /** What it wrote last into its log. */
  logTail(): Promise<string>;
  /** Kills it as a crash would; connections are reset. A paused one can be stopped too. */
  stop(): Promise<void>;
  /** Starts a stopped one again on the same port and waits until it serves, at most 30 s. Keys and sessions are still there only when it was started with `persistent`. */
  start(): Promise<void>;
  /** `stop` and `start`. */
  restart(): Promise<void>;
}

/** A consistent read asks the leader, so it succeeds only when there is one. With ACLs, being refused counts. */
export async function canReadConsistently(address: string): Promise<boolean> {
  try {
    const response = await fetch(`${address}/v1/kv/?keys&consistent`, { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
    await response.text();
    return response.status < 500;
  } catch {
    return false;
  }
}

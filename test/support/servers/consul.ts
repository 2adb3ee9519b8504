import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { findConsul } from './debian.ts';
import { findFreePorts } from './free-port.ts';
import { SupervisedProcess } from './supervised-process.ts';
import { canReadConsistently, type TopologyServer } from './topology-server.ts';
import { waitUntil } from './wait-until.ts';

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const PORT_ATTEMPTS = 5;
// All clients of a test or bench come from one address, and each gateway holds several blocking queries.
const CONNECTIONS = 8_192;
// From here on an agent opens one more port unless it is told not to, and before, it does not know the setting.
const FIRST_WITH_GRPC_TLS = { major: 1, minor: 14 };

export interface ConsulPorts {
  readonly http: number;
  readonly serf: number;
  readonly rpc: number;
}

export interface ConsulOptions {
  /** Keep the data over `restart`. Default false: then the agent holds it in memory only, and elects a leader in 0.2 s instead of 2. */
  readonly persistent?: boolean;
  /** All ports of the agent, for servers that have to find each other. A port that is taken is an error. */
  readonly ports?: ConsulPorts;
  /** Port of the HTTP API. Default: a random free one. A fixed port that is taken is an error. */
  readonly port?: number;
  /** More settings of the agent's configuration file, such as `acl` or `session_ttl_min`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Where the agent's log goes; default: into its own directory, which is removed with it. */
  readonly logFile?: string;
}

/**
 * A Consul agent of its own on loopback: one server, one datacenter, HTTP only. It and its directory are gone when it
 * is disposed of and when this process ends in whatever way.
 */
export class ConsulServer implements TopologyServer {
  readonly kind = 'consul';
  /** `http://127.0.0.1:<port>`, the same after a restart. */
  readonly address: string;
  readonly #binary: string;
  readonly #process: SupervisedProcess;
  readonly #args: readonly string[];
  readonly #logFile: string;

  /** Use `startConsul`. */
  constructor(parts: { address: string; binary: string; process: SupervisedProcess; args: readonly string[]; logFile: string }) {
    this.address = parts.address;
    this.#binary = parts.binary;
    this.#process = parts.process;
    this.#args = parts.args;
    this.#logFile = parts.logFile;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  /** Of the server's main process while it runs. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Holds everything that the server writes, unless its log goes elsewhere. */
  get directory(): string {
    return this.#process.directory;
  }

  /** Runs the real `consul kv <args>` and resolves to what it prints. Rejects when it fails, a lost CAS included, or after 60 s. */
  kv(...args: readonly string[]): Promise<string> {
    return runCommand(this.#binary, ['kv', ...args], { env: { CONSUL_HTTP_ADDR: this.address } });
  }

  /** Freezes the agent: connections stay and are accepted, nothing answers. */
  pause(): Promise<void> {
    return this.#process.freeze();
  }

  resume(): void {
    this.#process.signal('SIGCONT');
  }

  /** What the agent wrote last. */
  logTail(): Promise<string> {
    return this.#process.logTail();
  }

  /** Kills the agent as a crash would; connections are reset. A paused one can be stopped too. */
  async stop(): Promise<void> {
    await this.#process.stop('SIGKILL', STOP_LIMIT_MS);
  }

  /**
   * Starts a stopped agent again on the same port and waits for its leader, at most 30 s. Keys and sessions are still
   * there only when it was started with `persistent`.
   */
  async start(): Promise<void> {
    await this.#process.start(this.#binary, this.#args, this.#logFile);
    const limits = { limitMs: READY_LIMIT_MS, everyMs: 20, explain: () => this.logTail() };
    await waitUntil("the election of Consul's leader", limits, async () => {
      await this.#process.assertRunning();
      return (await canReadConsistently(this.address)) ? true : undefined;
    });
  }

  /** `stop` and `start`. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.dispose();
  }
}

/**
 * Starts a Consul agent and waits until it has a leader, in half a second (`persistent`: 2 s) once the binary is there.
 * Rejects with one line that says what to do when there is none, and with the log's end when it does not come up.
 */
export async function startConsul(options: ConsulOptions = {}): Promise<ConsulServer> {
  const binary = await findConsul();
  const version = await runCommand(binary, ['version']);
  for (let attempt = 1; ; attempt += 1) {
    const process = await SupervisedProcess.open({ prefix: 'switchyard-consul-', killSignal: 'SIGKILL' });
    try {
      const { http, serf, rpc } = options.ports ?? (await freePorts(options.port));
      const config = join(process.directory, 'config.json');
      const data = join(process.directory, 'data');
      await mkdir(data);
      await writeFile(config, JSON.stringify(configurationFor(options, { http, serf, rpc }, data, hasGrpcTls(version))));
      const args = ['agent', ...(options.persistent === true ? [] : ['-dev']), '-config-file', config];
      const logFile = options.logFile ?? join(process.directory, 'log');
      const server = new ConsulServer({ address: `http://${HOST}:${http}`, binary, process, args, logFile });
      await server.start();
      return server;
    } catch (error) {
      const portTaken = /address already in use/.test(await process.logTail());
      await process.dispose();
      if (!portTaken || options.port !== undefined || options.ports !== undefined || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

async function freePorts(port: number | undefined): Promise<ConsulPorts> {
  const [serf = 0, rpc = 0, http = 0] = await findFreePorts(3);
  return { http: port ?? http, serf, rpc };
}

function configurationFor(options: ConsulOptions, ports: ConsulPorts, data: string, grpcTls: boolean) {
  return {
    // The agent without persistence is a server by its flag, which does not want the rest.
    ...(options.persistent === true ? { server: true, bootstrap_expect: 1, data_dir: data, performance: { raft_multiplier: 1 } } : {}),
    bind_addr: HOST,
    client_addr: HOST,
    ports: { http: ports.http, serf_lan: ports.serf, server: ports.rpc, https: -1, dns: -1, grpc: -1, serf_wan: -1, ...(grpcTls ? { grpc_tls: -1 } : {}) },
    limits: { http_max_conns_per_client: CONNECTIONS, rpc_max_conns_per_client: CONNECTIONS },
    node_name: 'local',
    log_level: 'WARN',
    disable_update_check: true,
    ...options.settings,
  };
}

function hasGrpcTls(version: string): boolean {
  const [, major = '0', minor = '0'] = /v(\d+)\.(\d+)/.exec(version) ?? [];
  const first = FIRST_WITH_GRPC_TLS;
  return Number(major) > first.major || (Number(major) === first.major && Number(minor) >= first.minor);
}

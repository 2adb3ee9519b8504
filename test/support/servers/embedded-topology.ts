import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runCommand } from './command.ts';
import { findConsul } from './debian.ts';
import { findFreePorts } from './free-port.ts';
import { SupervisedProcess } from './supervised-process.ts';
import { canReadConsistently, type TopologyServer, type TopologyServerOptions } from './topology-server.ts';
import { waitUntil } from './wait-until.ts';

const MAIN = resolve(import.meta.dirname, '../../../topo/embedded/main.ts');
const READY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const PORT_ATTEMPTS = 5;

/** The product's own server that stands in for Consul, as the process that `switchyard topology` runs. */
export class EmbeddedTopologyServer implements TopologyServer {
  readonly kind = 'embedded';
  readonly address: string;
  readonly #process: SupervisedProcess;
  readonly #config: string;
  readonly #logFile: string;
  readonly #persistent: boolean;

  private constructor(parts: { address: string; process: SupervisedProcess; config: string; options: TopologyServerOptions }) {
    this.address = parts.address;
    this.#process = parts.process;
    this.#config = parts.config;
    this.#persistent = parts.options.persistent ?? false;
    this.#logFile = parts.options.logFile ?? join(parts.process.directory, 'log');
  }

  /** Starts it and waits until it serves. Rejects with the log's end when it does not come up. */
  static async launch(options: TopologyServerOptions = {}): Promise<EmbeddedTopologyServer> {
    for (let attempt = 1; ; attempt += 1) {
      const process = await SupervisedProcess.open({ prefix: 'switchyard-topology-', killSignal: 'SIGKILL' });
      try {
        const [port = 0] = await findFreePorts(1);
        const config = join(process.directory, 'config.json');
        const { leastTtlMs } = options;
        const content = { listen: `127.0.0.1:${port}`, dataDir: join(process.directory, 'data'), ...(leastTtlMs === undefined ? {} : { leastTtlMs }) };
        await writeFile(config, JSON.stringify(content));
        const server = new EmbeddedTopologyServer({ address: `http://127.0.0.1:${port}`, process, config, options });
        await server.start();
        return server;
      } catch (error) {
        const portTaken = /EADDRINUSE/.test(await process.logTail());
        await process.dispose();
        if (!portTaken || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get directory(): string {
    return this.#process.directory;
  }

  /** Where its log of changes lies. */
  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  async kv(...args: readonly string[]): Promise<string> {
    return runCommand(await findConsul(), ['kv', ...args], { env: { CONSUL_HTTP_ADDR: this.address } });
  }

  pause(): Promise<void> {
    return this.#process.freeze();
  }

  resume(): void {
    this.#process.signal('SIGCONT');
  }

  logTail(): Promise<string> {
    return this.#process.logTail();
  }

  async stop(): Promise<void> {
    await this.#process.stop('SIGKILL', STOP_LIMIT_MS);
  }

  /** SIGTERM: it ends by itself. */
  async terminate(): Promise<void> {
    await this.#process.stop('SIGTERM', STOP_LIMIT_MS);
  }

  async start(): Promise<void> {
    if (!this.#persistent) await rm(this.dataDirectory, { recursive: true, force: true });
    await this.#process.start(globalThis.process.execPath, [MAIN, '--config', this.#config], this.#logFile);
    await waitUntil('the start of the embedded topology', { limitMs: READY_LIMIT_MS, everyMs: 20, explain: () => this.logTail() }, async () => {
      await this.#process.assertRunning();
      return (await canReadConsistently(this.address)) ? true : undefined;
    });
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.dispose();
  }
}

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster/cluster.ts';
import { PostgresStore } from '../support/cluster/postgres-store.ts';
import { FaultyControls, faultyControlOptions } from '../support/faults/faulty-controls.ts';
import { ConsulCluster } from '../support/servers/consul-cluster.ts';
import type { ConsulServer } from '../support/servers/consul.ts';
import { Clocks } from './clocks.ts';
import { Network } from './network.ts';

export const gatewayCount = 3;
/** To each store. */
const connectionsPerGateway = 8;
/** On a busy machine a store that is up can be slow for longer than the product's own 2 s. */
const acquireTimeoutMs = 10_000;

export interface WorldOptions {
  readonly seed: number;
  readonly consulServers: 1 | 3;
  /** Every process of ours has a clock of its own. */
  readonly ownClocks: boolean;
  /** Each store has a disk of its own of this size; null: it shares the machine's. */
  readonly diskMiB: number | null;
  /** Default: the product's own, which can be told of a fault. */
  readonly processes?: Pick<ClusterOptions, 'controlMain' | 'controlArguments' | 'moreEnv'>;
  readonly logDirectory?: string;
  readonly say: (line: string) => void;
}

type Parts = Pick<World, 'cluster' | 'consul' | 'network' | 'clocks' | 'faultyControls' | 'gatewayAddresses'>;

/** Everything that can be struck: real processes, servers, and the network between them. */
export class World implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly consul: ConsulCluster;
  readonly network: Network;
  readonly clocks: Clocks | null;
  /** Null where the control processes are a broken build. */
  readonly faultyControls: FaultyControls | null;
  /** By which clients reach the gateways. */
  readonly gatewayAddresses: readonly string[];
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: Parts, stack: AsyncDisposableStack) {
    this.cluster = parts.cluster;
    this.consul = parts.consul;
    this.network = parts.network;
    this.clocks = parts.clocks;
    this.faultyControls = parts.faultyControls;
    this.gatewayAddresses = parts.gatewayAddresses;
    this.#stack = stack;
  }

  /** Resolves when every gateway serves. */
  static async start(options: WorldOptions): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-world-'));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const network = stack.use(new Network(options.seed));
    const clocks = options.ownClocks ? await Clocks.create(directory) : null;
    const logDirectory = options.logDirectory === undefined ? {} : { logDirectory: options.logDirectory };
    if (options.logDirectory !== undefined) await mkdir(options.logDirectory, { recursive: true });
    const consul = stack.use(await ConsulCluster.start({ servers: options.consulServers, ...logDirectory }));
    const cluster = stack.use(
      await startCluster({
        gateways: gatewayCount,
        gatewaySettings: { pool: { size: connectionsPerGateway, acquireTimeoutMs } },
        stateDirectory: join(directory, 'state'),
        ...(options.processes ?? faultyControlOptions(directory)),
        ...(clocks === null ? {} : { moreEnv: (name: string) => clocks.envOf(name) }),
        startTopology: async () => consul,
        consulFor: async (name) => `http://127.0.0.1:${await network.between(name, 'consul', addressOf(consulOf(name, consul)))}`,
        shardOf: async (store, name) => (store instanceof PostgresStore ? { ...store.shard, host: '127.0.0.1', port: await network.toStore(name, store.server) } : store.shard),
        postgres: { settings: { max_wal_size: '256MB' }, ...(options.diskMiB === null ? {} : { diskMiB: options.diskMiB }) },
        ...logDirectory,
        say: options.say,
      }),
    );
    const gatewayAddresses: string[] = [];
    for (const { process } of cluster.gateways)
      gatewayAddresses.push(`127.0.0.1:${await network.between('client', process.name, addressOf({ address: `http://${process.address}` }))}`);
    const faultyControls = options.processes === undefined ? new FaultyControls(cluster, directory) : null;
    return new World({ cluster, consul, network, clocks, faultyControls, gatewayAddresses }, stack.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Each process has its server, as each machine has its agent, and goes on with it however that one fares. */
function consulOf(process: string, { servers }: ConsulCluster): ConsulServer {
  const server = servers[(Number(process.at(-1)) + (process.startsWith('control') ? 1 : 0)) % servers.length];
  if (server === undefined) throw new Error('Consul has no servers');
  return server;
}

function addressOf({ address }: { readonly address: string }): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(address);
  return { host: hostname, port: Number(port) };
}

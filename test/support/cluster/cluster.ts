import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { createRpcClient, type RpcClient } from '../../../client/rpc-client.ts';
import { GatewayService } from '../../../gen/switchyard/control/v1/gateways_pb.ts';
import { KeyspaceService } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { findFreePorts } from '../servers/free-port.ts';
import { startMariaDb } from '../servers/mariadb.ts';
import { type PostgresOptions, type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../servers/shop.ts';
import { startTopologyServer } from '../servers/start-topology-server.ts';
import type { TopologyServer, TopologyServerKind } from '../servers/topology-server.ts';
import { waitUntil } from '../servers/wait-until.ts';
import { ClusterProcess } from './cluster-process.ts';
import { FreezableProxy } from './freezable-proxy.ts';
import { MariaDbStore } from './mariadb-store.ts';
import { PostgresStore } from './postgres-store.ts';
import { controlConfig, gatewayConfig, processEnv } from './process-config.ts';
import { RemoteStore } from './remote-store.ts';
import { SqliteStore } from './sqlite-store.ts';
import type { ClusterStore, StoreKind } from './store.ts';

const database = 'shop';
// A process that ends is told of at once; one that is only slow, on a machine that is busy, is given its time.
const readyLimitMs = 120_000;
const root = resolve(import.meta.dirname, '../../..');

export interface ClusterOptions {
  /** Default 3. */
  readonly gateways?: number;
  /** Default 2. */
  readonly controls?: number;
  /** What is behind the keyspaces. Default: PostgreSQL behind both. */
  readonly stores?: { readonly old?: StoreKind; readonly new?: StoreKind };
  /** pgbench's scale of the keyspace "old"; "new" is empty. Default 1. */
  readonly scale?: number;
  /** The stores wait for the disk at every commit. Default false. */
  readonly durable?: boolean;
  /** Default: the product's `control/main.ts`. A test build is given by its absolute path. */
  readonly controlMain?: string;
  /** Given to every control process after `--config <file>`. */
  readonly controlArguments?: readonly string[];
  /** Further environment of every gateway and control process, or of each by its name. */
  readonly moreEnv?: Readonly<Record<string, string>> | ((process: string) => Readonly<Record<string, string>>);
  /** Further fields of every gateway's and every control's configuration file. */
  readonly gatewaySettings?: Readonly<Record<string, unknown>>;
  readonly controlSettings?: Readonly<Record<string, unknown>>;
  /** What holds the rules. Default: Consul. */
  readonly topology?: TopologyServerKind;
  /** Starts what holds the rules instead; it ends with the cluster. */
  readonly startTopology?: () => Promise<TopologyServer>;
  /** Where the gateway or control process of this name finds Consul. Default: at its own address. */
  readonly consulFor?: (process: string) => Promise<string>;
  /** Every gateway keeps its last good rules in a folder of its name in here. Default: nowhere. */
  readonly stateDirectory?: string;
  /** Further settings of both PostgreSQL servers' configuration, and the size of the disk that each has to itself. Default: the machine's. */
  readonly postgres?: Pick<PostgresOptions, 'settings' | 'diskMiB'>;
  /** Every gateway serves HTTP too. Default false. */
  readonly http?: boolean;
  /** Gives every gateway a relay of its own on its way to Consul, which can be frozen. Default false. */
  readonly consulProxies?: boolean;
  /** How the keyspace of a store names it. Default: as the store itself does. */
  readonly shardOf?: (store: ClusterStore, keyspace: 'old' | 'new') => Promise<ClusterStore['shard']>;
  /** Where every process's and server's log goes and stays. Default: they go with the processes. */
  readonly logDirectory?: string;
  readonly say?: (line: string) => void;
}

export interface ClusterGateway {
  readonly process: ClusterProcess;
  readonly address: string;
  /** "host:port" of the HTTP door; null unless `http`. */
  readonly httpAddress: string | null;
  /** Null unless `consulProxies`. */
  readonly consulProxy: FreezableProxy | null;
}

/** A whole Switchyard of real processes on loopback, ready to serve: keyspaces applied, grants run, every gateway applying the rules. */
export interface Cluster extends AsyncDisposable {
  /** Consul, or what stands in for it. */
  readonly consul: TopologyServer;
  /** The keyspaces' stores: "old" has pgbench's tables, "new" is empty. */
  readonly stores: Readonly<Record<'old' | 'new', ClusterStore>>;
  /** The PostgreSQL server behind the keyspace; throws where there is another kind of store. */
  readonly old: PostgresServer;
  readonly new: PostgresServer;
  /** Name of the database in every PostgreSQL server. */
  readonly database: string;
  readonly logins: typeof SHOP_LOGINS;
  readonly gateways: readonly ClusterGateway[];
  readonly controls: readonly ClusterProcess[];
  /** A client of one of control's services at the first control process that runs; closed with the cluster. */
  control<S extends DescService>(service: S, deadlineMs?: number): RpcClient<S>;
  /** Runs the grants that control asks for in both stores, as the superuser, through psql. Harmless when repeated. */
  grant(): Promise<void>;
}

class RealCluster implements Cluster {
  readonly consul: TopologyServer;
  readonly stores: Cluster['stores'];
  readonly database = database;
  readonly logins = SHOP_LOGINS;
  readonly gateways: readonly ClusterGateway[];
  readonly controls: readonly ClusterProcess[];
  readonly #stack: AsyncDisposableStack;

  constructor(servers: Servers, gateways: readonly ClusterGateway[], controls: readonly ClusterProcess[], stack: AsyncDisposableStack) {
    this.consul = servers.consul;
    this.stores = servers.stores;
    this.gateways = gateways;
    this.controls = controls;
    this.#stack = stack;
  }

  get old(): PostgresServer {
    return this.#postgres('old');
  }

  get new(): PostgresServer {
    return this.#postgres('new');
  }

  #postgres(name: 'old' | 'new'): PostgresServer {
    const store = this.stores[name];
    if (store instanceof PostgresStore) return store.server;
    throw new Error(`the keyspace "${name}" of this cluster is a store of kind ${store.kind}`);
  }

  control<S extends DescService>(service: S, deadlineMs = 10_000): RpcClient<S> {
    const running = this.controls.find((control) => control.isRunning);
    if (running === undefined) throw new Error('no control process runs');
    return this.#stack.adopt(createRpcClient(service, running.address, { deadlineMs }), (client) => client[Symbol.dispose]());
  }

  async grant(): Promise<void> {
    const keyspaces = this.control(KeyspaceService);
    for (const [name, store] of Object.entries(this.stores)) await store.grant((await keyspaces.getKeyspaceGrants({ name })).script);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

interface Servers {
  readonly consul: TopologyServer;
  readonly stores: Cluster['stores'];
}

export type LogOf = (name: string) => { readonly logFile?: string };

async function startServers(options: ClusterOptions, stack: AsyncDisposableStack, log: LogOf): Promise<Servers> {
  const directory = options.logDirectory;
  const scaleOf = (name: 'old' | 'new'): number | null => (name === 'old' ? (options.scale ?? 1) : null);
  const startStore = async (name: 'old' | 'new'): Promise<ClusterStore> => {
    const scale = scaleOf(name);
    const kind = options.stores?.[name] ?? 'postgres';
    const durable = options.durable ?? false;
    if (kind === 'grpc' || kind === 'http') {
      const logs = directory === undefined ? {} : { logDirectory: join(directory, `remote-${name}`) };
      return stack.use(await RemoteStore.create(kind, name, { scale: options.scale ?? 1, durable, ...logs }, startCluster));
    }
    if (kind === 'sqlite') return stack.use(await SqliteStore.create(name, scale));
    if (kind === 'mariadb') return MariaDbStore.create(stack.use(await startMariaDb({ name, durable, ...log(`mariadb-${name}`) })), database, scale);
    const server = stack.use(await startPostgres({ name, durable, ...options.postgres, ...log(`postgres-${name}`) }));
    await createShop(server, scale === null ? { tables: false, database } : { tables: true, scale, database });
    return new PostgresStore(server, database);
  };
  const startTopology = async (): Promise<TopologyServer> =>
    stack.use(await (options.startTopology?.() ?? startTopologyServer(options.topology ?? 'consul', { persistent: options.topology === 'embedded', ...log('consul') })));
  const [consul, oldStore, newStore] = await Promise.all([startTopology(), startStore('old'), startStore('new')]);
  return { consul, stores: { old: oldStore, new: newStore } };
}

const envOf = (name: string, { moreEnv = {} }: ClusterOptions): Readonly<Record<string, string>> => (typeof moreEnv === 'function' ? moreEnv(name) : moreEnv);
const consulOf = async (name: string, { consul }: Pick<Servers, 'consul'>, { consulFor }: ClusterOptions): Promise<string> => (await consulFor?.(name)) ?? consul.address;

export async function startGateway(
  index: number,
  port: number,
  httpPort: number | null,
  servers: Pick<Servers, 'consul'>,
  stack: AsyncDisposableStack,
  options: ClusterOptions,
  log: LogOf,
): Promise<ClusterGateway> {
  const name = `gateway-${index + 1}`;
  const { hostname: host, port: consulPort } = new URL(servers.consul.address);
  const consulProxy = options.consulProxies === true ? stack.use(await FreezableProxy.start({ host, port: Number(consulPort) })) : null;
  const consul = consulProxy === null ? await consulOf(name, servers, options) : `http://127.0.0.1:${consulProxy.port}`;
  const address = `127.0.0.1:${port}`;
  const main = join(root, 'gateway/main.ts');
  const httpAddress = httpPort === null ? null : `127.0.0.1:${httpPort}`;
  const stateDir = options.stateDirectory === undefined ? {} : { stateDir: join(options.stateDirectory, name) };
  const config = { ...gatewayConfig(name, address, httpAddress, consul), ...stateDir, ...options.gatewaySettings };
  const process = stack.use(await ClusterProcess.start({ name, main, address, config, env: { ...processEnv('gateway'), ...envOf(name, options) }, ...log(name) }));
  return { process, address, httpAddress, consulProxy };
}

export async function startControl(
  index: number,
  port: number,
  servers: Pick<Servers, 'consul'>,
  stack: AsyncDisposableStack,
  options: ClusterOptions,
  log: LogOf,
): Promise<ClusterProcess> {
  const name = `control-${index + 1}`;
  const address = `127.0.0.1:${port}`;
  const main = options.controlMain ?? join(root, 'control/main.ts');
  const config = { ...controlConfig(name, address, await consulOf(name, servers, options)), ...options.controlSettings };
  return stack.use(
    await ClusterProcess.start({
      name,
      main,
      address,
      config,
      moreArguments: options.controlArguments ?? [],
      env: { ...processEnv('control'), ...envOf(name, options) },
      ...log(name),
    }),
  );
}

/** Waits until `probe` succeeds; ends at once, with the log, when the process does. */
export async function untilServing(process: ClusterProcess, probe: () => Promise<unknown>): Promise<void> {
  let last: unknown;
  await waitUntil(`${process.name} serving`, { limitMs: readyLimitMs, everyMs: 50, explain: async () => `${String(last)}\n${await process.logTail()}` }, async () => {
    await process.assertRunning();
    try {
      await probe();
      return true;
    } catch (error) {
      last = error;
      return undefined;
    }
  });
}

export async function untilGatewaysApply(cluster: Pick<Cluster, 'control' | 'gateways'>): Promise<void> {
  const service = cluster.control(GatewayService);
  const explain = async (): Promise<string> => (await Promise.all(cluster.gateways.map(({ process }) => process.logTail()))).join('\n');
  await waitUntil('every gateway applying the rules', { limitMs: readyLimitMs, everyMs: 50, explain }, async () => {
    for (const { process } of cluster.gateways) await process.assertRunning();
    const { gateways } = await service.listGateways({});
    return gateways.filter((gateway) => !gateway.silent && gateway.appliedVersion > 0n).length >= cluster.gateways.length ? true : undefined;
  });
}

/**
 * Starts the topology and two stores (roles and tables as `createShop` makes them), control and gateway processes, applies the keyspaces "old" and "new", runs the grants and waits until every gateway applies the
 * rules. Everything ends when it is disposed of and when this process ends in whatever way. When a part fails, the rest is taken down and the error has the part's log.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const directory = options.logDirectory === undefined ? undefined : resolve(options.logDirectory);
  if (directory !== undefined) await mkdir(directory, { recursive: true });
  const log: LogOf = (name) => (directory === undefined ? {} : { logFile: join(directory, `${name}.log`) });
  const say = options.say ?? (() => {});

  const { old: oldKind = 'postgres', new: newKind = 'postgres' } = options.stores ?? {};
  say(`starting the topology (${options.topology ?? 'consul'}) and the stores (${oldKind}, ${newKind}), scale ${options.scale ?? 1}`);
  const servers = await startServers(options, stack, log);
  const [gatewayCount, controlCount] = [options.gateways ?? 3, options.controls ?? 2];
  const ports = await findFreePorts(2 * gatewayCount + controlCount);
  say(`starting ${controlCount} control and ${gatewayCount} gateway processes`);
  const controls = await Promise.all(ports.slice(2 * gatewayCount).map((port, index) => startControl(index, port, servers, stack, options, log)));
  const gateways = await Promise.all(
    ports
      .slice(0, gatewayCount)
      .map((port, index) => startGateway(index, port, options.http === true ? (ports[gatewayCount + index] ?? null) : null, servers, stack, options, log)),
  );
  await using cluster = new RealCluster(servers, gateways, controls, new AsyncDisposableStack());

  for (const control of controls) {
    using client = createRpcClient(KeyspaceService, control.address, { deadlineMs: 2_000 });
    await untilServing(control, () => client.listKeyspaces({}));
  }
  const keyspaces = cluster.control(KeyspaceService);
  const shardOf = options.shardOf ?? (async (store: ClusterStore) => store.shard);
  for (const name of ['old', 'new'] as const) await keyspaces.applyKeyspace({ keyspace: { name, shards: [await shardOf(servers.stores[name], name)] } });
  await cluster.grant();
  await untilGatewaysApply(cluster);
  return new RealCluster(servers, gateways, controls, stack.move());
}

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OwnerStore } from '../../../backends/backend.ts';
import { backends } from '../../../backends/registry.ts';
import { postgresBackend } from '../../../backends/postgres/backend.ts';
import { createRpcClient, type RpcClient } from '../../../client/rpc-client.ts';
import type { Keyspace, ServerShard } from '../../../core/keyspace.ts';
import type { FenceState } from '../../../core/fence.ts';
import type { Registration } from '../../../core/registration.ts';
import { gatewayConfigSchema } from '../../../gateway/config.ts';
import { type Gateway, startGateway } from '../../../gateway/gateway.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import type { Topology } from '../../../topo/topology.ts';
import { readRegistrations } from '../../bench/cutover/consul-rules.ts';
import { clusterName } from '../cluster/process-config.ts';
import { type ConsulServer, startConsul } from '../servers/consul.ts';
import { type PostgresServer, quoteLiteral, startPostgres } from '../servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../servers/shop.ts';
import { waitUntil } from '../servers/wait-until.ts';

const never = new AbortController().signal;
const logLevel = process.env.SWITCHYARD_TEST_LOG === undefined ? 'silent' : 'debug';
export type KeyspaceName = 'old' | 'new';
const keyspaces = ['old', 'new'] as const;
const env = { GATEWAY: SHOP_LOGINS.gateway.password };

/** A gateway with its topology, and a client of it. */
export interface RunningGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly client: RpcClient<typeof DataService>;
}

/**
 * Consul and one PostgreSQL server with a database for each of the keyspaces "old" and "new"; gateways run in this process. Fence states are made by hand, as the owner, with the triggers and rights that belong to them: what a gateway does when a
 * state lasts is the subject here, not how it comes about.
 */
export class GatewayStage implements AsyncDisposable {
  readonly consul: ConsulServer;
  readonly postgres: PostgresServer;
  readonly topology: Topology;
  readonly directory: string;

  private constructor(consul: ConsulServer, postgres: PostgresServer, topology: Topology, directory: string) {
    this.consul = consul;
    this.postgres = postgres;
    this.topology = topology;
    this.directory = directory;
  }

  /** `schema` is run in both databases as the owner; then the grants. */
  static async open(schema: string): Promise<GatewayStage> {
    const [consul, postgres] = await Promise.all([startConsul(), startPostgres({ name: 'gateway-test' })]);
    const topology = openConsulTopology({ address: consul.address, cluster: clusterName, clock: systemClock, newNonce: () => randomUUID() });
    const stage = new GatewayStage(consul, postgres, topology, await mkdtemp(join(tmpdir(), 'switchyard-gateway-test-')));
    await topology.initialRules({ by: 'test', reason: 'first' }, 'old', never);
    for (const name of keyspaces) {
      await createShop(postgres, { tables: false, database: name });
      await postgres.psql(name, schema, { login: SHOP_LOGINS.owner });
      await postgres.psql(name, postgresBackend.grantScript(stage.shard(name), []));
      await topology.putKeyspace(stage.keyspace(name), never);
    }
    return stage;
  }

  shard(database: KeyspaceName): ServerShard {
    const login = (name: keyof typeof SHOP_LOGINS): ServerShard['owner'] => ({ user: SHOP_LOGINS[name].user, password: `env:${name.toUpperCase()}` });
    const { host, port } = this.postgres;
    return { kind: 'postgres', host, port, database, gateway: login('gateway'), player: login('player'), owner: login('owner') };
  }

  keyspace(name: KeyspaceName): Keyspace {
    return { name, shards: [this.shard(name)] };
  }

  /** Starts a gateway; `more` is merged into its configuration. `consul` replaces the agent's address. */
  async start(more: Readonly<Record<string, unknown>> = {}, consul = this.consul.address): Promise<RunningGateway> {
    const topology = openConsulTopology({ address: consul, cluster: clusterName, clock: systemClock, newNonce: () => randomUUID(), requestTimeoutMs: 500 });
    const config = gatewayConfigSchema.parse({ listen: '127.0.0.1:0', http: 'off', cluster: clusterName, consul, ...more });
    const gateway = await startGateway(config, { topology, backends, clock: systemClock, log: createLogger('gateway', logLevel), newId: () => randomUUID(), env });
    const client = createRpcClient(DataService, gateway.address);
    return {
      gateway,
      client,
      [Symbol.asyncDispose]: async () => {
        client[Symbol.dispose]();
        await gateway[Symbol.asyncDispose]();
        await topology[Symbol.asyncDispose]();
      },
    };
  }

  /** Runs SQL as the owner. */
  sql(keyspace: KeyspaceName, text: string): Promise<string> {
    return this.postgres.psql(keyspace, text, { login: SHOP_LOGINS.owner });
  }

  /** Puts a table under the workflow in both stores: OPEN in "old", CLOSED in "new", both at attempt 0. The table in "new" must be empty. */
  async claim(workflow: string, tables: readonly string[]): Promise<void> {
    for (const [name, peer, side] of [
      ['new', 'old', 'target'],
      ['old', 'new', 'source'],
    ] as const) {
      await this.prepare(name, (owner) => owner.claim({ workflow, peer, tables }, side, never));
    }
  }

  /** Makes the store's own schema, as control does, and then what else its owner is to do. */
  async prepare(name: KeyspaceName, more: (owner: OwnerStore) => Promise<void> = async () => {}): Promise<void> {
    await using owner = postgresBackend.openOwner({
      shard: this.shard(name),
      password: SHOP_LOGINS.owner.password,
      poolSize: 2,
      acquireTimeoutMs: 20_000,
      keyspace: 'shop',
      openedBy: 'a test',
      applicationName: 'test',
      clock: systemClock,
      onBackgroundError: () => {},
    });
    await owner.install(never);
    await more(owner);
  }

  /** Writes a table's fence row, with the trigger and the rights that belong to the state, in one transaction. */
  async fence(keyspace: KeyspaceName, table: string, state: FenceState, attempt: number): Promise<void> {
    const right =
      state === 'CLOSED' ? `REVOKE ALL ON ${table} FROM shop_gateway` : `GRANT ${state === 'OPEN' ? 'SELECT, INSERT, UPDATE, DELETE' : 'SELECT'} ON ${table} TO shop_gateway`;
    await this.sql(
      keyspace,
      `BEGIN;
       LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE;
       UPDATE switchyard.fence SET state = ${quoteLiteral(state)}, attempt = ${attempt} WHERE table_name = ${quoteLiteral(table)};
       ALTER TABLE ${table} ENABLE ALWAYS TRIGGER switchyard_fence_write;
       ${right};
       COMMIT;`,
    );
  }

  /** Waits until the gateway's registration is as wished and returns it. */
  async registration(gateway: Gateway, wished: (registration: Registration) => boolean): Promise<Registration> {
    let last: Registration | undefined;
    return await waitUntil('a registration', { limitMs: 10_000, everyMs: 10, explain: () => JSON.stringify(last) }, async () => {
      last = (await readRegistrations(this.consul)).find(({ id }) => id === gateway.id);
      return last !== undefined && wished(last) ? last : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.topology[Symbol.asyncDispose]();
    await Promise.all([this.consul[Symbol.asyncDispose](), this.postgres[Symbol.asyncDispose](), rm(this.directory, { recursive: true, force: true })]);
  }
}

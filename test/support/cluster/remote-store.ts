import { findFreePorts } from '../servers/free-port.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { credentialOf } from './process-config.ts';
import type { ClusterStore } from './store.ts';

export type RemoteKind = 'grpc' | 'http';
const peer = 'caller';

/** The store of another Switchyard with processes, Consul and PostgreSQL of its own, which passes it on to this one. What is looked at by hand is looked at past both. */
export class RemoteStore implements ClusterStore, AsyncDisposable {
  readonly kind: RemoteKind;
  readonly title: string;
  readonly shard: ClusterStore['shard'];
  readonly #inner: ClusterStore;
  readonly #cluster: Cluster;

  private constructor(kind: RemoteKind, name: 'old' | 'new', cluster: Cluster, at: { readonly gateway: string; readonly control: string }) {
    this.kind = kind;
    this.title = `a Switchyard over ${kind === 'grpc' ? 'gRPC' : 'HTTP'}`;
    this.#cluster = cluster;
    this.#inner = cluster.stores[name];
    const identity = (role: 'gateway' | 'player' | 'owner') => ({ ...credentialOf(role), user: peer });
    this.shard = { kind, gateways: [at.gateway], control: [at.control], keyspace: name, gateway: identity('gateway'), player: identity('player'), owner: identity('owner') };
  }

  /** `start` starts a cluster; `name` is that of the keyspace, here and there. */
  static async create(kind: RemoteKind, name: 'old' | 'new', options: ClusterOptions, start: (options: ClusterOptions) => Promise<Cluster>): Promise<RemoteStore> {
    const [gatewayPort, controlPort] = await findFreePorts(2);
    const [gatewayHttp, controlHttp] = [`127.0.0.1:${gatewayPort}`, `127.0.0.1:${controlPort}`];
    const secretOf = (role: 'gateway' | 'player' | 'owner'): string => credentialOf(role).password;
    const door = (address: string): Readonly<Record<string, string>> => (kind === 'http' ? { peersHttp: address } : {});
    const cluster = await start({
      ...options,
      gateways: 1,
      controls: 1,
      // The keyspace of the other name is not used.
      stores: { old: name === 'old' ? 'postgres' : 'sqlite', new: name === 'new' ? 'postgres' : 'sqlite' },
      gatewaySettings: { peers: [{ name: peer, gateway: secretOf('gateway') }], ...door(gatewayHttp) },
      controlSettings: { peers: [{ name: peer, player: secretOf('player'), owner: secretOf('owner') }], ...door(controlHttp) },
    });
    const [gateway, control] = [cluster.gateways[0]?.address ?? '', cluster.controls[0]?.address ?? ''];
    return new RemoteStore(kind, name, cluster, kind === 'http' ? { gateway: gatewayHttp, control: controlHttp } : { gateway, control });
  }

  get fenceTable(): string {
    return this.#inner.fenceTable;
  }

  rows(query: string): ReturnType<ClusterStore['rows']> {
    return this.#inner.rows(query);
  }

  /** Rights are those of the other cluster's identities. */
  grant(): Promise<void> {
    return this.#cluster.grant();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
  }
}

import type { DescService, MessageInitShape } from '@bufbuild/protobuf';
import { createRpcClient, type RpcClient } from '../../../client/rpc-client.ts';
import { type KeyspaceSchema, KeyspaceService } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { type ConsulServer, startConsul } from '../servers/consul.ts';
import { findFreePorts } from '../servers/free-port.ts';
import { type ClusterGateway, type ClusterOptions, startControl, startGateway, untilGatewaysApply, untilServing } from './cluster.ts';
import type { ClusterProcess } from './cluster-process.ts';

export interface KeyspaceClusterOptions
  extends Pick<ClusterOptions, 'gateways' | 'controls' | 'gatewaySettings' | 'controlSettings' | 'controlMain' | 'controlArguments' | 'moreEnv'> {
  /** In the order in which they are applied; their stores are there already, with tables and rights. */
  readonly keyspaces: readonly MessageInitShape<typeof KeyspaceSchema>[];
}

/** Consul, control and gateway processes over keyspaces of any kind, whose stores somebody else has started. */
export class KeyspaceCluster implements AsyncDisposable {
  readonly consul: ConsulServer;
  readonly gateways: readonly ClusterGateway[];
  readonly controls: readonly ClusterProcess[];
  readonly #stack: AsyncDisposableStack;

  private constructor(consul: ConsulServer, gateways: readonly ClusterGateway[], controls: readonly ClusterProcess[], stack: AsyncDisposableStack) {
    this.consul = consul;
    this.gateways = gateways;
    this.controls = controls;
    this.#stack = stack;
  }

  /** Resolves when every gateway applies the rules. */
  static async start(options: KeyspaceClusterOptions): Promise<KeyspaceCluster> {
    await using stack = new AsyncDisposableStack();
    const consul = stack.use(await startConsul({}));
    const [gatewayCount, controlCount] = [options.gateways ?? 1, options.controls ?? 1];
    const ports = await findFreePorts(gatewayCount + controlCount);
    const noLog = () => ({});
    const controls = await Promise.all(ports.slice(gatewayCount).map((port, index) => startControl(index, port, { consul }, stack, options, noLog)));
    const gateways = await Promise.all(ports.slice(0, gatewayCount).map((port, index) => startGateway(index, port, null, { consul }, stack, options, noLog)));
    for (const control of controls) {
      using client = createRpcClient(KeyspaceService, control.address, { deadlineMs: 2_000 });
      await untilServing(control, () => client.listKeyspaces({}));
    }
    const cluster = new KeyspaceCluster(consul, gateways, controls, stack.move());
    try {
      for (const keyspace of options.keyspaces) await cluster.control(KeyspaceService).applyKeyspace({ keyspace });
      await untilGatewaysApply(cluster);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A client of one of control's services at the first control process that runs; closed with the cluster. */
  control<S extends DescService>(service: S, deadlineMs = 10_000): RpcClient<S> {
    const running = this.controls.find((control) => control.isRunning);
    if (running === undefined) throw new Error('no control process runs');
    return this.client(service, running.address, deadlineMs);
  }

  /** A client at an address of the cluster; closed with it. */
  client<S extends DescService>(service: S, address: string, deadlineMs = 10_000): RpcClient<S> {
    return this.#stack.adopt(createRpcClient(service, address, { deadlineMs }), (client) => client[Symbol.dispose]());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

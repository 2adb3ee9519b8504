import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createRpcClient } from '../../../client/rpc-client.ts';
import { backends } from '../../../backends/registry.ts';
import { gatewayConfigSchema } from '../../../gateway/config.ts';
import { startGateway } from '../../../gateway/gateway.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import { startEmbeddedTopology } from '../../../topo/embedded/embedded-topology.ts';
import { Finding, messageOf } from '../target.ts';
import { ShopFile } from './shop-file.ts';

const never = new AbortController().signal;
const cluster = 'fuzz';

/** A whole gateway over a SQLite file, with both of its doors open. */
export interface ShopGateway extends AsyncDisposable {
  readonly grpcAddress: string;
  readonly httpAddress: string;
  readonly file: ShopFile;
  /** A finding when it does not answer good calls, or what no call may change has changed. */
  check(): Promise<void>;
}

/** Starts the product's own parts in this thread: the embedded topology, the gateway, a prepared SQLite store. */
export async function startShopGateway(): Promise<ShopGateway> {
  await using stack = new AsyncDisposableStack();
  const file = stack.use(await ShopFile.create());
  const log = createLogger('fuzz', 'silent');
  const consul = stack.use(await startEmbeddedTopology({ dataDir: join(file.directory, 'topology'), clock: systemClock, log, newId: () => randomUUID(), random: () => 0 }));
  const topology = stack.use(openConsulTopology({ address: consul.address, cluster, clock: systemClock, newNonce: () => randomUUID() }));
  await topology.initialRules({ by: 'fuzz', reason: 'first' }, 'shop', never);
  await topology.putKeyspace({ name: 'shop', shards: [{ kind: 'sqlite', path: file.path }] }, never);
  await file.install('shop');
  file.seal();
  const config = gatewayConfigSchema.parse({ listen: '127.0.0.1:0', http: '127.0.0.1:0', cluster, consul: consul.address, pool: { size: 2 } });
  const gateway = stack.use(await startGateway(config, { topology, backends, clock: systemClock, log, newId: () => randomUUID(), env: {} }));
  const client = stack.use(createRpcClient(DataService, gateway.address));
  const httpAddress = gateway.httpAddress ?? '';
  const running = stack.move();
  return {
    grpcAddress: gateway.address,
    httpAddress,
    file,
    check: async () => {
      file.checkUntouched();
      try {
        await client.query({ table: 'item', pageSize: 1 });
        const answer = await fetch(`http://${httpAddress}/v1/tables/item`);
        if (answer.status !== 200) throw new Error(`GET of a table's shape is answered with ${answer.status}`);
        await answer.arrayBuffer();
      } catch (error) {
        throw new Finding('state', `a good call is not served any more: ${messageOf(error)}`, error);
      }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

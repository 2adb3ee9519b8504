import type { Backend } from '../../backends/backend.ts';
import { backends } from '../../backends/registry.ts';
import { storeOptions } from './data-store-harness.ts';
import { operationsByTypeContract } from './operations-by-type.ts';
import { PassingGateway, passedOnShard, PEER } from './passed-on.ts';
import { PostgresTypes, postgresTypes } from './postgres-types.ts';

/** The suite over a PostgreSQL that a gateway of another cluster passes on to a store of this kind. */
export function passedOnOperationsContract(kind: string): void {
  operationsByTypeContract(`PostgreSQL passed on over ${kind}`, postgresTypes, async () => {
    const stack = new AsyncDisposableStack();
    const types = stack.use(await PostgresTypes.start());
    const gateway = stack.use(await PassingGateway.start([{ name: 'there', shards: [types.shard] }], types.env));
    const backend = backends.get(kind) as Backend;
    const store = stack.use(backend.openData(storeOptions({ shard: passedOnShard(kind, { gateways: [gateway.addressFor(kind)], keyspace: 'there' }), password: PEER.gateway })));
    return { store, capabilities: backend.capabilities, script: types.script, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  });
}

import type { StoreOptions } from '../../backends/backend.ts';
import { backends } from '../../backends/registry.ts';
import { dataStoreContract } from './data-store.ts';
import { storeOptions } from './data-store-harness.ts';
import { PassingGateway, passedOnShard, PEER } from './passed-on.ts';
import { PostgresHarness } from './postgres-harness.ts';

/** The suite over a PostgreSQL that a gateway of another cluster passes on to a store of this kind. */
export function passedOnDataContract(kind: string): void {
  const setup = async () => {
    const harness = await PostgresHarness.start();
    const gateway = await PassingGateway.start([{ name: 'there', shards: [harness.shard] }], harness.env);
    const backend = backends.get(kind);
    if (backend === undefined) throw new Error(`no kind ${kind}`);
    const open = (options: Partial<StoreOptions> = {}) =>
      backend.openData(storeOptions({ shard: passedOnShard(kind, { gateways: [gateway.addressFor(kind)], keyspace: 'there' }), password: PEER.gateway, ...options }));
    const dispose = async (): Promise<void> => {
      await gateway[Symbol.asyncDispose]();
      await harness[Symbol.asyncDispose]();
    };
    // What is done to the store by hand is done past the gateway.
    return new Proxy(harness, {
      get: (target, name) => {
        if (name === 'open') return open;
        if (name === Symbol.asyncDispose) return dispose;
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  };
  const elsewhere = 'connections to the store are those of the gateway that passes it on, whose own suite this is';
  dataStoreContract(`PostgreSQL passed on over ${kind}`, setup, {
    ownConnections: elsewhere,
    lostConnections: elsewhere,
    ...(kind === 'http' ? { jointReads: 'each is a call on a connection of its own, and comes there when it comes' } : {}),
    cancelRequests: elsewhere,
    ownPool: elsewhere,
    refusedAnswers: 'the writes are committed there when their answer comes here; the bound on it is held to there',
  });
}

import { afterAll, beforeAll } from '@jest/globals';
import { startTopologyServer } from '../support/servers/start-topology-server.ts';
import type { TopologyServer, TopologyServerKind } from '../support/servers/topology-server.ts';
import { describeBlocking } from './topology-server-blocking.ts';
import { describeFaults } from './topology-server-faults.ts';
import { TopologyCaller } from './topology-server-harness.ts';
import { describeKeys } from './topology-server-keys.ts';
import { describeSessions } from './topology-server-sessions.ts';
import { describeTransactions } from './topology-server-transactions.ts';

/** What Switchyard's client relies on, of Consul's HTTP API: run against a real agent, so that it is true, and against the server that stands in for one, so that it is enough. */
export function describeTopologyServer(kind: TopologyServerKind): void {
  let server: TopologyServer;
  let api: TopologyCaller;
  beforeAll(async () => {
    server = await startTopologyServer(kind, { leastTtlMs: 1_000 });
    api = new TopologyCaller(server);
  }, 60_000);
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  const caller = (): TopologyCaller => api;
  describeKeys(caller);
  describeBlocking(caller);
  describeTransactions(caller);
  describeSessions(caller);
  describeFaults(kind, caller);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { ConnectionCuts, type CutCounts } from '../bench/cuts/connection-cuts.ts';
import { lossesOf, lossProblems } from '../bench/cuts/losses.ts';
import { judge, type Violation } from '../bench/cutover/judge.ts';
import { Load } from '../bench/cutover/load.ts';
import { readStoreFacts } from '../bench/cutover/store-facts.ts';
import { dropRecords } from '../bench/broken/broken-store.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { resetCounters } from '../support/moves/row-sets.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * Connections of the gateways to their store are cut under load, in COMMIT too. With request ids every write is done once and has an answer; in a store that throws the records away some are done twice, and the judge sees it; without request ids an
 * unknown outcome is told as such and nobody repeats it. The load is small and its deadline long, so that a busy machine bears it.
 */

const deadlineMs = 40_000;
const enoughCommitted = 8;
const limitMs = 60_000;
const caseLimitMs = 240_000;

interface Verdict {
  readonly harm: readonly Violation[];
  readonly problems: readonly string[];
  readonly errors: readonly string[];
  readonly cuts: CutCounts;
}

/** Load until enough commits were cut after the store had done them; then the verdict. */
async function underCuts(cluster: Cluster, cuts: ConnectionCuts, requestIds: boolean): Promise<Verdict> {
  const { old } = cluster.stores;
  await resetCounters(cluster, 'old');
  const gateways = cluster.gateways.map(({ address }) => address);
  const size = { writesPerSecond: 80, readsPerSecond: 40, scale: 1, hotAccounts: 100, rampMs: 500, seed: Date.now() };
  await using load = await Load.connect({ gateways, readOnlyGateways: [], deadlineMs, requestIds, repeats: true, ...size });
  load.run();
  cuts.start();
  await waitUntil('enough commits being cut', { limitMs, explain: () => JSON.stringify(cuts.counts) }, async () => (cuts.counts.committed >= enoughCommitted ? true : undefined));
  const counts = await cuts.stop();
  await sleep(200);
  const record = await load.finish();
  const found = judge(record, { primary: await readStoreFacts(old), copy: null, scale: 1 });
  const isError = ({ kind }: Violation): boolean => kind === 'error' || kind === 'reconnect';
  return {
    harm: found.filter((violation) => !isError(violation)),
    problems: lossProblems(lossesOf(record, counts), requestIds),
    errors: found.filter(isError).map(({ what }) => what),
    cuts: counts,
  };
}

test(
  'writes with request ids are done once though connections are cut, in COMMIT too; without ids nobody repeats an unknown outcome',
  async () => {
    await using cuts = new ConnectionCuts(Date.now());
    await using cluster = await startCluster({ gateways: 2, controls: 1, shardOf: (store) => cuts.shardOf(store) });

    const kept = await underCuts(cluster, cuts, true);
    expect(kept).toMatchObject({ harm: [], problems: [], errors: [] });

    const without = await underCuts(cluster, cuts, false);
    expect(without).toMatchObject({ harm: [], problems: [], errors: [] });

    await cluster.old.psql(cluster.database, dropRecords, { login: cluster.logins.owner });
    const dropped = await underCuts(cluster, cuts, true);
    expect(dropped.harm.filter(({ kind }) => kind === 'doubled').length).toBeGreaterThan(0);
  },
  caseLimitMs,
);

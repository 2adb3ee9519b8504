import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../support/cluster/cluster.ts';
import { movedTables } from './bench-move.ts';
import type { JudgedFacts } from './judge.ts';
import { readDigests, readStoreFacts, readTotals, type StoreFacts } from './store-facts.ts';

const catchUpLimitMs = 20_000;
const againMs = 500;

type StoreName = 'old' | 'new';
const otherOf = (name: StoreName): StoreName => (name === 'old' ? 'new' : 'old');

/** What is wrong with the fence rows when this store is to serve the moved tables and the other one is not, by the stores' own SQL; null: nothing. */
export async function servingProblem(cluster: Cluster, primary: StoreName): Promise<string | null> {
  const statesIn = async (name: StoreName): Promise<string> => {
    const store = cluster.stores[name];
    const rows = await store.rows(`SELECT table_name, state FROM ${store.fenceTable}`);
    const states = movedTables.map((table) => rows.find(([each]) => each === table)?.[1] ?? 'no row');
    return [...new Set(states)].join(' and ');
  };
  const [serving, closed] = [await statesIn(primary), await statesIn(otherOf(primary))];
  return serving === 'OPEN' && closed === 'CLOSED' ? null : `"${primary}" is ${serving}, "${otherOf(primary)}" is ${closed}`;
}

/** Both stores, every column of every row compared, once the copy's totals are those of the primary or its time is over. For a cluster that nobody writes to any more. */
export async function factsOfBoth(cluster: Cluster, primary: StoreName): Promise<Pick<JudgedFacts, 'primary' | 'copy'>> {
  const facts: StoreFacts = { ...(await readStoreFacts(cluster.stores[primary])), digests: await readDigests(cluster.stores[primary]) };
  const copy = cluster.stores[otherOf(primary)];
  const wanted = JSON.stringify([facts.sums, facts.counts]);
  const limit = performance.now() + catchUpLimitMs;
  for (;;) {
    const { sums, counts } = await readTotals(copy);
    const isThere = JSON.stringify([sums, counts]) === wanted;
    const isLate = performance.now() > limit;
    if (isThere || isLate) {
      const digests = await readDigests(copy);
      if (isLate || JSON.stringify(digests) === JSON.stringify(facts.digests)) return { primary: facts, copy: { ...facts, sums, counts, digests } };
    }
    await sleep(againMs);
  }
}

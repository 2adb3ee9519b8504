import { setTimeout as sleep } from 'node:timers/promises';
import { movedTables } from '../../bench/cutover/bench-move.ts';
import type { World } from '../world.ts';
import { type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';
import { storeDown, storeNames } from './stores.ts';

const longestMs = 4_000;
const betweenWritesMs = 50;

/** Somebody's report, or somebody who went to lunch: a transaction that has written one row. Cutovers may be refused or aborted by it; calls may not. */
export const longTransaction: Nemesis = {
  name: 'long-transaction',
  async strike({ cluster }, dice) {
    const [store, forMs] = [oneOf(storeNames, dice), 500 + dice.roll(longestMs)];
    const script = `BEGIN; UPDATE pgbench_accounts SET filler = filler WHERE aid = 99999; SELECT pg_sleep(${forMs / 1_000}); ROLLBACK;`;
    // In the store that is closed the fence may refuse the row; then there is only a long read.
    await cluster[store]
      .psql(cluster.database, script)
      .catch(() => cluster[store].psql(cluster.database, `BEGIN; SELECT count(*) FROM pgbench_tellers; SELECT pg_sleep(${forMs / 1_000}); ROLLBACK;`));
    return { what: `a transaction of ${seconds(forMs)} in store "${store}"`, excuses: noExcuse };
  },
};

/** A table that nobody else may write, or not even read: for its callers the store is down. */
export const lockHolder: Nemesis = {
  name: 'lock-holder',
  async strike({ cluster }, dice) {
    const [store, forMs, table] = [oneOf(storeNames, dice), 500 + dice.roll(longestMs), oneOf(movedTables, dice)];
    const mode = oneOf(['SHARE', 'SHARE ROW EXCLUSIVE', 'ACCESS EXCLUSIVE'], dice);
    await cluster[store].psql(cluster.database, `BEGIN; LOCK TABLE ${table} IN ${mode} MODE; SELECT pg_sleep(${forMs / 1_000}); ROLLBACK;`);
    return { what: `${table} locked in ${mode} mode in store "${store}" for ${seconds(forMs)}`, excuses: storeDown(store) };
  },
};

/** Logins that do not come through a gateway. The last one tells the server to skip ordinary triggers. */
const bypasses = [
  { who: 'the owner', login: 'owner', before: '' },
  { who: 'the superuser', login: null, before: '' },
  { who: 'the superuser as a replica', login: null, before: 'SET session_replication_role = replica;' },
] as const;

/** Null: the store that took the row was open, or refused it. What was written is taken back. */
async function bypass({ cluster }: World, store: (typeof storeNames)[number], { who, login, before }: (typeof bypasses)[number]): Promise<string | null> {
  const script = `${before} BEGIN; UPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;
    SELECT state FROM switchyard.fence WHERE table_name = 'pgbench_branches'; ROLLBACK;`;
  const options = login === null ? {} : { login: cluster.logins[login] };
  try {
    const state = (await cluster[store].psql(cluster.database, script, options)).trim();
    return state === 'OPEN' ? null : `${who} wrote into store "${store}" while its fence was ${state}`;
  } catch (error) {
    // The fence's own word, whatever else it says; or psql's status for a connection that is not had or lost, where another strike is on the store.
    return /fence|ended with code 2\b/i.test(String(error)) ? null : `${who} could not write into store "${store}", and not for its fence: ${String(error)}`;
  }
}

/** Writers that the gateways know nothing of: the store itself has to refuse them unless it is open. */
export const bypassWriter: Nemesis = {
  name: 'bypass-writer',
  async strike(world, dice) {
    const endsMs = performance.now() + 1_000 + dice.roll(longestMs);
    const problems = new Set<string>();
    let tries = 0;
    while (performance.now() < endsMs) {
      const problem = await bypass(world, oneOf(storeNames, dice), oneOf(bypasses, dice));
      if (problem !== null) problems.add(problem);
      tries += 1;
      await sleep(betweenWritesMs);
    }
    return { what: `${tries} writes past the gateways`, excuses: noExcuse, problems: [...problems] };
  },
};

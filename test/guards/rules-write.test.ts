import { expect, test } from '@jest/globals';
import { settleRules } from '../../control/cutover/rules-write.ts';
import { releaseTables } from '../../control/workflow/claims.ts';
import { CutoverRig } from './support/cutover-rig.ts';
import { whileTimePasses } from './support/hand-clock.ts';

const never = new AbortController().signal;

test.each(['have lost the workflow', 'are missing'])('rules that %s when they are read are not given to it once it has ended', async (kind) => {
  const rig = new CutoverRig();
  rig.rules = { ...rig.rules, tables: { orders: { primary: 'old', attempt: 0, writes: 'open', names: [] } } };
  const { topology } = rig.deps;
  const read = topology.readRules.bind(topology);
  let reads = 0;
  Object.assign(topology, {
    readRules: async () => {
      reads += 1;
      return reads === 1 && kind === 'are missing' ? { kind: 'missing', index: 1 } : await read(never);
    },
  });
  let looks = 0;
  // The store's answer comes while the tables are the workflow's still; then the workflow ends.
  const confirm = async (): Promise<boolean> => {
    looks += 1;
    if (looks > 1) return false;
    await topology.updateRules({ by: 'another control', reason: 'cancelled' }, (rules) => releaseTables(rules, 'move', 'old'), never);
    return true;
  };
  const goal = { move: rig.move, primary: 'source', attempt: null, restore: true } as const;
  const settled = settleRules(rig.deps, goal, { reason: 'late', replaces: null, confirm, limitMs: 3_000, signal: null });
  expect(await whileTimePasses(rig.clock, settled, 5_000)).toBe('superseded');
  expect(Object.values(rig.rules.tables).filter((rule) => rule.movement !== undefined)).toEqual([]);
});

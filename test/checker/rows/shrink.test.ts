import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { plannedCalls, simulateRow } from '../simulated/simulated-row.ts';
import { search } from './search.ts';
import { claimOnly, shrink } from './shrink.ts';

const limit = 100_000;

test.each([
  ['increments', ['read', 'increment']],
  ['conditional writes', ['read', 'read', 'write', 'swap', 'swap']],
] as const)('what is left of %s is violated still, and without any one of its claims it is not', (_name, kinds) => {
  let violated = 0;
  for (const calls of fc.sample(plannedCalls(kinds, { min: 30, max: 40 }), { numRuns: 150, seed: 20_261_128 })) {
    const index = calls.findIndex(({ kind, way }, place) => place > 8 && kind === 'read' && way === 'answered');
    const operations = simulateRow(calls, null, index === -1 ? null : { fault: 'old-read', index });
    const result = search(operations, [null], limit);
    if (result.outcome !== 'violated') continue;
    violated += 1;
    const { claims, context, weakened } = shrink(operations, [null], result.at, limit);
    expect(search(weakened, [null], limit).outcome).toBe('violated');
    expect(search([...context, ...claims], [null], limit).outcome).toBe('violated');
    for (const claim of claims) expect(search(claimOnly(weakened, new Set(claims.filter((each) => each !== claim))), [null], limit).outcome).toBe('clean');
    // Of some thirty answers.
    expect(claims.length).toBeLessThan(20);
  }
  expect(violated).toBeGreaterThan(20);
});

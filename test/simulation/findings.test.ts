import { describe, expect, test } from '@jest/globals';
import { runSeed } from './run-seed.ts';
import type { Fault, Plan } from './world/plan.ts';

/* Faults of the product that the simulation has found, each as the smallest plan that showed it. */

const findings: readonly (readonly [what: string, plan: Partial<Plan> & Pick<Plan, 'seed'> & { readonly faults: readonly Fault[] }])[] = [
  [
    'an invalid rules document is replaced also where the last good one was right',
    { seed: 1031, faults: [{ when: { kind: 'time', atMs: 300 }, action: { kind: 'rules', how: 'garbage' }, forMs: 0 }] },
  ],
  [
    'a cancelled workflow ends also where Consul was away after its tables had been given back',
    { seed: 9013, ends: true, faults: [{ when: { kind: 'fence', state: 'OPEN', nth: 1, delayMs: 0 }, action: { kind: 'no-leader' }, forMs: 400 }] },
  ],
  [
    'a coordinator that comes late to the end of a switch does not end the log with which the next one begins its way back',
    {
      seed: 597,
      fromScratch: true,
      switches: 2,
      restMs: 179.43179849302396,
      faults: [
        { when: { kind: 'fence', state: 'CLOSED', nth: 2, delayMs: 7.686513005435451 }, action: { kind: 'cut', a: 'control-2', b: 'old', ways: 'back' }, forMs: 791.6593215288594 },
        { when: { kind: 'step', step: 'close', nth: 1, delayMs: 0 }, action: { kind: 'crash', place: 'control-1', silent: false }, forMs: 1558.887652605772 },
      ],
    },
  ],
  [
    'a runner whose stream another one took over in the moment between is not told that its log is lost',
    {
      seed: 1549,
      switches: 2,
      restMs: 163.9067337405868,
      faults: [
        { when: { kind: 'fence', state: 'SEALED', nth: 1, delayMs: 0 }, action: { kind: 'crash', place: 'old', silent: false }, forMs: 3195.4942528624088 },
        { when: { kind: 'fence', state: 'OPEN', nth: 1, delayMs: 0 }, action: { kind: 'crash', place: 'new', silent: true }, forMs: 1373.4318475238979 },
        { when: { kind: 'fence', state: 'CLOSED', nth: 2, delayMs: 0 }, action: { kind: 'crash', place: 'control-1', silent: false }, forMs: 1252.2747812559828 },
      ],
    },
  ],
  [
    'the log of an attempt that came to nothing goes when its store is back, also if nobody switches again',
    { seed: 1, switches: 1, faults: [{ when: { kind: 'step', step: 'sequences', nth: 1, delayMs: 0 }, action: { kind: 'crash', place: 'new', silent: false }, forMs: 25_000 }] },
  ],
  [
    'a gateway that missed how the tables went back and were dropped where it remembers them finds them again',
    {
      seed: 103,
      switches: 2,
      ends: true,
      restMs: 260,
      faults: [{ when: { kind: 'step', step: 'flip', nth: 1, delayMs: 311 }, action: { kind: 'cut', a: 'gateway-2', b: 'old', ways: 'there' }, forMs: 2_533 }],
    },
  ],
  [
    'a workflow that is completed when a cutover has just lost its coordinator has no cutover that goes on',
    {
      seed: 5902,
      switches: 3,
      ends: true,
      restMs: 169.93306678254157,
      faults: [
        { when: { kind: 'step', step: 'reverse-stream', nth: 2, delayMs: 0 }, action: { kind: 'crash', place: 'control-2', silent: false }, forMs: 369.28879680577666 },
        { when: { kind: 'fence', state: 'SEALED', nth: 1, delayMs: 0 }, action: { kind: 'crash', place: 'new', silent: true }, forMs: 3866.8158965278417 },
        { when: { kind: 'step', step: 'precheck', nth: 2, delayMs: 3.811992007643221 }, action: { kind: 'stop', place: 'control-1' }, forMs: 11808.948210440576 },
      ],
    },
  ],
];

describe('what the simulation has found is mended', () => {
  test.each(findings)('%s', async (_, plan) => {
    const { violations } = await runSeed({ fromScratch: false, switches: 0, ends: false, restMs: 100, ...plan }, { broken: new Set(), isTalkative: false });
    expect(violations).toEqual([]);
  });
});

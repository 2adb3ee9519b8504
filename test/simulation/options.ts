import { parseArgs } from 'node:util';
import type { StoreFault } from './store/server.ts';
import { makePlan, type Plan } from './world/plan.ts';

const faults: readonly StoreFault[] = ['fence', 'read-fence', 'old-snapshots', 'token', 'marker'];

export interface Options {
  readonly seeds: number;
  /** Null: goes on behind what the ledger has. */
  readonly firstSeed: number | null;
  readonly broken: readonly StoreFault[];
  readonly checksDeterminism: boolean;
  readonly isTalkative: boolean;
  /** The plan of a seed, or what is left of it. */
  readonly planOf: (seed: number) => Plan;
}

export const usage = `npm run simulate -- [--seeds N] [--first-seed S] [--check-determinism] [--break WHAT]... [--help]
  --seeds N            how many worlds to run (default 100)
  --first-seed S       begins with this seed and writes down nothing; left out: goes on where the record of this code ends
  --check-determinism  runs every seed twice and compares everything that happened
  --break WHAT         takes a safeguard out of the stores, which has to be found (exit code 0; 1 when it is not): ${faults.join(', ')}
  --talk               prints everything that happened
  --faults 0,2|none    only these of the seed's faults
  --switches N, --rest MS, --no-end  in place of what the seed says`;

/** Throws with a message for people. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '100' },
      'first-seed': { type: 'string' },
      break: { type: 'string', multiple: true, default: [] },
      'check-determinism': { type: 'boolean', default: false },
      talk: { type: 'boolean', default: false },
      faults: { type: 'string' },
      switches: { type: 'string' },
      rest: { type: 'string' },
      'no-end': { type: 'boolean', default: false },
    },
  });
  const broken = values.break.map((name) => {
    const fault = faults.find((each) => each === name);
    if (fault === undefined) throw new Error(`--break: got "${name}"; must be one of ${faults.join(', ')}`);
    return fault;
  });
  const planOf = (seed: number): Plan => {
    const plan = makePlan(seed);
    const kept =
      values.faults === undefined ? plan.faults : values.faults === 'none' ? [] : values.faults.split(',').flatMap((index) => plan.faults[count('--faults', index)] ?? []);
    return {
      ...plan,
      faults: kept,
      ends: plan.ends && !values['no-end'],
      switches: values.switches === undefined ? plan.switches : count('--switches', values.switches),
      restMs: values.rest === undefined ? plan.restMs : milliseconds('--rest', values.rest),
    };
  };
  return {
    seeds: count('--seeds', values.seeds),
    firstSeed: values['first-seed'] === undefined ? null : count('--first-seed', values['first-seed']),
    broken,
    checksDeterminism: values['check-determinism'],
    isTalkative: values.talk,
    planOf,
  };
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`${name}: got "${text}"; must be a whole number`);
  return number;
}

/** Not whole: a shrunk plan says how long exactly. */
function milliseconds(name: string, text: string): number {
  const number = Number(text);
  if (!(number >= 0 && number < Number.POSITIVE_INFINITY)) throw new Error(`${name}: got "${text}"; must be a number of milliseconds`);
  return number;
}

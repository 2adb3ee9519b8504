import { noteText } from './world/journal.ts';
import { makePlan } from './world/plan.ts';
import { runSeed } from './run-seed.ts';

// Every error would cost more than what it tells of: nobody looks at where they come from.
Error.stackTraceLimit = process.argv[4] === 'talk' ? 10 : 0;
const first = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 1);
const talk = process.argv[4] === 'talk';
const begin = performance.now();
for (let seed = first; seed < first + count; seed += 1) {
  const result = await runSeed(makePlan(seed), { broken: new Set(), isTalkative: talk });
  if (talk || result.violations.length > 0) for (const note of result.notes) process.stdout.write(`${noteText(note)}\n`);
  process.stdout.write(
    `seed ${seed}: ${result.violations.length} violations, ${result.steps} steps, ${(result.virtualMs / 1000).toFixed(1)} s, ${result.history.length} ops, trace ${result.trace}\n`,
  );
}
process.stdout.write(`${((performance.now() - begin) / count).toFixed(1)} ms a seed\n`);

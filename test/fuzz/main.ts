// `npm run fuzz`: gives bad input to every part that takes input from outside. Exit code 1: something came of an input that never may; the input is in the corpus.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';
import { fuzzTargets } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    target: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const chosen = fuzzTargets.filter(({ name }) => values.target === undefined || name === values.target);
  const seconds = Number(values.seconds) / Math.max(1, chosen.length);
  const seed = Number(values.seed ?? randomInt(2 ** 31));
  if (values.help || chosen.length === 0 || !(seconds >= 0) || !Number.isSafeInteger(seed)) {
    console.error('npm run fuzz -- [--seconds N] [--target NAME] [--seed S] [--json]');
    console.error(`--seconds is for all targets together (0: the corpus only); targets: ${fuzzTargets.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  let failed = 0;
  for (const { name, module } of chosen) {
    const report = await fuzz({ name, module, seed, seconds, keep: true });
    const { found, outcomes, inputs, slowestMs } = report;
    if (values.json) console.log(JSON.stringify({ ...report, found: found === null ? null : { ...found, input: undefined } }));
    else
      console.log(
        `${found === null ? 'ok   ' : 'FOUND'} ${name}: ${inputs} inputs, slowest ${slowestMs} ms, seed ${seed}; ${Object.entries(outcomes)
          .map(([what, count]) => `${what} ${count}`)
          .join(', ')}`,
      );
    if (found === null) continue;
    failed += 1;
    if (!values.json) console.log(`  ${found.kind}: ${found.message}\n  ${found.file ?? 'no single input'}; again: ${found.command}`);
  }
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();

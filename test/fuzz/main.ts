// `npm run fuzz`: gives bad input to every part that takes input from outside. Exit code 1: something came of an input that never may; the input is in the corpus.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';
import { fuzzTargets } from './targets.ts';

const usage = `npm run fuzz -- [--seconds N] [--target NAME] [--seed S] [--json] [--help]
  --seconds N    for all targets together (default 60; 0: the corpus only)
  --target NAME  only this one of ${fuzzTargets.map(({ name }) => name).join(', ')}
  --seed S       another one every time unless it is given
  --json         prints one JSON object a target`;

interface Options {
  readonly chosen: typeof fuzzTargets;
  readonly seconds: number;
  readonly seed: number;
  readonly json: boolean;
}

/** Throws with a message for people. */
function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '60' },
      target: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const chosen = fuzzTargets.filter(({ name }) => values.target === undefined || name === values.target);
  const seconds = Number(values.seconds);
  const seed = Number(values.seed ?? randomInt(2 ** 31));
  if (chosen.length === 0) throw new Error(`--target: there is none of the name "${values.target}"`);
  if (!(seconds >= 0)) throw new Error(`--seconds: got "${values.seconds}"; must be a number, 0 or more`);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed: got "${values.seed}"; must be a whole number`);
  return { chosen, seconds: seconds / chosen.length, seed, json: values.json };
}

/** Null, after the reason and the usage, where the arguments are no good. */
function optionsOf(args: readonly string[]): Options | null {
  try {
    return readOptions(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return null;
  }
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(usage);
    return 0;
  }
  const options = optionsOf(args);
  if (options === null) return 2;
  const { chosen, seconds, seed, json } = options;
  let failed = 0;
  for (const { name, module } of chosen) {
    const report = await fuzz({ name, module, seed, seconds, keep: true });
    const { found, outcomes, inputs, slowestMs } = report;
    if (json) console.log(JSON.stringify({ ...report, found: found === null ? null : { ...found, input: undefined } }));
    else
      console.log(
        `${found === null ? 'ok   ' : 'FOUND'} ${name}: ${inputs} inputs, slowest ${slowestMs} ms, seed ${seed}; ${Object.entries(outcomes)
          .map(([what, count]) => `${what} ${count}`)
          .join(', ')}`,
      );
    if (found === null) continue;
    failed += 1;
    if (!json) console.log(`  ${found.kind}: ${found.message}\n  ${found.file ?? 'no single input'}; again: ${found.command}`);
  }
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

// npm run model [-- --full] [--only NAME] [--fresh] [--show] [--json]
import { Command } from 'commander';
import { openLedger } from '../ledger/ledger.ts';
import { counted } from '../ledger/wording.ts';
import { isAsExpected, nameOf, type Outcome, runModels } from './run-models.ts';
import { requireTools } from './tools.ts';
import { subjects } from './variants.ts';

const models = import.meta.dirname;
const limits = { memoryMiB: 8_000, timeoutMs: 30 * 60_000 };

interface Options {
  readonly full?: boolean;
  readonly only?: string;
  readonly fresh?: boolean;
  readonly show?: boolean;
  readonly json?: boolean;
}

const ledgerOf = (model: string) => openLedger('model', [`test/model/${model}.pml`, 'test/model/words.pml']);

function lineOf(outcome: Outcome): string {
  const { expected, recorded, result, subject } = outcome;
  const figures = `${result.states.toLocaleString('en-US')} states, depth ${result.depth}, ${recorded ? 'recorded' : `${result.seconds.toFixed(1)} s`}`;
  const verdict = isAsExpected(outcome) ? 'ok  ' : 'FAIL';
  return `${verdict}  ${subject.padEnd(60)} ${result.kind.padEnd(10)} ${isAsExpected(outcome) ? '' : `instead of ${expected}: ${result.message} `}(${figures})`;
}

async function main(options: Options, command: Command): Promise<void> {
  const { full = false, only, show = false, json = false } = options;
  const chosen = subjects.filter((subject) => (full || only !== undefined || !subject.full) && (only === undefined || subject.model === only || nameOf(subject, null) === only));
  if (chosen.length === 0) command.error(`error: --only: there is no model "${only}"; there are ${[...new Set(subjects.map(({ model }) => model))].join(', ')}`);
  const say = (line: string): void => console.error(line);
  await requireTools(process.getuid?.() === 0, say).catch((error: Error) => command.error(`error: ${error.message}`));
  const startedAt = performance.now();
  const outcomes = await runModels({
    subjects: chosen,
    models,
    limits,
    ledgerOf,
    resume: full && options.fresh !== true,
    show,
    onOutcome: (outcome) => {
      if (!json) console.log([lineOf(outcome), ...outcome.history.map((line) => `        ${line}`)].join('\n'));
    },
  });
  const failed = outcomes.filter((outcome) => !isAsExpected(outcome));
  const seconds = (performance.now() - startedAt) / 1_000;
  if (json) console.log(JSON.stringify({ outcomes, failed: failed.length, seconds }));
  else console.log(`${counted(outcomes.length, 'search', 'searches')}, ${failed.length} not as expected, ${seconds.toFixed(0)} s`);
  if (failed.length > 0) process.exitCode = 1;
}

await new Command('model')
  .description(
    'Searches every state of the models of the protocol, and of their variants with one safeguard less each, which must be caught. Exits non-zero when a model fails, a variant is not caught or a search is not complete.',
  )
  .option('--full', 'also the large sizes; goes on where an earlier run stopped, as long as the model is the same')
  .option('--only <model>', 'only this model, in all its sizes')
  .option('--fresh', 'with --full: search again what is recorded')
  .option('--show', 'print how each caught variant goes wrong')
  .option('--json', 'print one JSON object at the end')
  .action(main)
  .parseAsync();

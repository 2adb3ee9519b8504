// npm run fault -- --minutes M --nemesis LIST [--json]
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Break, breaks } from './breaks.ts';
import { runEachStep } from './coordinator/coordinator-run.ts';
import { allNemeses } from './nemeses/registry.ts';
import { nemesesOf, runFaults } from './run.ts';
import { summaryOf } from './summary.ts';

const shownViolations = 20;

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('must be a number above 0.');
  return value;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number.');
  return value;
}

function atLeastOne(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('must be 1 or more.');
  return value;
}

function nemesisList(text: string): string {
  try {
    nemesesOf(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return text;
}

interface Options {
  readonly minutes: number;
  readonly nemesis: string;
  readonly seed?: number;
  readonly consulServers?: '1' | '3';
  readonly pieceMinutes: number;
  readonly logDirectory?: string;
  readonly record: boolean;
  readonly eachStep?: number;
  readonly break?: Break;
  readonly disturb?: Break;
  readonly json?: boolean;
}

await new Command('fault')
  .description(
    'Strikes real processes, servers and connections under load while tables move to and fro, and judges what clients saw and stores hold. Exits non-zero when a guarantee was broken; with --break when none was.',
  )
  .option('--minutes <n>', 'minutes under strikes, in all: what was recorded for the same code counts', positive, 3)
  .option('--piece-minutes <n>', 'minutes of one piece, each with processes and a seed of its own', positive, 3)
  .option('--nemesis <list>', `"all", or some of: ${allNemeses.map(({ name }) => name).join(', ')}`, nemesisList, 'all')
  .option('--seed <n>', 'seed of the first piece; default: the first that was not run', wholeNumber)
  .option('--each-step <n>', 'with --nemesis coordinator: so many deaths and pauses of the coordinator after each step of a cutover, instead of minutes', atLeastOne)
  .addOption(
    new Option('--break <safeguard>', 'a test build without this safeguard, under the strikes that it is there for: harm must be found (exit code 0; 1 when it is not)').choices(
      breaks,
    ),
  )
  .addOption(new Option('--disturb <safeguard>', 'the same strikes with the product as it is: none may be found').choices(breaks))
  .addOption(new Option('--consul-servers <n>', 'default: as the nemeses need, and by the seed').choices(['1', '3']))
  .option('--log-directory <path>', "keep every process's log here")
  .option('--no-record', 'neither count what was recorded nor record what is run')
  .option('--json', 'print one JSON object as the last line')
  .action(async (options: Options, command: Command) => {
    const say = (line: string): void => console.error(`${new Date().toISOString().slice(11, 23)} ${line}`);
    const { eachStep } = options;
    if (eachStep !== undefined && options.nemesis !== 'coordinator') command.error('error: --each-step goes with --nemesis coordinator');
    if (eachStep !== undefined && (options.break ?? options.disturb) !== undefined) command.error('error: --each-step goes neither with --break nor with --disturb');
    const whole = await (eachStep === undefined ? runFaults({ ...options, say }) : runEachStep({ ...options, eachStep, say }));
    const { violations, ...report } = whole;
    for (const violation of violations.slice(0, shownViolations)) console.error(`VIOLATION ${violation}`);
    if (violations.length > shownViolations) console.error(`… and ${violations.length - shownViolations} more`);
    const { text, isWell } = summaryOf(whole, options.break ?? null);
    if (options.json === true) console.log(JSON.stringify({ ...report, violations: violations.slice(0, shownViolations), summary: text }));
    else {
      for (const [name, value] of Object.entries(report)) console.log(`${name}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
      console.log(text);
    }
    if (!isWell) process.exitCode = 1;
  })
  .parseAsync();

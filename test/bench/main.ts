// npm run bench -- NAME [--json] [options]
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Bench, BenchOption, BenchResult } from './bench.ts';
import { apiBench } from './api/api-bench.ts';
import { copyBench } from './copy/copy-bench.ts';
import { cutoverBench } from './cutover/cutover-bench.ts';
import { fencesBench } from './fences/fences-bench.ts';
import { httpBench } from './http/http-bench.ts';
import { overheadBench } from './overhead/overhead-bench.ts';
import { verifyBench } from './verify/verify-bench.ts';
import { renderResult } from './render.ts';

const benches: readonly Bench[] = [cutoverBench, overheadBench, httpBench, apiBench, fencesBench, verifyBench, copyBench];
const shownViolations = 20;

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number, 0 or more.');
  return value;
}

function optionOf(given: BenchOption): Option {
  const option = new Option(given.flags, given.default === undefined ? given.summary : `${given.summary} (default: ${given.default})`);
  if (given.choices !== undefined) option.choices(given.choices);
  if (/<n>$/.test(given.flags)) option.argParser(wholeNumber);
  return option;
}

function report(result: BenchResult, json: boolean): void {
  if (!json) console.log(renderResult(result));
  for (const violation of result.violations.slice(0, shownViolations)) console.error(`VIOLATION ${violation}`);
  if (result.violations.length > shownViolations) console.error(`… and ${result.violations.length - shownViolations} more violations`);
  if (!json) return;
  const { violations, ...rest } = result;
  console.log(JSON.stringify({ ...rest, violations: violations.slice(0, shownViolations) }));
}

const program = new Command('bench').description('Measures Switchyard with real processes on this machine. Exits non-zero when a guarantee was broken.');
for (const bench of benches) {
  const command = program.command(bench.name).description(bench.summary).option('--json', 'print one JSON object as the last line');
  for (const option of bench.options) command.addOption(optionOf(option));
  command.action(async (options: Record<string, unknown>) => {
    const json = options.json === true;
    const say = (line: string): void => console.error(`${new Date().toISOString().slice(11, 23)} ${line}`);
    const result = await bench.run({ options, say });
    report(result, json);
    if (result.violations.length > 0) process.exitCode = 1;
  });
}
await program.parseAsync();

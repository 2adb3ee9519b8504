import Table from 'cli-table3';
import type { BenchResult } from './bench.ts';

const cell = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([name, part]) => `${name} ${String(part)}`)
    .join(', ');
};

function pairs(title: string, values: object): string {
  const table = new Table({ head: [title, ''], style: { head: [], border: [] } });
  for (const [name, value] of Object.entries(values)) table.push([name, cell(value)]);
  return table.toString();
}

/** One row a run and one column a field; long fields are left to --json. */
function runsTable(runs: readonly object[]): string {
  const names = Object.entries(runs[0] ?? {})
    .filter(([, value]) => typeof value !== 'object')
    .map(([name]) => name);
  const table = new Table({ head: ['run', ...names], style: { head: [], border: [] } });
  for (const [index, run] of runs.entries()) table.push([String(index + 1), ...names.map((name) => cell((run as Record<string, unknown>)[name]))]);
  return table.toString();
}

/** A result for people. */
export function renderResult(result: BenchResult): string {
  const parts = [`${result.name}`, pairs('machine', result.machine), pairs('config', result.config), pairs('totals', result.totals)];
  if (Object.keys(result.ratios).length > 0) parts.push(pairs('ratios', result.ratios));
  if (result.runs.length > 0) parts.push(runsTable(result.runs));
  return parts.join('\n');
}

// npm run results [-- --json]
import { join } from 'node:path';
import { Command } from 'commander';
import { readResults, renderResults } from './results.ts';

await new Command('results')
  .description('Sums up the long runs that are recorded in test/results: what counts for the code as it is, and what was run on code that has changed since.')
  .option('--json', 'print one JSON array')
  .action(async (options: { json?: boolean }) => {
    const results = await readResults(join(import.meta.dirname, '../..'));
    console.log(options.json === true ? JSON.stringify(results) : renderResults(results));
  })
  .parseAsync();

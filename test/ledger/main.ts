// npm run results [-- --json]
import { join } from 'node:path';
import { Command } from 'commander';
import { hasFailed, readResults, renderResults } from './results.ts';

await new Command('results')
  .description(
    'Sums up the long runs that are recorded in test/results: what counts for the code as it is, and what was run on code that has changed since. Exits non-zero when a run that counts has failed.',
  )
  .option('--json', 'print one JSON array')
  .action(async (options: { json?: boolean }) => {
    const results = await readResults(join(import.meta.dirname, '../..'));
    console.log(options.json === true ? JSON.stringify(results) : renderResults(results));
    if (hasFailed(results)) process.exitCode = 1;
  })
  .parseAsync();

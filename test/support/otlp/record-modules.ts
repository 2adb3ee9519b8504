// Preloaded with --import: writes the URL of every module that the process loads, by import or require, into the file that LOADED_MODULES_FILE names.
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

const file = process.env.LOADED_MODULES_FILE;
if (file === undefined) throw new Error('LOADED_MODULES_FILE must name a file');

registerHooks({
  load(url, context, nextLoad) {
    appendFileSync(file, `${url}\n`);
    return nextLoad(url, context);
  },
});

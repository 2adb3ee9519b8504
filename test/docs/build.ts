import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configurationPage } from './configuration-page.ts';
import { errorsPage } from './errors-page.ts';

/* `npm run build:docs`: writes the pages that are made from the sources. */
await writeFile(join(import.meta.dirname, '../../docs/errors.md'), errorsPage());
await writeFile(join(import.meta.dirname, '../../docs/configuration.md'), configurationPage());

import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

/*
 * Builds the client as a package of its own, for `npm publish`: JavaScript with types of what the client is made of, and no dependency that it does not use.
 *   node client/package/main.ts [DIRECTORY]   (dist/client)
 */

const root = join(import.meta.dirname, '../..');
const packageName = '@switchyard/client';
const dependencies = ['@bufbuild/protobuf', '@grpc/grpc-js'] as const;

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

async function build(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await promisify(execFile)(process.execPath, [compiler, '-p', join(root, 'client/package/tsconfig.json'), '--outDir', directory]);
  const { version, license, engines, dependencies: all } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest;
  const manifest = {
    name: packageName,
    version,
    description: 'A typed client for tables behind a Switchyard gateway',
    license,
    type: 'module',
    engines,
    exports: { '.': { types: './client/client.d.ts', default: './client/client.js' } },
    dependencies: Object.fromEntries(dependencies.map((name) => [name, `^${all[name]}`])),
    sideEffects: false,
  };
  await writeFile(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await writeFile(join(directory, 'README.md'), readmeOf(await readFile(join(root, 'docs/client.md'), 'utf8')));
}

/** The client's page as it is true of the package: its programs import that, and the other pages are not in it. */
const readmeOf = (page: string): string => page.replaceAll("from 'switchyard/client'", `from '${packageName}'`).replaceAll(/\[([^\]]+)\]\((?!#|https?:)[^)]+\)/g, '$1');

const directory = resolve(process.argv[2] ?? join(root, 'dist/client'));
await build(directory);
process.stdout.write(`${directory}: npm publish ${directory}\n`);

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Every rule of who may import whom, with a file that breaks it. A checker is believed only after it has caught a planted fault. */
const violations: readonly (readonly [what: string, file: string, code: string, rule: string])[] = [
  ['core imports runtime', 'core/planted.ts', "import { systemClock } from '../runtime/clock.ts';\nexport const c = systemClock;\n", 'noRestrictedImports'],
  ['core imports generated code', 'core/planted.ts', "import { RowSchema } from '../gen/switchyard/data/v1/value_pb.ts';\nexport const c = RowSchema;\n", 'noRestrictedImports'],
  ['runtime imports topo', 'runtime/planted.ts', "import type { Lock } from '../topo/topology.ts';\nexport type L = Lock;\n", 'noRestrictedImports'],
  ['topo imports backends', 'topo/planted.ts', "import type { Backend } from '../backends/backend.ts';\nexport type B = Backend;\n", 'noRestrictedImports'],
  ['backends import topo', 'backends/planted.ts', "import type { Lock } from '../topo/topology.ts';\nexport type L = Lock;\n", 'noRestrictedImports'],
  ['a kind imports topo', 'backends/postgres/planted.ts', "import type { Lock } from '../../topo/topology.ts';\nexport type L = Lock;\n", 'noRestrictedImports'],
  ['gateway imports control', 'gateway/planted.ts', "import type { Move } from '../control/move.ts';\nexport type M = Move;\n", 'noRestrictedImports'],
  ['control imports gateway', 'control/planted.ts', "import { x } from '../gateway/x.ts';\nexport const y = x;\n", 'noRestrictedImports'],
  ['control imports test', 'control/planted.ts', "import { x } from '../test/x.ts';\nexport const y = x;\n", 'noRestrictedImports'],
  ['cli imports control', 'cli/planted.ts', "import type { Move } from '../control/move.ts';\nexport type M = Move;\n", 'noRestrictedImports'],
  [
    'cli imports more of runtime than the clock',
    'cli/planted.ts',
    "import { parseHostPort } from '../runtime/host-port.ts';\nexport const c = parseHostPort;\n",
    'noRestrictedImports',
  ],
  ['client imports runtime', 'client/planted.ts', "import { systemClock } from '../runtime/clock.ts';\nexport const c = systemClock;\n", 'noRestrictedImports'],
  ['pg outside its backend', 'gateway/planted.ts', "import { Client } from 'pg';\nexport const c = Client;\n", 'noRestrictedImports'],
  ['node:sqlite outside its backend', 'backends/postgres/planted.ts', "import { DatabaseSync } from 'node:sqlite';\nexport const c = DatabaseSync;\n", 'noRestrictedImports'],
  ['pg in another backend', 'backends/sqlite/planted.ts', "import { Client } from 'pg';\nexport const c = Client;\n", 'noRestrictedImports'],
  ['mysql2 outside its backend', 'gateway/planted.ts', "import { createConnection } from 'mysql2';\nexport const c = createConnection;\n", 'noRestrictedImports'],
  ['mysql2 in another backend', 'backends/postgres/planted.ts', "import { createConnection } from 'mysql2';\nexport const c = createConnection;\n", 'noRestrictedImports'],
  ['pg in the backend of MariaDB', 'backends/mariadb/planted.ts', "import { Client } from 'pg';\nexport const c = Client;\n", 'noRestrictedImports'],
  [
    'a store behind a service imports more of the client',
    'backends/grpc/planted.ts',
    "import { createRpcClient } from '../../client/rpc-client.ts';\nexport const c = createRpcClient;\n",
    'noRestrictedImports',
  ],
  ['a store behind a service imports the gateway', 'backends/http/planted.ts', "import { x } from '../../gateway/x.ts';\nexport const y = x;\n", 'noRestrictedImports'],
  ['pg behind a service', 'backends/service/planted.ts', "import { Client } from 'pg';\nexport const c = Client;\n", 'noRestrictedImports'],
  ['consul outside its file', 'topo/planted.ts', "import Consul from 'consul';\nexport const c = Consul;\n", 'noRestrictedImports'],
  ['consul in a backend', 'backends/postgres/planted.ts', "import Consul from 'consul';\nexport const c = Consul;\n", 'noRestrictedImports'],
  ['process outside main', 'gateway/planted.ts', 'export const a = process.argv;\n', 'noRestrictedGlobals'],
  ['node:process outside main', 'gateway/planted.ts', "import process from 'node:process';\nexport const a = process.argv;\n", 'noRestrictedImports'],
  ['process in a folder whose main may touch it', 'topo/embedded/planted.ts', 'export const a = process.argv;\n', 'noRestrictedGlobals'],
  ['a timer outside the clock', 'control/planted.ts', 'export const a = () => setTimeout(() => undefined, 1);\n', 'noRestrictedGlobals'],
  ['timers by import', 'control/planted.ts', "import { setTimeout } from 'node:timers/promises';\nexport const a = () => setTimeout(1);\n", 'noRestrictedImports'],
  ['a default export', 'core/planted.ts', 'export default 1;\n', 'noDefaultExport'],
  ['any', 'core/planted.ts', 'export const a = (x: any) => x;\n', 'noExplicitAny'],
  ['a floating promise', 'core/planted.ts', 'async function f(): Promise<void> {\n  await null;\n}\nexport function g(): void {\n  f();\n}\n', 'noFloatingPromises'],
  [
    'a switch that misses a case',
    'core/planted.ts',
    "export function f(a: 'x' | 'y'): number {\n  switch (a) {\n    case 'x':\n      return 1;\n  }\n  return 2;\n}\n",
    'useExhaustiveSwitchCases',
  ],
];

const root = join(import.meta.dirname, '../..');
let copy: string;

function lint(...paths: readonly string[]): Promise<{ readonly failed: boolean; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(join(root, 'node_modules/.bin/biome'), ['lint', '--colors=off', '--max-diagnostics=200', ...paths], { cwd: copy }, (error, stdout, stderr) =>
      resolve({ failed: error !== null, output: stdout + stderr }),
    );
  });
}

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'switchyard-lint-'));
  for (const folder of ['core', 'runtime', 'topo', 'backends', 'control', 'gateway', 'gen']) await cp(join(root, folder), join(copy, folder), { recursive: true });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  const config = JSON.parse(await readFile(join(root, 'biome.json'), 'utf8')) as { vcs: { enabled: boolean } };
  config.vcs.enabled = false;
  await writeFile(join(copy, 'biome.json'), JSON.stringify(config));
});
afterAll(() => rm(copy, { recursive: true, force: true }));

describe('the linter catches', () => {
  /** What it says of each planted file. All are planted at once, each under a name of its own: a run of the linter takes a second. */
  const told = new Map<string, string>();
  const nameOf = (file: string, index: number): string => file.replace('planted', `planted-${index}`);

  beforeAll(async () => {
    const files = violations.map(([, file], index) => nameOf(file, index));
    for (const [index, [, , code]] of violations.entries()) {
      const path = join(copy, files[index] ?? '');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, code);
    }
    // Only errors: a rule that merely warned would let the file pass.
    const { failed, output } = await lint('--diagnostic-level=error', ...files);
    expect(failed).toBe(true);
    for (const file of files) {
      const lines = output.split('\n').filter((line) => line.startsWith(`${file}:`));
      told.set(file, lines.join('\n'));
      await rm(join(copy, file));
    }
  });

  test.each(violations.map((violation, index) => [...violation, index] as const))('%s', (_what, file, _code, rule, index) => {
    expect(told.get(nameOf(file, index))).toContain(rule);
  });

  test('an import cycle', async () => {
    await writeFile(join(copy, 'core/planted-a.ts'), "import { b } from './planted-b.ts';\nexport const a = () => b;\n");
    await writeFile(join(copy, 'core/planted-b.ts'), "import { a } from './planted-a.ts';\nexport const b = () => a;\n");
    const { failed, output } = await lint('core');
    await rm(join(copy, 'core/planted-a.ts'));
    await rm(join(copy, 'core/planted-b.ts'));
    expect(output).toContain('noImportCycles');
    expect(failed).toBe(true);
  });

  test('nothing in a file that keeps the rules', async () => {
    await writeFile(join(copy, 'gateway/planted.ts'), "import type { Topology } from '../topo/topology.ts';\nexport type T = Topology;\n");
    const { failed, output } = await lint('gateway/planted.ts');
    await rm(join(copy, 'gateway/planted.ts'));
    expect({ failed, output: failed ? output : '' }).toEqual({ failed: false, output: '' });
  });
});

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';
import { findPythonGrpc } from '../support/servers/debian.ts';
import { examplesOf } from '../support/shell/page-examples.ts';

// Programs of other people, with nothing but the proto: what a service in any language has.
const root = join(import.meta.dirname, '../..');
const ordersOfThePages = /```sql\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs/http.md'), 'utf8'))?.[1] ?? '';
const schema = `CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL); ${ordersOfThePages}`;
const run = promisify(execFile);

let stage: GatewayStage;
let running: RunningGateway;
let directory: string;

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  await stage.prepare('old');
  running = await stage.start();
  directory = await mkdtemp(join(tmpdir(), 'switchyard-languages-'));
}, 300_000);
afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const buf = (...args: readonly string[]) => run(process.execPath, [join(root, 'node_modules/@bufbuild/buf/bin/buf'), ...args], { cwd: root });

test('Python with grpcio and the proto', async () => {
  const descriptors = join(directory, 'switchyard.binpb');
  await buf('build', '-o', descriptors);
  const { python, env } = await findPythonGrpc();
  const { stdout } = await run(python, [join(root, 'test/languages/client.py'), descriptors, running.gateway.address], { env: { ...process.env, ...env } });
  expect(stdout.trim().split('\n')).toEqual([
    `get True item ${2n ** 62n + 1n} 0.10`,
    'once 1.10 1.10',
    'stream 3',
    'aggregate 3 1.30',
    'transact goes_on get update ended changed',
    'error ALREADY_EXISTS UNIQUE_VIOLATION switchyard.dev item id',
  ]);
}, 300_000);

test('Python, as its page shows it', async () => {
  const page = await readFile(join(root, 'docs/languages.md'), 'utf8');
  const { python, env: found } = await findPythonGrpc();
  const checkout = await mkdtemp(join(directory, 'checkout-'));
  for (const folder of ['proto', 'third_party']) await cp(join(root, folder), join(checkout, folder), { recursive: true });
  const env = { ...process.env, ...found, PYTHONPATH: [join(checkout, 'generated'), found.PYTHONPATH ?? ''].join(':') };
  for (const { command } of examplesOf(page)) await run('bash', ['-euc', command], { cwd: checkout, env });
  const [, program = '', printed = ''] = /```python\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/.exec(page) ?? [];
  await writeFile(join(checkout, 'program.py'), program);
  const { stdout } = await run(python, ['program.py', running.gateway.address], { cwd: checkout, env });
  expect(stdout).toBe(printed);
}, 300_000);

test('buf curl by reflection, without the proto', async () => {
  const address = `http://${running.gateway.address}`;
  const services = await buf('curl', '--protocol', 'grpc', '--http2-prior-knowledge', '--list-services', address);
  expect(services.stdout.trim().split('\n')).toEqual(['grpc.health.v1.Health', 'switchyard.data.v1.DataService']);
  const health = await buf('curl', '--protocol', 'grpc', '--http2-prior-knowledge', `${address}/grpc.health.v1.Health/Check`);
  expect(JSON.parse(health.stdout)).toEqual({ status: 'SERVING' });
  const methods = await buf('curl', '--protocol', 'grpc', '--http2-prior-knowledge', '--list-methods', address);
  expect(methods.stdout).toContain('switchyard.data.v1.DataService/StreamQuery');
  await stage.sql('old', `INSERT INTO item VALUES (77, 'reflected', 1) ON CONFLICT DO NOTHING`);
  const body = JSON.stringify({ table: 'item', key: { cells: { id: { int64Value: '77' } } }, columns: ['name'] });
  const { stdout } = await buf('curl', '--protocol', 'grpc', '--http2-prior-knowledge', '-d', body, `${address}/switchyard.data.v1.DataService/Get`);
  expect(JSON.parse(stdout)).toEqual({ row: { cells: { name: { textValue: 'reflected' } } } });
}, 120_000);

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { add, and, type Database, openDatabase, or } from '../../client/client.ts';
import { tables } from '../client/shop-tables.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';
import { examplesOf } from '../support/shell/page-examples.ts';
import { runCommandLine } from '../support/shell/run-switchyard.ts';

// The typed client against real gateways: the types of its module against the store's own, every call, several gateways, and what it repeats.
const root = join(import.meta.dirname, '../..');
/** The tables that the pages' programs are for, and what else is asked of a module. */
const schema = `${/```sql\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs/http.md'), 'utf8'))?.[1] ?? ''}
ALTER TABLE orders ALTER placed_at SET DEFAULT '2026-01-01T00:00:00.000001Z', ADD label text GENERATED ALWAYS AS (customer || '!') STORED;
CREATE TABLE every (
  id int PRIMARY KEY, a bool, b smallint, c bigint, d real, e double precision, f numeric, g bytea, h uuid, i date, j time, k timestamp, l timestamptz, m jsonb, "odd name" text, n bigint[]
);
CREATE TABLE odd (id int PRIMARY KEY, place point);
CREATE TABLE named (id int PRIMARY KEY, "__proto__" int, "constructor" text, "toString" text, "hasOwnProperty" text);`;

let stage: GatewayStage;
let gateways: RunningGateway[];
let db: Database<typeof tables>;

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  await stage.prepare('old', (owner) => owner.watch(['orders'], true, new AbortController().signal));
  await stage.prepare('new');
  gateways = await Promise.all([stage.start(), stage.start()]);
  db = openDatabase(tables, { addresses: gateways.map(({ gateway }) => gateway.address), caller: 'typed' });
});
afterAll(async () => {
  db?.[Symbol.dispose]();
  for (const running of gateways ?? []) await running[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

const addressOf = (index: number): string => gateways[index]?.gateway.address ?? '';

describe('calls', () => {
  test('insert, get, update, upsert, delete', async () => {
    const { id } = await db.orders.insert({ customer: 'a', total: '12.50', tags: ['x', null] });
    expect(await db.orders.get({ id })).toEqual({
      id,
      customer: 'a',
      total: '12.50',
      parts: 1,
      note: null,
      placed_at: '2026-01-01T00:00:00.000001Z',
      tags: ['x', null],
      label: 'a!',
    });
    expect(await db.orders.get({ id: -1n })).toBeNull();
    expect(await db.orders.update({ id }, { note: 'n', parts: add(4), total: add('-0.25') }, { returning: ['note', 'parts', 'total'] })).toEqual({
      note: 'n',
      parts: 5,
      total: '12.25',
    });
    await expect(db.orders.update({ id }, { note: 'm' }, { where: { parts: { lt: 5 } } })).rejects.toMatchObject({ reason: 'PRECONDITION_FAILED' });
    expect(await db.orders.upsert({ id, customer: 'b', total: '1.00' }, { returning: ['customer', 'note'] })).toEqual({ customer: 'b', note: 'n' });
    expect([await db.orders.delete({ id }), await db.orders.delete({ id })]).toEqual([true, false]);
  });

  test('conditions on the row that is there, by values and by etag', async () => {
    const { id } = await db.orders.insert({ customer: 'tagged', total: '1.00' });
    const put = { id, customer: 'tagged', total: '2.00' };
    await expect(db.orders.upsert(put, { where: { parts: 9 } })).rejects.toMatchObject({ reason: 'PRECONDITION_FAILED' });
    await db.orders.upsert(put, { where: { parts: 1 } });
    const tagged = await db.orders.getTagged({ id });
    expect(tagged?.row).toEqual(await db.orders.get({ id }));
    const etag = tagged?.etag ?? '';
    await db.orders.update({ id }, { note: 'first' }, { etag });
    await expect(db.orders.update({ id }, { note: 'second' }, { etag })).rejects.toMatchObject({ reason: 'PRECONDITION_FAILED' });
    await expect(db.orders.delete({ id }, { etag })).rejects.toMatchObject({ reason: 'PRECONDITION_FAILED' });
    expect(await db.orders.getTagged({ id: -1n })).toBeNull();
    await db.orders.delete({ id }, { where: { note: 'first' } });
  });

  test('batchGet, query, stream, count, aggregate', async () => {
    const ids = (await db.orders.insertMany(Array.from({ length: 25 }, (_, i) => ({ customer: i % 2 === 0 ? 'even' : 'odd', total: `${i}.00`, parts: i })))).map(({ id }) => id);
    expect((await db.orders.batchGet([{ id: ids[3] ?? 0n }, { id: -1n }], { columns: ['parts'] })).map((row) => row?.parts)).toEqual([3, undefined]);
    const page = await db.orders.query({
      where: and<typeof tables.orders>({ customer: 'odd' }, or({ parts: { gte: 20 } }, { parts: { in: [1, 3] } })),
      orderBy: [{ column: 'parts', descending: true }],
      columns: ['parts'],
      pageSize: 3,
    });
    expect(page.rows.map(({ parts }) => parts)).toEqual([23, 21, 3]);
    expect(page.nextPageToken).not.toBe('');
    const streamed: number[] = [];
    for await (const { parts } of db.orders.stream({ orderBy: ['parts'], columns: ['parts'], limit: 20 })) streamed.push(parts);
    expect(streamed).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(await db.orders.count({ customer: 'odd' })).toBe(12n);
    expect(await db.orders.aggregate({ orders: 'count', turnover: { sum: 'total' }, most: { max: 'parts' } }, { groupBy: 'customer' })).toEqual([
      { group: 'even', orders: 13n, turnover: '156.00', most: 24 },
      { group: 'odd', orders: 12n, turnover: '144.00', most: 23 },
    ]);
  });

  test('transactions, with savepoints and locks', async () => {
    const { id } = await db.orders.insert({ customer: 'tx', total: '0.00' });
    const parts = await db.transact(async (tx) => {
      const order = await tx.orders.get({ id }, { lock: 'update', columns: ['parts'] });
      await tx.lines.insert({ order_id: id, line: 1, quantity: 3 });
      await tx.savepoint('here');
      await expect(tx.lines.insert({ order_id: id, line: 1 })).rejects.toMatchObject({ reason: 'UNIQUE_VIOLATION' });
      await tx.rollBackTo('here');
      await tx.orders.update({ id }, { parts: add(2) });
      return (order?.parts ?? 0) + 2;
    });
    expect([parts, (await db.orders.get({ id }))?.parts, (await db.lines.get({ order_id: id, line: 1 }))?.quantity]).toEqual([3, 3, 3]);
    const etag = await db.transact(async (tx) => (await tx.orders.getTagged({ id }))?.etag);
    expect(etag).toBe((await db.orders.getTagged({ id }))?.etag);
    await db.transact((tx) => tx.orders.update({ id }, { note: 'tagged' }, { etag: etag ?? 'none' }));
    await expect(db.transact((tx) => tx.orders.update({ id }, { note: 'late' }, { etag: etag ?? 'none' }))).rejects.toMatchObject({ reason: 'PRECONDITION_FAILED' });
    await expect(db.orders.get({ id }, { lock: 'update' } as never)).rejects.toThrow('read within db.transact');
  });

  test('several writes to several tables, all or none', async () => {
    const { id } = await db.orders.insert({ customer: 'mutate', total: '0.00' });
    const [line, changed, gone] = await db.mutate((batch) => [
      batch.lines.insert({ order_id: id, line: 1 }, { returning: ['quantity'] }),
      batch.orders.update({ id }, { parts: add(1) }, { returning: ['parts'], where: { customer: 'mutate' } }),
      batch.lines.delete({ order_id: id, line: 2 }),
    ]);
    expect([line, changed, gone]).toEqual([{ quantity: 1 }, { parts: 2 }, false]);
    const broken = db.mutate((batch) => [batch.orders.update({ id }, { parts: add(1) }), batch.lines.insert({ order_id: id, line: 1 })]);
    await expect(broken).rejects.toMatchObject({ reason: 'UNIQUE_VIOLATION' });
    expect((await db.orders.get({ id }))?.parts).toBe(2);
  });

  test('columns may be called as members of every object are', async () => {
    const named = {
      name: 'named',
      columns: {
        id: { kind: 'int32' },
        ['__proto__']: { kind: 'int32', nullable: true },
        constructor: { kind: 'text', nullable: true },
        toString: { kind: 'text', nullable: true },
        hasOwnProperty: { kind: 'text', nullable: true },
      },
      primaryKey: ['id'],
    } as const;
    using odd = openDatabase({ named }, { addresses: addressOf(0) });
    const values = { ['__proto__']: 7, constructor: 'c', toString: 's', hasOwnProperty: 'h' };
    const columns = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'] as const;
    // The compiler takes "constructor" for the member that every object has.
    const membersOf = (row: object | null | undefined) => Object.entries(row ?? {}).sort();
    const all = (row: object) => Object.entries(row).sort();
    expect(membersOf(await odd.named.insert({ id: 1, ...values }, { returning: columns }))).toEqual(all(values));
    expect(membersOf(await odd.named.get({ id: 1 }))).toEqual(all({ id: 1, ...values }));
    expect((await odd.named.query({ where: { ['__proto__']: { gt: 7 } } as never })).rows).toEqual([]);
    expect(membersOf((await odd.named.query({ where: values, columns })).rows[0])).toEqual(all(values));
    const changed = await odd.named.update({ id: 1 }, { ['__proto__']: add(1), toString: 't' } as never, { where: { ['__proto__']: 7 } as never, returning: columns });
    expect(membersOf(changed)).toEqual(all({ ...values, ['__proto__']: 8, toString: 't' }));
    const [sums] = await odd.named.aggregate({ ['__proto__']: { sum: '__proto__' } });
    expect(Object.entries(sums ?? {})).toContainEqual(['__proto__', '8']);
  });

  test('values that do not fit are refused before they are sent, by name', async () => {
    const wrong = { customer: 'a', total: 1 } as unknown as { customer: string; total: string };
    await expect(db.orders.insert(wrong)).rejects.toThrow('total: got 1; must be a string');
    await expect(db.orders.insert({ customer: 'a', total: '1', placed_at: 'yesterday' })).rejects.toThrow('placed_at: got "yesterday"; must be a time such as');
    await expect(db.orders.query({ where: { nothing: 1 } as never })).rejects.toMatchObject({ reason: 'COLUMN_UNKNOWN' });
  });
});

test('a gateway that is gone is left out, and nothing is done twice', async () => {
  const extra = await stage.start();
  const addresses = [extra.gateway.address, ...gateways.map(({ gateway }) => gateway.address)];
  using many = openDatabase(tables, { addresses, caller: 'many' });
  const { id } = await many.orders.insert({ customer: 'counted', total: '0', parts: 0 });
  const writers = Array.from({ length: 4 }, async () => {
    for (let time = 0; time < 50; time += 1) await many.orders.update({ id }, { parts: add(1) });
  });
  await sleep(50);
  await extra[Symbol.asyncDispose]();
  await Promise.all(writers);
  expect((await many.orders.get({ id }))?.parts).toBe(200);
});

test('a stream goes on at another gateway', async () => {
  await stage.sql('old', `INSERT INTO orders (customer, total, parts, note) SELECT 'stream', 0, i, repeat('x', 500) FROM generate_series(1, 8000) i`);
  const extra = await stage.start({ drainLimitMs: 50 });
  using both = openDatabase(tables, { addresses: [extra.gateway.address, addressOf(0)] });
  const seen: number[] = [];
  for await (const { parts } of both.orders.stream({ where: { customer: 'stream' }, orderBy: ['parts'], columns: ['parts', 'note'] })) {
    seen.push(parts);
    if (seen.length === 1_000) await extra[Symbol.asyncDispose]();
  }
  expect(seen).toEqual(Array.from({ length: 8_000 }, (_, i) => i + 1));
});

describe('a module that is generated from live tables', () => {
  let folder: string;
  /** A tsconfig.json with what docs/client.md asks for. */
  let settings: string;
  beforeAll(async () => {
    const directory = join(root, '.cache/generated');
    await mkdir(directory, { recursive: true });
    folder = await mkdtemp(join(directory, 'client-'));
    const page = await readFile(join(root, 'docs/client.md'), 'utf8');
    const { compilerOptions } = JSON.parse(/^```json\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? '') as { readonly compilerOptions: object };
    settings = JSON.stringify({ compilerOptions: { ...compilerOptions, typeRoots: [join(root, 'node_modules/@types')] }, include: ['*.ts'] });
    await writeFile(join(folder, 'tsconfig.json'), settings);
    const [command] = examplesOf(page).map((example) => example.command.trim());
    expect(command).toBe('switchyard client generate --gateway 127.0.0.1:7101 > shop.ts');
    const generated = await runCommandLine(['client', 'generate', '--gateway', addressOf(0)]);
    expect([generated.code, generated.err]).toEqual([0, expect.stringContaining('left out odd')]);
    await writeFile(join(folder, 'shop.ts'), generated.out);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const run = promisify(execFile);
  /** Compiles the programs and runs one after the other; what each prints. */
  async function outputOf(programs: Readonly<Record<string, string>>): Promise<readonly string[]> {
    for (const [name, text] of Object.entries(programs)) await writeFile(join(folder, `${name}.ts`), text);
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', folder], { cwd: root }).catch((error: { readonly stdout: string }) => {
      throw new Error(error.stdout);
    });
    const printed: string[] = [];
    for (const name of Object.keys(programs))
      printed.push((await run(process.execPath, ['--disable-warning=ExperimentalWarning', join(folder, `${name}.ts`)], { cwd: root })).stdout);
    return printed;
  }

  test('compiles, and its program gets back what it has written, of every kind', async () => {
    const program = `import { connect, type Every } from './shop.ts';
using db = connect({ addresses: ${JSON.stringify(addressOf(0))} });
const row = {
  id: 1, a: true, b: -2, c: 9007199254740993n, d: 0.5, e: Number.NaN, f: '1.500', g: new Uint8Array([0, 255]), h: '00000000-0000-4000-8000-00000000000a', i: '2024-02-29', j: '23:59:59.999999',
  k: '2026-01-31T12:00:00.000001', l: '2026-01-31T12:00:00.000001Z', m: '{"a": 12345678901234567890}', 'odd name': 'x', n: [1n, null],
} satisfies Every;
await db.every.upsert(row);
const found = await db.every.get({ id: 1 });
const text = (value: unknown): string => JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? [...each] : typeof each === 'bigint' ? String(each) : Object.is(each, Number.NaN) ? 'NaN' : each));
process.stdout.write(text(found) === text(row) ? 'equal' : text(found));
`;
    expect(await outputOf({ every: program })).toEqual(['equal']);
  }, 120_000);

  test('works with the client as a package of its own, which needs nothing but what it names', async () => {
    const project = join(folder, 'project');
    const installed = join(project, 'node_modules/@switchyard/client');
    await run(process.execPath, [join(root, 'client/package/main.ts'), installed], { cwd: root });
    const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { readonly dependencies: Readonly<Record<string, string>> };
    const readme = await readFile(join(installed, 'README.md'), 'utf8');
    expect([readme.includes("from '@switchyard/client'"), readme.match(/from 'switchyard\/client'|\]\([^)#]*\.(?:md|proto)/g)]).toEqual([true, null]);
    for (const name of Object.keys(manifest.dependencies)) {
      await mkdir(join(project, 'node_modules', name, '..'), { recursive: true });
      await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name));
    }
    // Elsewhere than this project, whose packages it would find.
    const elsewhere = await mkdtemp(join(tmpdir(), 'switchyard-client-'));
    try {
      await rename(project, join(elsewhere, 'project'));
      const generated = await runCommandLine(['client', 'generate', '--gateway', addressOf(0), '--table', 'orders', '--client', '@switchyard/client']);
      await writeFile(join(elsewhere, 'project/shop.ts'), generated.out);
      const program = `import * as client from '@switchyard/client';
import { SwitchyardError } from '@switchyard/client';
import { connect } from './shop.ts';
using db = connect({ addresses: ${JSON.stringify(addressOf(0))} });
const { id } = await db.orders.insert({ customer: 'packaged', total: '1.00' });
const row = await db.orders.get({ id });
const reason = await db.orders.insert({ id, customer: 'twice', total: '1.00' }).catch((error: unknown) => (error instanceof SwitchyardError ? error.reason : error));
await db.orders.delete({ id });
console.log(row?.label, reason, Object.keys(client).join());
`;
      await writeFile(join(elsewhere, 'project/main.ts'), program);
      await writeFile(join(elsewhere, 'project/package.json'), '{ "type": "module" }');
      await writeFile(join(elsewhere, 'project/tsconfig.json'), settings);
      await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', join(elsewhere, 'project')]).catch((error: { readonly stdout: string }) => {
        throw new Error(error.stdout);
      });
      const { stdout } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', join(elsewhere, 'project/main.ts')], { cwd: elsewhere });
      expect(stdout).toBe('packaged! UNIQUE_VIOLATION SwitchyardError,add,and,not,openDatabase,or\n');
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  }, 120_000);

  /** What the pages leave out of their programs and, behind them, what tells that they have done what they show. */
  const around: Readonly<Record<string, readonly (readonly [before: string, after: string, output: string])[]>> = {
    'docs/client.md': [
      ['', `process.stdout.write([order?.customer, page.rows.length > 0, seen.length > 0, typeof sums?.orders].join(' '));`, 'Ada true true bigint'],
      [
        '',
        `server.once('listening', async () => {
  const { port } = server.address() as import('node:net').AddressInfo;
  process.stdout.write(await (await fetch('http://127.0.0.1:' + port, { headers: { connection: 'close' } })).text());
  process.kill(process.pid, 'SIGTERM');
});`,
        '4 orders\n',
      ],
      ['', 'process.stdout.write(String(seen.length));', '4'],
      ['', `process.stdout.write((await db.orders.get({ id: 42n }))?.note ?? '');`, 'checked at 0.00'],
      ['', 'process.stdout.write([placed.placed_at, line.line, hadDraft].join());', '2026-01-01T00:00:00.000001Z,1,false'],
    ],
    'docs/transactions.md': [
      ['', 'process.stdout.write(String(parts));', '2'],
      ['', 'process.stdout.write(total);', '5 orders: 59.70'],
    ],
    'docs/watching.md': [
      [
        `let saved: string[] = [];
const readSavedToken = async (): Promise<string | undefined> => undefined;
const saveToken = async (token: string): Promise<void> => {
  saved.push(token);
  if (saved.length === 1) await db.mutate((batch) => [1, 2].map((n) => batch.orders.insert({ customer: 'watched', total: '1', parts: n })));
};
const apply = async (...[kind, before, after]: [string, unknown, { readonly parts: number } | null]): Promise<void> => {
  process.stdout.write([kind, before, after?.parts].join() + ';');
  if (after?.parts === 2) process.exit();
};`,
        '',
        'insert,,1;insert,,2;',
      ],
    ],
  };

  test('does what the pages show', async () => {
    const addresses = `[${gateways.map(({ gateway }) => JSON.stringify(gateway.address)).join(', ')}]`;
    await stage.sql('old', "DELETE FROM lines; DELETE FROM orders; INSERT INTO orders (id, customer, total) VALUES (42, 'Ada', 0), (1, 'Ada', 0), (2, 'Ada', 19.90)");
    for (const [page, parts] of Object.entries(around)) {
      const shown = [...(await readFile(join(root, page), 'utf8')).matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
      expect([page, shown.length]).toEqual([page, parts.length]);
      const programs = shown.map((text, index) => {
        const [before, after] = parts[index] ?? ['', ''];
        const lines = [before, text.replace("['10.0.0.1:7101', '10.0.0.2:7101']", addresses).replace('listen(8080)', 'listen(0)'), after];
        if (!text.includes('connect('))
          lines.unshift(`import { add } from 'switchyard/client';\nimport { connect } from './shop.ts';\nusing db = connect({ addresses: ${addresses} });`);
        if (text.includes('use(')) lines.unshift('const seen: unknown[] = [];\nconst use = (row: unknown): void => void seen.push(row);');
        return [`${basename(page, '.md')}-${index}`, lines.join('\n')] as const;
      });
      expect([page, await outputOf(Object.fromEntries(programs))]).toEqual([page, parts.map(([, , output]) => output)]);
    }
  }, 240_000);
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Backend, DataStore, StoreOptions } from '../../backends/backend.ts';
import { backends } from '../../backends/registry.ts';
import { attempt, position } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createGrpcServer } from '../../runtime/grpc-limits.ts';
import { closeGrpc, listenGrpc } from '../../runtime/grpc-server.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { failure, reasonOf, storeOptions } from './data-store-harness.ts';
import { type MoveStores, type NamedStore, never, SOURCE, TABLES } from './move-stores.ts';
import { insertNamed, onceRequest } from './once.ts';
import { PassingGateway, passedOnShard, PEER } from './passed-on.ts';
import { PassingControl } from './passed-on-move.ts';
import { SqliteFiles } from './sqlite-move.ts';

/* What becomes of calls to a store behind a service when the way to it, the service, or the leave to call it is lost. The store at its end is a file: cheap, and out of the way. */

const dead = '127.0.0.1:1';

describe.each(['grpc', 'http'])('a store passed on over %s', (kind) => {
  const backend = backends.get(kind) as Backend;
  let files: SqliteFiles;
  let stores: MoveStores & { readonly source: NamedStore };
  let gateway: PassingGateway;
  let control: PassingControl;
  let open: AsyncDisposableStack;

  beforeAll(async () => {
    files = await SqliteFiles.start();
  });
  afterAll(async () => {
    await files?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    open = new AsyncDisposableStack();
    stores = open.use(await files.fresh());
    const keyspaces = [{ name: 'there', shards: [stores.source.shard] }];
    gateway = open.use(await PassingGateway.start(keyspaces, {}));
    control = open.use(await PassingControl.start(keyspaces, {}));
  });
  afterEach(async () => {
    await open.disposeAsync();
  });

  const options = (more: Partial<StoreOptions> & { readonly gateways?: readonly string[]; readonly control?: readonly string[]; readonly of?: string } = {}): StoreOptions => {
    const { gateways = [gateway.addressFor(kind)], control: controls = [control.addressFor(kind)], of = 'there', ...given } = more;
    return storeOptions({ shard: passedOnShard(kind, { gateways, control: controls, keyspace: of }), password: PEER.gateway, acquireTimeoutMs: 2_000, ...given });
  };
  const data = (more?: Parameters<typeof options>[0]): DataStore => open.use(backend.openData(options(more)));
  const item = async (store: DataStore): Promise<TableSchema> => (await store.describe('item', never())) as TableSchema;
  /** A way to an address that can be cut. */
  const proxyTo = async (address: string): Promise<CuttingProxy & { readonly at: string }> => {
    const proxy = open.use(await CuttingProxy.open(`http://${address}`));
    return Object.assign(proxy, { at: new URL(proxy.address).host });
  };
  const cutAnswers = (proxy: CuttingProxy): void => {
    proxy.treat = ({ direction }) => (direction === 'answer' ? { cutAfter: 0 } : 'pass');
  };

  test('lets nobody in who is not known by that secret, for any call, and tells what to do', async () => {
    const refusals = [
      data({ password: 'another-secret' }).listTables(never()),
      // Known, and as somebody else.
      data({ password: PEER.owner }).fenceRows(['item'], never()),
      open.use(backend.openReplication(options({ password: PEER.owner }))).checkLogin(never()),
      open.use(backend.openOwner(options({ password: PEER.player }))).checkStore(never()),
      open.use(backend.openOwner(options({ password: PEER.gateway }))).openFence(SOURCE, never()),
    ];
    for (const refused of await Promise.all(refusals.map(failure))) {
      expect(refused.reason).toBe('STORE_LOGIN_REFUSED');
      expect(refused.message).toContain('peers');
      expect(refused.message).not.toContain('secret-of');
    }
    expect(await stores.source.sql('SELECT count(*) FROM item', 'owner')).toEqual([['0']]);
  });

  test('a secret that no header can carry is refused before it is sent, and not shown', async () => {
    const refused = await failure(Promise.resolve().then(() => data({ password: 'with a blank\n' })));
    expect(refused.reason).toBe('KEYSPACE_INVALID');
    expect(refused.message).not.toContain('blank');
  });

  test('names the keyspace that the service does not have', async () => {
    const wrong = await failure(data({ of: 'elsewhere' }).listTables(never()));
    expect(wrong).toMatchObject({ reason: 'KEYSPACE_INVALID', message: expect.stringContaining('"elsewhere"') });
    expect(await reasonOf(open.use(backend.openOwner(options({ of: 'elsewhere', password: PEER.owner }))).fenceRows(null, never()))).toBe('KEYSPACE_INVALID');
  });

  test('that has never been prepared has no fence rows, and keeps no request ids', async () => {
    const store = data();
    const schemas = new Map([['item', await item(store)]]);
    expect(await store.fenceRows(TABLES, never())).toEqual([]);
    expect(await reasonOf(store.writeOnce(schemas, [insertNamed('a')], onceRequest('a', [insertNamed('a')]), never()))).toBe('REQUEST_IDS_NOT_KEPT');
  });

  test('an address that nobody listens at: nothing is sent; beside one that serves it is left out', async () => {
    expect(await reasonOf(data({ gateways: [dead] }).listTables(never()))).toBe('STORE_UNAVAILABLE');
    const store = data({ gateways: [dead, gateway.addressFor(kind)] });
    const schemas = new Map([['item', await item(store)]]);
    for (let i = 0; i < 6; i += 1) await store.write(schemas, [insertNamed(`row ${i}`)], never());
    expect(await stores.source.sql('SELECT count(*) FROM item', 'owner')).toEqual([['6']]);
  });

  test('a connection that is cut while a call is under way: a read is unavailable, a write of unknown outcome, and both go on afterwards', async () => {
    const proxy = await proxyTo(gateway.addressFor(kind));
    const store = data({ gateways: [proxy.at] });
    const schema = await item(store);
    const schemas = new Map([['item', schema]]);
    await stores.source.owner.install(never());
    for (const [act, reason] of [
      [() => store.get(schema, { key: [1n], columns: ['name'] }, never()), 'STORE_UNAVAILABLE'],
      [() => store.fenceRows(TABLES, never()), 'STORE_UNAVAILABLE'],
      [() => store.write(schemas, [insertNamed('cut')], never()), 'OUTCOME_UNKNOWN'],
      [() => store.writeOnce(schemas, [insertNamed('once')], onceRequest('once', [insertNamed('once')]), never()), 'OUTCOME_UNKNOWN'],
    ] as const) {
      await waitUntil('the way being open', { limitMs: 10_000 }, () => store.listTables(never()).catch(() => undefined));
      cutAnswers(proxy);
      expect(await reasonOf(act())).toBe(reason);
      proxy.treat = () => 'pass';
    }
    await waitUntil('the way being open', { limitMs: 10_000 }, () => store.listTables(never()).catch(() => undefined));
    // Whatever became of the first try, it is done once.
    await store.writeOnce(schemas, [insertNamed('once')], onceRequest('once', [insertNamed('once')]), never());
    expect(await stores.source.sql(`SELECT count(*) FROM item WHERE name = 'once'`, 'owner')).toEqual([['1']]);
  });

  test('a transition whose answer is lost is of unknown outcome, and safe to repeat', async () => {
    const proxy = await proxyTo(control.addressFor(kind));
    const owner = open.use(backend.openOwner(options({ control: [proxy.at], password: PEER.owner })));
    await owner.install(never());
    await owner.claim(SOURCE, 'source', never());
    await using fence = await owner.openFence(SOURCE, never());
    cutAnswers(proxy);
    expect(await reasonOf(fence.fence(attempt(1), 500, never()))).toBe('OUTCOME_UNKNOWN');
    proxy.treat = () => 'pass';
    await waitUntil('the fence', { limitMs: 10_000 }, () =>
      fence.fence(attempt(1), 500, never()).then(
        () => true,
        () => undefined,
      ),
    );
    expect((await fence.fenceRows(never())).map(({ state, attempt: at }) => [state, at])).toEqual([
      ['FROZEN', 1],
      ['FROZEN', 1],
    ]);
    await fence.abort(attempt(1), never());
  });

  test('a log that is followed ends when its connection does', async () => {
    const proxy = await proxyTo(control.addressFor(kind));
    const player = open.use(backend.openReplication(options({ control: [proxy.at], password: PEER.player })));
    const owner = open.use(backend.openOwner(options({ password: PEER.owner })));
    await owner.install(never());
    await owner.claim(SOURCE, 'source', never());
    const stream = { id: 'move1.forward', workflow: 'move1', tables: TABLES };
    const start = await owner.createLog(stream, attempt(0), never());
    const schemas = new Map(await Promise.all(TABLES.map(async (table) => [table, (await player.describe(table, never())) as TableSchema] as const)));
    await using feed = player.follow(stream, schemas, position(start), never());
    const first = await feed[Symbol.asyncIterator]().next();
    expect(first.done).toBe(false);
    const follow = async (): Promise<void> => {
      await using again = player.follow(stream, schemas, position(start), never());
      for await (const _ of again) cutAnswers(proxy);
    };
    expect(await reasonOf(follow())).toBe('STORE_UNAVAILABLE');
    proxy.treat = () => 'pass';
  });

  test('a service that has gone is told of, and forgotten when it is back', async () => {
    const store = data();
    const schema = await item(store);
    const schemas = new Map([['item', schema]]);
    const port = Number(gateway.addressFor(kind).split(':')[1]);
    await gateway[Symbol.asyncDispose]();
    await waitUntil('the loss', { limitMs: 10_000 }, async () =>
      (await reasonOf(store.write(schemas, [insertNamed('gone')], never()).then(() => {}))) === 'STORE_UNAVAILABLE' ? true : undefined,
    );
    const [grpcPort, httpPort] = kind === 'grpc' ? [port, 0] : [0, port];
    open.use(await PassingGateway.start([{ name: 'there', shards: [stores.source.shard] }], {}, {}, grpcPort, httpPort));
    await waitUntil('the way back', { limitMs: 10_000 }, () => store.listTables(never()).catch(() => undefined));
    // The process that is there now has told nobody of the shape: it asks its own store.
    expect(await store.get(schema, { key: [1n], columns: ['name'] }, never())).toBeNull();
    expect(await stores.source.sql('SELECT count(*) FROM item', 'owner')).toEqual([['0']]);
  });

  test('a shape that the service does not know is refused, and the new one is told', async () => {
    const store = data();
    const schema = await item(store);
    expect(await reasonOf(store.get({ ...schema, fingerprint: 'of another time' }, { key: [1n], columns: ['name'] }, never()))).toBe('SCHEMA_CHANGED');
    await stores.source.sql('ALTER TABLE item ADD COLUMN later TEXT', 'owner');
    // Who was told of the earlier one goes on with it.
    expect(await store.get(schema, { key: [1n], columns: ['name'] }, never())).toBeNull();
    expect((await item(store)).columns.map(({ name }) => name)).toContain('later');
  });

  test('an answer that would be too large is refused there, and nothing is written', async () => {
    const store = data();
    const schemas = new Map([['item', await item(store)]]);
    const large = { ...insertNamed('large'), returning: ['name'] } as ReturnType<typeof insertNamed>;
    const write = store.write(schemas, [insertNamed('small'), large], never(), undefined, { form: 'mutate', maxBytes: 10 });
    expect(await reasonOf(write)).toBe('RESULT_TOO_LARGE');
    expect(await stores.source.sql('SELECT count(*) FROM item', 'owner')).toEqual([['0']]);
  });
});

test('a gateway without peers passes no store on, and says so', async () => {
  const server = createGrpcServer(1_000);
  const port = await listenGrpc(server, { host: '127.0.0.1', port: 0 });
  await using store = (backends.get('grpc') as Backend).openData(storeOptions({ shard: passedOnShard('grpc', { gateways: [`127.0.0.1:${port}`] }), password: PEER.gateway }));
  expect(await failure(store.listTables(never()))).toMatchObject({ reason: 'STORE_LOGIN_REFUSED', message: expect.stringContaining('passes no stores on') });
  await closeGrpc(server, 10, systemClock);
});

test('a store that is behind a service is passed on to nobody, and a foreign one is moved by nobody', async () => {
  await using gateway = await PassingGateway.start([{ name: 'there', shards: [passedOnShard('grpc', { gateways: [dead] })] }], { PEER: 'x' });
  await using store = (backends.get('grpc') as Backend).openData(
    storeOptions({ shard: passedOnShard('grpc', { gateways: [gateway.addressFor('grpc')], keyspace: 'there' }), password: PEER.gateway }),
  );
  expect(await reasonOf(store.listTables(never()))).toBe('NOT_SUPPORTED');
  const foreign = storeOptions({ shard: { kind: 'grpc', gateways: [dead] }, password: '' });
  for (const name of ['openOwner', 'openReplication'] as const) {
    expect(await reasonOf(Promise.resolve().then(() => (backends.get('grpc') as Backend)[name](foreign)))).toBe('NOT_SUPPORTED');
  }
});

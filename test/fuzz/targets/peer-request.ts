import { type DescMethod, fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { sqliteBackend } from '../../../backends/sqlite/backend.ts';
import type { StoreOptions } from '../../../backends/backend.ts';
import { PeerIndexBuilds } from '../../../control/peers/index-builds.ts';
import { ownerStoreService } from '../../../control/peers/owner-store-service.ts';
import { PeerStores } from '../../../control/peers/peer-stores.ts';
import { replicationStoreService } from '../../../control/peers/replication-store-service.ts';
import { WarmFences } from '../../../control/peers/warm-fences.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { OwnerStoreService } from '../../../gen/switchyard/store/v1/owner_store_pb.ts';
import { ReplicationStoreService } from '../../../gen/switchyard/store/v1/replication_store_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { toGrpcError } from '../../../runtime/grpc-error.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { type Hint, randomBytesOf } from '../inputs/random-message.ts';
import { ShopFile } from '../inputs/shop-file.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Finding, type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const deadlineMs = 200;
const longestMessage = 20_000;
const methods: readonly DescMethod[] = [OwnerStoreService, ReplicationStoreService].flatMap((service) => [...service.methods]);
const bigNumbers = [0n, 2n ** 53n, 2n ** 63n - 1n, -1n];

/** Fills fields with what is there, but for some. */
function hintOf(random: Random, fingerprint: string): Hint {
  const stray = random.pick([0, 3, 20]);
  const some = <T>(good: T, other: readonly T[]): T => (random.chance(stray) ? random.pick(other) : good);
  const text = (good: string): string => some(good, nastyTexts).toWellFormed();
  return (field) => {
    switch (field.name) {
      case 'keyspace':
        return text('shop');
      case 'table':
        return field.fieldKind === 'message' ? { table: text('line'), fingerprint: text(fingerprint) } : text('line');
      case 'tables':
        if (field.fieldKind !== 'list') return undefined;
        return field.listKind === 'message' ? [{ table: text('line'), fingerprint: text(fingerprint) }] : [text('line')];
      case 'scope':
      case 'seen_scope':
        return { workflow: text('move'), peer: text('new'), tables: [text('line')] };
      case 'stream':
        return { id: text('move.forward'), workflow: text('move'), tables: [text('line')] };
      case 'side':
        return some(1, [2, 0]);
      case 'kind':
        return field.fieldKind === 'enum' && field.enum === transitions ? some(random.pick([1, 2, 3, 4, 5, 6, 7]), [0, 99]) : undefined;
      case 'values':
        return field.fieldKind === 'list'
          ? some([{ kind: { case: 'int64Value', value: 1n } }, { kind: { case: 'textValue', value: 'a' } }, { kind: { case: 'int64Value', value: 3n } }], [[]])
          : undefined;
      case 'last_key':
        return some('[{"i":"1"},"a"]', [...nastyTexts, '[{"i":"x"}]', '[{"z":1}]', '[1]', '{"i":"1"}']).toWellFormed();
      case 'position':
      case 'from':
        return text(random.pick(['0', '1', '00000000000000000007']));
      case 'native_kind':
        return some('mariadb', ['postgres', 'other', '']);
      case 'native_detail':
        return some('{}', nastyTexts).toWellFormed();
      case 'attempt':
      case 'by':
      case 'token':
      case 'marker':
        return some(BigInt(random.below(5)), bigNumbers);
      case 'limit':
        return some(10, [0, -1, 2 ** 31 - 1]);
      case 'after':
        return field.fieldKind === 'list' ? some(['me', 'id', 'line'], [[], ['me']]) : undefined;
      case 'reader':
        return text('reader');
      default:
        return undefined;
    }
  };
}

const transitions = OwnerStoreService.method.transition.input.field.kind.enum;
const shapes = { fingerprint: '' };

type Handler = (request: never, context: object) => Promise<unknown> | AsyncIterable<unknown>;

/** What a peer's control process asks of the stores here, from the request's bytes to the answer's, over a SQLite file. The first byte chooses the method. */
export const target: FuzzTarget = {
  name: 'peer-request',
  words: ['shop', 'line', 'item', 'move', 'move.forward', '[{"i":"1"}]', '\x0a', '\x12', '\x1a', '\x08\x01', '\xff\xff\xff\xff\x0f'],
  changedPercent: 25,
  generate: (random) => {
    const at = random.below(methods.length);
    return Buffer.concat([Buffer.from([at]), randomBytesOf((methods[at] as DescMethod).input, random, hintOf(random, shapes.fingerprint))]);
  },
  open: async () => {
    await using stack = new AsyncDisposableStack();
    const file = stack.use(await ShopFile.create());
    await file.install('shop');
    const shard = { kind: 'sqlite', path: file.path };
    const options: StoreOptions = {
      ...{ keyspace: 'shop', openedBy: 'the fuzzer', shard, password: '', poolSize: 2, acquireTimeoutMs: 1_000, applicationName: 'fuzz', clock: systemClock },
      onBackgroundError: () => {},
    };
    const open = async () => {
      const owner = sqliteBackend.openOwner(options);
      const player = sqliteBackend.openReplication(options);
      return {
        kind: 'sqlite',
        owner,
        player,
        [Symbol.asyncDispose]: async () => {
          await owner[Symbol.asyncDispose]();
          await player[Symbol.asyncDispose]();
        },
      };
    };
    const stores = stack.use(
      new PeerStores({ keyspaces: () => new Map([['shop', { name: 'shop', shards: [shard] }]]), stores: { open }, clock: systemClock, log: createLogger('fuzz', 'silent') }),
    );
    const fences = stack.use(new WarmFences(stores, systemClock));
    const builds = stack.use(new PeerIndexBuilds(stores, systemClock));
    shapes.fingerprint = await stores.player('shop', async (store) => (await store.describe('line', AbortSignal.timeout(5_000)))?.fingerprint ?? '');
    const [ofOwner, ofPlayer] = [ownerStoreService(stores, fences, builds), replicationStoreService(stores)] as unknown as readonly Readonly<Record<string, Handler>>[];
    const handlerOf = (method: DescMethod): Handler => (method.parent === OwnerStoreService ? ofOwner : ofPlayer)?.[method.localName] as Handler;
    const canary = stack.use(file.connect());
    const running = stack.move();
    return {
      run: async (input) => {
        const method = methods[(input[0] ?? 0) % methods.length] as DescMethod;
        let request: { readonly definitions?: readonly { readonly nativeKind: string }[] };
        try {
          request = fromBinary(method.input, new Uint8Array(input.subarray(1))) as unknown as typeof request;
        } catch {
          return 'no message';
        }
        // What a store of this very kind tells of its tables is SQL.
        if (request.definitions?.some(({ nativeKind }) => nativeKind === 'sqlite') === true) return 'its own SQL';
        const ending = new AbortController();
        const end = setTimeout(() => ending.abort(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed")), deadlineMs);
        const context = { signal: ending.signal, deadline: systemClock.monotonic() + deadlineMs, metadata: new Metadata(), protocol: 'grpc' };
        const outcome = await outcomeOf(async () => {
          try {
            const answered = handlerOf(method)(request as never, context);
            if (method.methodKind !== 'server_streaming') toBinary(method.output, create(method.output, (await (answered as Promise<object>)) as never));
            else
              for await (const message of answered as AsyncIterable<object>) {
                toBinary(method.output, create(method.output, message as never));
                break;
              }
          } catch (error) {
            if (error instanceof Error) must(error.message.length < longestMessage, `a message of ${error.message.length} characters`);
            toGrpcError(error);
            throw error;
          } finally {
            clearTimeout(end);
          }
        });
        return `${method.name}: ${outcome}`;
      },
      check: async () => {
        const rows = canary.prepare('SELECT note FROM canary ORDER BY rowid').all();
        if (rows.length !== 2) throw new Finding('state', `the canary has ${rows.length} rows: a text of a peer was taken for SQL`);
      },
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  },
};

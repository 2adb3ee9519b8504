import { create, type DescMessage, type DescMethod, type DescMethodUnary, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { ChangeTransaction } from '../../../core/change.ts';
import { attempt, position, streamToken } from '../../../core/ids.ts';
import { noExtras } from '../../../core/table-extras.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { DataStoreService } from '../../../gen/switchyard/store/v1/data_store_pb.ts';
import { OwnerStoreService } from '../../../gen/switchyard/store/v1/owner_store_pb.ts';
import { ReplicationStoreService } from '../../../gen/switchyard/store/v1/replication_store_pb.ts';
import { ServiceDataStore } from '../../../backends/service/data-store.ts';
import { ServiceOwnerStore } from '../../../backends/service/owner-store.ts';
import { ServiceReplicationStore } from '../../../backends/service/replication-store.ts';
import type { Conversation, Transport } from '../../../backends/service/transport.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { toGrpcError } from '../../../runtime/grpc-error.ts';
import { type Hint, randomBytesOf } from '../inputs/random-message.ts';
import { storeCalls } from '../inputs/store-calls.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const never = new AbortController().signal;
const table: TableSchema = {
  name: 'item',
  columns: [
    { name: 'id', kind: 'int64', nullable: false, hasDefault: false, generated: false, nativeType: 'bigint' },
    { name: 'name', kind: 'text', nullable: true, hasDefault: false, generated: false, nativeType: 'text' },
  ],
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: 'f',
};
const schemas = new Map([['item', table]]);
const stream = { id: 'move.forward', workflow: 'move', tables: ['item'] };
const scope = { workflow: 'move', peer: 'new', tables: ['item'] };
const batch = { changes: [], copied: null, requests: { records: [], progress: null }, position: null, marker: null };

/** The last word of a peer is what its calls are answered with. */
interface Peer {
  readonly data: ServiceDataStore;
  readonly player: ServiceReplicationStore;
  readonly owner: ServiceOwnerStore;
}

const data = DataStoreService.method;
const player = ReplicationStoreService.method;
const owner = OwnerStoreService.method;

/** What is asked of a peer, by the method whose answer the input has. */
const calls: readonly (readonly [DescMethod, (peer: Peer) => Promise<unknown>])[] = [
  ...(['listTables', 'get', 'batchGet', 'query', 'aggregate', 'eventLine', 'fenceRows'] as const).map(
    (name) => [data[name === 'eventLine' ? 'getEventLine' : name], (peer: Peer) => storeCalls[name]?.(peer.data, table, never) ?? Promise.resolve()] as const,
  ),
  [data.describeTable, (peer) => peer.data.describe('item', never)],
  [data.listEvents, (peer) => storeCalls.events?.(peer.data, table, never) ?? Promise.resolve()],
  [data.write, (peer) => storeCalls.insert?.(peer.data, table, never) ?? Promise.resolve()],
  [
    data.transact,
    async (peer) => {
      await using open = await peer.data.begin({ isolation: 'serializable', readOnly: false, once: null }, never);
      await open.get(table, { key: [1n], columns: ['id'] }, null, never);
    },
  ],
  [player.describeTable, (peer) => peer.player.describe('item', never)],
  [player.getVisibility, async (peer) => (await peer.player.visibility(never)).toString()],
  [player.readChunk, (peer) => peer.player.readChunk(table, null, 10, never)],
  [player.readRows, (peer) => peer.player.readRows(table, [[1n]], never)],
  [player.readRequests, (peer) => peer.player.readRequests(['item'], null, 10, never)],
  [player.estimateRows, (peer) => peer.player.estimateRows('item', never)],
  [
    player.takeStream,
    async (peer) => {
      const { marker, token, copied } = await peer.player.takeStream(stream, never);
      must(Number.isSafeInteger(marker) && Number.isSafeInteger(token), `a stream of marker ${marker} and token ${token}`);
      for (const { rows } of copied.values()) must(Number.isSafeInteger(rows), `a copy of ${rows} rows`);
    },
  ],
  [player.apply, (peer) => peer.player.apply(stream, schemas, streamToken(1), batch, never)],
  [player.follow, (peer) => followed(peer)],
  [owner.watched, (peer) => peer.owner.watched(never)],
  [owner.checkStore, (peer) => peer.owner.checkStore(never)],
  [owner.define, (peer) => peer.owner.define(['item'], never)],
  [owner.planTables, (peer) => peer.owner.planTables([{ schema: table, extras: noExtras, more: [], native: { kind: 'other', detail: {} } }], never)],
  [owner.gatewayRights, (peer) => peer.owner.gatewayRights(['item'], never)],
  [owner.createLog, (peer) => peer.owner.createLog(stream, attempt(1), never)],
  [owner.streamToken, (peer) => peer.owner.streamToken(stream, never)],
  [owner.sequences, (peer) => peer.owner.sequences(['item'], never)],
  [owner.fenceRows, (peer) => peer.owner.fenceRows(null, never)],
  ...(['highestAttempt', 'catchUp', 'scopeSequences', 'scopeFenceRows'] as const).map(
    (name) =>
      [
        owner[name],
        async (peer: Peer) => {
          await using session = await peer.owner.openFence(scope, never);
          if (name === 'highestAttempt') must(Number.isSafeInteger(await session.highestAttempt(never)), 'an attempt that is no number');
          if (name === 'catchUp') await session.catchUp(stream, never);
          if (name === 'scopeSequences') await session.sequences(never);
          if (name === 'scopeFenceRows') await session.fenceRows(never);
        },
      ] as const,
  ),
];

async function followed({ player: store }: Peer): Promise<void> {
  const seen: ChangeTransaction[] = [];
  try {
    for await (const transactions of store.follow(stream, schemas, position('1'), never)) seen.push(...transactions);
  } finally {
    for (const { ageMs, events } of seen) {
      must(Number.isFinite(ageMs), `an age of ${ageMs}`);
      for (const event of events) {
        if (event.kind === 'marker') must(Number.isSafeInteger(event.attempt), `a marker of attempt ${event.attempt}`);
        if (event.kind === 'watermark') must(Number.isSafeInteger(event.id), `a watermark of id ${event.id}`);
      }
    }
  }
}

/** Answers every call of the method with one message, and every other with an empty one. */
function answering(answered: DescMethod, bytes: Uint8Array): Transport {
  const answerTo = <O extends DescMessage>(method: DescMethod & { readonly output: O }): MessageShape<O> =>
    (method as DescMethod) === answered ? fromBinary(method.output, bytes) : create(method.output);
  return {
    unary: async <I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>) => answerTo(method),
    async *stream(method) {
      for (let i = 0; i < 2; i += 1) yield answerTo(method);
    },
    converse: async (method) => ({ ask: async () => answerTo(method), isOver: false, [Symbol.asyncDispose]: async () => {} }) as unknown as Conversation<never, never>,
    status: () => ({ busy: 0, idle: 0, waiting: 0 }),
    connect: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

const bigNumbers = [0n, 1n, 7n, 2n ** 53n, 2n ** 63n - 1n, -1n];

/** Fills fields with what fits the table, but for some. */
function hintOf(random: Random): Hint {
  const stray = random.pick([0, 3, 20]);
  const some = <T>(good: T, other: readonly T[]): T => (random.chance(stray) ? random.pick(other) : good);
  const text = (good: string): string => some(good, nastyTexts).toWellFormed();
  const value = (good: unknown): unknown => (random.chance(stray) ? { kind: { case: 'nullValue', value: 0 } } : good);
  const id = { kind: { case: 'int64Value', value: 1n } };
  const name = { kind: { case: 'textValue', value: 'x' } };
  return (field) => {
    switch (field.name) {
      case 'table':
      case 'references':
        return field.fieldKind === 'scalar' ? text('item') : undefined;
      case 'column':
        return field.fieldKind === 'scalar' ? text('id') : undefined;
      case 'tables':
        return field.fieldKind === 'list' && field.listKind === 'scalar' ? [text('item')] : undefined;
      case 'values':
        return field.fieldKind === 'list' ? some([value(id), value(name)], [[value(id)], [], [id, id, id]]) : undefined;
      case 'key':
      case 'old_key':
        return field.fieldKind === 'message' ? { values: [value(id)] } : undefined;
      case 'primary_key':
        return [text('id')];
      case 'last_key':
        return some('[{"i":"1"}]', [...nastyTexts, '[{"i":"x"}]', '[{"z":1}]', '[1]', '{"i":"1"}']).toWellFormed();
      case 'native_detail':
        return some('{}', nastyTexts).toWellFormed();
      case 'token':
      case 'marker':
      case 'attempt':
      case 'watermark':
      case 'rows':
        return field.fieldKind === 'scalar' && String(field.scalar) !== '1' ? some(7n, bigNumbers) : undefined;
      default:
        return undefined;
    }
  };
}

/** What a peer answers, over whatever way it came. The first byte chooses the call, the others are the answer's message. */
export const target: FuzzTarget = {
  name: 'peer-answer',
  words: ['item', 'id', 'name', '[{"i":"1"}]', '\x0a', '\x12', '\x1a', '\x08\x01', '\xff\xff\xff\xff\x0f'],
  changedPercent: 30,
  generate: (random) => {
    const at = random.below(calls.length);
    return Buffer.concat([Buffer.from([at]), randomBytesOf((calls[at] as (typeof calls)[number])[0].output, random, hintOf(random))]);
  },
  open: async () => ({
    run: async (input) => {
      const [method, call] = calls[(input[0] ?? 0) % calls.length] as (typeof calls)[number];
      const bytes = new Uint8Array(input.subarray(1));
      try {
        fromBinary(method.output, bytes);
      } catch {
        return 'no message';
      }
      const transport = answering(method, bytes);
      const common = { keyspace: 'shop', remoteKeyspace: 'theirs', transport };
      const peer = {
        data: new ServiceDataStore(common),
        owner: new ServiceOwnerStore({ ...common, clock: systemClock }),
        player: new ServiceReplicationStore({ ...common, newId: () => 'reader', onBackgroundError: () => {} }),
      };
      const outcome = await outcomeOf(
        async () => {
          try {
            await call(peer);
          } catch (error) {
            toGrpcError(error);
            throw error;
          }
        },
        [],
        // A step that failed there without a reason failed there.
        method === data.transact ? ['STORE_FAILED', 'INTERNAL'] : ['STORE_FAILED'],
      );
      return `${method.name}: ${outcome}`;
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

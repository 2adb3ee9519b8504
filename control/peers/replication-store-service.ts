import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ApplyBatch, ChangeFeed, CopiedChunk, CopyProgress } from '../../backends/backend.ts';
import { keyFromJson, keyToJson } from '../../core/cell-json.ts';
import type { RowChange } from '../../core/change.ts';
import { attempt, position, streamToken } from '../../core/ids.ts';
import { PEER_KEY } from '../../core/peer-call.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { ChangeEvent as WireEvent } from '../../gen/switchyard/store/v1/common_pb.ts';
import type {
  ApplyRequest,
  CopyProgress as WireProgress,
  FollowRequest,
  FollowResponseSchema,
  ReplicationStoreService,
} from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import type { RpcContext, RpcImplementation } from '../../runtime/grpc-server.ts';
import { SchemaMemory } from '../../runtime/peers/schema-memory.ts';
import { cellsFromMessage, cellsMessage, keyColumnsOf } from '../../runtime/wire/cells.ts';
import { countOf, limitOf } from '../../runtime/wire/counts.ts';
import { eventFromMessage, recordFromMessage, recordMessage } from '../../runtime/wire/change-message.ts';
import { schemaMessage } from '../../runtime/wire/table-schema.ts';
import { schemaOf } from '../../runtime/wire/write-message.ts';
import { logPieces } from './log-pieces.ts';
import { streamOf } from './owner-store-service.ts';
import type { PeerStores } from './peer-stores.ts';

type Schemas = ReadonlyMap<string, TableSchema>;
/** Parts of the key of a request's record: caller, id and table. */
const RECORD_KEY = 3;
type Followed = MessageInitShape<typeof FollowResponseSchema>;

/** The stores of this cluster as peers' players use them. */
export function replicationStoreService(stores: PeerStores): RpcImplementation<typeof ReplicationStoreService> {
  const { player } = stores;
  const schemas = new SchemaMemory((keyspace, table, signal) => player(keyspace, (store) => store.describe(table, signal)));
  /** Logs that are followed in this process, by peer and reader. */
  const feeds = new Map<string, ChangeFeed>();

  async function* follow(request: FollowRequest, { signal, metadata }: RpcContext): AsyncGenerator<Followed> {
    const shapes = await schemas.findAll(request.keyspace, request.tables, signal);
    const key = readerKey(metadata, request.reader);
    using lease = await stores.lease(request.keyspace);
    const stream = streamOf(request.stream);
    requireShapes(shapes, stream.tables);
    await using feed = lease.store.player.follow(stream, shapes, position(request.from), signal);
    feeds.set(key, feed);
    try {
      for await (const transactions of feed) yield* logPieces(shapes, transactions);
    } finally {
      feeds.delete(key);
    }
  }

  return {
    async checkLogin({ keyspace }, { signal }) {
      await player(keyspace, (store) => store.checkLogin(signal));
      return {};
    },
    async describeTable({ keyspace, table }, { signal }) {
      using lease = await stores.lease(keyspace);
      const schema = await schemas.describe(keyspace, table, signal);
      return schema === null ? {} : { schema: schemaMessage(schema, lease.store.kind) };
    },
    follow,
    async confirm({ reader, position: at }, { metadata }) {
      feeds.get(readerKey(metadata, reader))?.confirm(position(at));
      return {};
    },
    getVisibility: ({ keyspace }, { signal }) =>
      player(keyspace, async (store) => {
        const { next, running } = await store.visibility(signal);
        return { running: running.map(BigInt), ...(next === null ? {} : { next: BigInt(next) }) };
      }),
    async readChunk({ keyspace, table, after, limit }, { signal }) {
      const schema = await schemas.find(keyspace, table, signal);
      const place = after === undefined ? null : cellsFromMessage(keyColumnsOf(schema), after, 'after');
      const rows = await player(keyspace, (store) => store.readChunk(schema, place, limitOf(limit), signal));
      return { rows: rows.map((row) => cellsMessage(schema.columns, row)) };
    },
    async readRows({ keyspace, table, keys }, { signal }) {
      const schema = await schemas.find(keyspace, table, signal);
      const wanted = keys.map((key, index) => cellsFromMessage(keyColumnsOf(schema), key, `keys[${index}]`));
      const rows = await player(keyspace, (store) => store.readRows(schema, wanted, signal));
      return { rows: rows.map((row) => cellsMessage(schema.columns, row)) };
    },
    readRequests: ({ keyspace, tables, after, limit }, { signal }) =>
      player(keyspace, async (store) => {
        if (after.length !== 0 && after.length !== RECORD_KEY) throw new SwitchyardError('ARGUMENT_INVALID', `after: got ${after.length} texts; must be ${RECORD_KEY}, or none`);
        const records = await store.readRequests(tables, after.length === 0 ? null : after, limitOf(limit), signal);
        return { records: records.map(recordMessage) };
      }),
    async writeWatermark({ keyspace, stream, id }, { signal }) {
      await player(keyspace, (store) => store.writeWatermark(streamOf(stream), countOf(id, 'id'), signal));
      return {};
    },
    estimateRows: ({ keyspace, table }, { signal }) => player(keyspace, async (store) => ({ rows: await store.estimateRows(table, signal) })),
    takeStream: ({ keyspace, stream }, { signal }) =>
      player(keyspace, async (store) => {
        const state = await store.takeStream(streamOf(stream), signal);
        const copied = Object.fromEntries([...state.copied].map(([table, progress]) => [table, progressMessage(progress)]));
        return { token: BigInt(state.token), position: state.position, marker: BigInt(state.marker), copied };
      }),
    async apply(request, { signal }) {
      const shapes = await schemas.findAll(request.keyspace, request.tables, signal);
      const batch = batchOf(shapes, request);
      await player(request.keyspace, (store) => store.apply(streamOf(request.stream), shapes, streamToken(countOf(request.token, 'token')), batch, signal));
      return {};
    },
  };
}

/** ARGUMENT_INVALID: the request names no shape of one of these. */
function requireShapes(schemas: Schemas, tables: readonly string[]): void {
  const unshaped = tables.find((table) => !schemas.has(table));
  if (unshaped !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', `tables: lacks the shape of table "${shorten(unshaped)}"`);
}

const readerKey = (metadata: RpcContext['metadata'], reader: string): string => JSON.stringify([metadata.get(PEER_KEY)[0]?.toString() ?? '', reader]);

const progressMessage = ({ lastKey, rows, done }: CopyProgress) => ({ rows: BigInt(rows), done, ...(lastKey === null ? {} : { lastKey: keyToJson(lastKey) }) });

const progressOf = ({ lastKey, rows, done }: WireProgress): CopyProgress => ({ lastKey: lastKey === undefined ? null : keyOf(lastKey), rows: countOf(rows, 'rows'), done });

function keyOf(text: string): CopyProgress['lastKey'] {
  try {
    return keyFromJson(text);
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', 'last_key: is no saved key', { cause });
  }
}

function batchOf(schemas: Schemas, { changes, copied, requests, requestsProgress, position: at, marker }: ApplyRequest): ApplyBatch {
  const changed = changes.flatMap(({ kind }) => (kind.case === 'insert' || kind.case === 'update' || kind.case === 'delete' ? [kind.value.table] : []));
  requireShapes(schemas, copied === undefined ? changed : [...changed, copied.table]);
  return {
    changes: changes.map((change) => rowChange(schemas, change)),
    copied: copied === undefined ? null : copiedOf(schemas, copied),
    requests: { records: requests.map(recordFromMessage), progress: requestsProgress === undefined ? null : progressOf(requestsProgress) },
    position: at === undefined ? null : position(at),
    marker: marker === undefined ? null : attempt(countOf(marker, 'marker')),
  };
}

function rowChange(schemas: Schemas, message: WireEvent): RowChange {
  const event = eventFromMessage(schemas, message);
  if (event.kind === 'marker' || event.kind === 'watermark' || event.kind === 'request') throw new SwitchyardError('ARGUMENT_INVALID', `changes: a ${event.kind} is none of a row`);
  return event;
}

function copiedOf(schemas: Schemas, { table, rows, contiguous, progress }: NonNullable<ApplyRequest['copied']>): CopiedChunk {
  if (progress === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'copied: a chunk without its progress');
  const { columns } = schemaOf(schemas, table);
  return { table, rows: rows.map((row, index) => cellsFromMessage(columns, row, `copied.rows[${index}]`)), contiguous, progress: progressOf(progress) };
}

import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Cell } from '../../core/cell.ts';
import { keyFromJson, keyToJson } from '../../core/cell-json.ts';
import { attempt, type Position, position, type StreamToken, streamToken } from '../../core/ids.ts';
import type { RequestRecord } from '../../core/request-record.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type CopyProgress as WireProgress, ReplicationStoreService } from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import { cellsFromMessage, cellsMessage, keyColumnsOf } from '../../runtime/wire/cells.ts';
import { eventMessage, recordFromMessage, recordMessage } from '../../runtime/wire/change-message.ts';
import { schemaFromMessage, shapeMessage } from '../../runtime/wire/table-schema.ts';
import { schemaOf } from '../../runtime/wire/write-message.ts';
import {
  type ApplyBatch,
  cellsOf,
  type ChangeFeed,
  type CopiedChunk,
  type CopyProgress,
  type ReplicationStore,
  type StreamSpec,
  type StreamState,
  type Visibility,
  visibilityOf,
} from '../backend.ts';
import type { ServiceStoreOptions } from './data-store.ts';
import { read } from './failures.ts';
import { FollowedLog } from './followed-log.ts';
import { soundSchema } from './sound-schema.ts';
import type { Effect } from './transport.ts';
import { wholeNumber } from './whole-number.ts';

export interface ServicePlayerOptions extends ServiceStoreOptions {
  /** Random text that names one reading of a log. */
  readonly newId: () => string;
  /** Told of what could not be confirmed to a source. */
  readonly onBackgroundError: (error: Error) => void;
}

const player = ReplicationStoreService.method;
type Schemas = ReadonlyMap<string, TableSchema>;

/** The player's store where a control process of another Switchyard passes its own on. */
export class ServiceReplicationStore implements ReplicationStore {
  readonly #options: ServicePlayerOptions;
  readonly #remote: { readonly keyspace: string };

  constructor(options: ServicePlayerOptions) {
    this.#options = options;
    this.#remote = { keyspace: options.remoteKeyspace };
  }

  async checkLogin(signal: AbortSignal): Promise<void> {
    await this.#ask(player.checkLogin, this.#remote, signal);
  }

  async describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    const { schema } = await this.#ask(player.describeTable, { ...this.#remote, table }, signal);
    return schema === undefined ? null : soundSchema(schemaFromMessage(schema));
  }

  follow(stream: StreamSpec, schemas: Schemas, from: Position, signal: AbortSignal): ChangeFeed {
    const { transport, newId, onBackgroundError } = this.#options;
    return new FollowedLog({ transport, keyspace: this.#remote.keyspace, stream, schemas, from, reader: newId(), onBackgroundError }, signal);
  }

  async visibility(signal: AbortSignal): Promise<Visibility> {
    const { next, running } = await this.#ask(player.getVisibility, this.#remote, signal);
    return this.#read(() => visibilityOf(next === undefined ? null : wholeNumber(next), running.map(wholeNumber)));
  }

  async readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    const place = after === null ? {} : { after: cellsMessage(keyColumnsOf(table), after) };
    const { rows } = await this.#ask(player.readChunk, { ...this.#remote, table: shapeMessage(table), limit, ...place }, signal);
    return this.#read(() => rows.map((row) => cellsFromMessage(table.columns, row, table.name)));
  }

  async readRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    if (keys.length === 0) return [];
    const { rows } = await this.#ask(player.readRows, { ...this.#remote, table: shapeMessage(table), keys: keys.map((key) => cellsMessage(keyColumnsOf(table), key)) }, signal);
    return this.#read(() => rows.map((row) => cellsFromMessage(table.columns, row, table.name)));
  }

  async readRequests(tables: readonly string[], after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly RequestRecord[]> {
    const place = after === null ? [] : after.map(String);
    const { records } = await this.#ask(player.readRequests, { ...this.#remote, tables: [...tables], after: place, limit }, signal);
    return records.map(recordFromMessage);
  }

  async writeWatermark(stream: StreamSpec, id: number, signal: AbortSignal): Promise<void> {
    await this.#ask(player.writeWatermark, { ...this.#remote, stream: streamMessage(stream), id: BigInt(id) }, signal, 'write');
  }

  async estimateRows(table: string, signal: AbortSignal): Promise<number> {
    return (await this.#ask(player.estimateRows, { ...this.#remote, table }, signal)).rows;
  }

  async takeStream(stream: StreamSpec, signal: AbortSignal): Promise<StreamState> {
    const state = await this.#ask(player.takeStream, { ...this.#remote, stream: streamMessage(stream) }, signal, 'write');
    return this.#read(() => ({
      token: streamToken(wholeNumber(state.token)),
      position: position(state.position),
      marker: attempt(wholeNumber(state.marker)),
      copied: new Map(Object.entries(state.copied).map(([table, progress]) => [table, progressFromMessage(progress)])),
    }));
  }

  async apply(stream: StreamSpec, schemas: Schemas, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void> {
    const { changes, copied, requests } = batch;
    const message: MessageInitShape<typeof player.apply.input> = {
      ...this.#remote,
      stream: streamMessage(stream),
      tables: [...schemas.values()].map(shapeMessage),
      token: BigInt(token),
      changes: changes.map((change) => eventMessage(schemas, change)),
      requests: requests.records.map(recordMessage),
      ...(copied === null ? {} : { copied: copiedMessage(schemas, copied) }),
      ...(requests.progress === null ? {} : { requestsProgress: progressMessage(requests.progress) }),
      ...(batch.position === null ? {} : { position: batch.position }),
      ...(batch.marker === null ? {} : { marker: BigInt(batch.marker) }),
    };
    await this.#ask(player.apply, message, signal, 'write');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.transport[Symbol.asyncDispose]();
  }

  #ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
    effect: Effect = 'read',
  ): Promise<MessageShape<O>> {
    return this.#options.transport.unary(method, request, { signal, effect });
  }

  #read<T>(make: () => T): T {
    return read(this.#options.keyspace, false, make);
  }
}

export const streamMessage = ({ id, workflow, tables }: StreamSpec) => ({ id, workflow, tables: [...tables] });

function copiedMessage(schemas: Schemas, { table, rows, contiguous, progress }: CopiedChunk) {
  const { columns } = schemaOf(schemas, table);
  return { table, rows: cellsOf(rows).map((row) => cellsMessage(columns, row)), contiguous, progress: progressMessage(progress) };
}

const progressMessage = ({ lastKey, rows, done }: CopyProgress) => ({ rows: BigInt(rows), done, ...(lastKey === null ? {} : { lastKey: keyToJson(lastKey) }) });

/** A copy's progress as a message tells it. */
export function progressFromMessage({ lastKey, rows, done }: WireProgress): CopyProgress {
  return { lastKey: lastKey === undefined ? null : keyFromJson(lastKey), rows: wholeNumber(rows), done };
}

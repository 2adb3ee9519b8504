import { assertNever } from '../../../core/assert-never.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import { type ChangedCell, type ChangeEvent, type ChangeTransaction, unchanged } from '../../../core/change.ts';
import { attempt, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import type { StreamSpec } from '../../backend.ts';
import { cellFromText } from '../cells.ts';
import { unmovable, unreadable } from '../../unreadable-value.ts';
import { TRUNCATE_MESSAGE } from '../log-names.ts';
import { recordFromTexts, requestColumns } from './requests.ts';
import { decodeMessage, formatLsn, type Frame, type Lsn, type Message, ProtocolFault, type RelationColumn, type Tuple, type TupleCell, unsent } from './pgoutput.ts';

/** A table of the stream as its log must describe it: the columns that are sent, i.e. all but generated ones, in order. */
export interface TableShape {
  readonly schema: TableSchema;
  readonly columns: readonly { readonly name: string; readonly typeOid: number; readonly typeModifier: number }[];
}

/** The partitioned table of each partition, by the partition's relation id. */
export type Partitions = ReadonlyMap<number, string>;

/** More than this in one transaction of the source is not held in memory. */
const LARGEST_TRANSACTION_BYTES = 512 * 1024 * 1024;

/** What a relation of the log is to us. Column indexes are those of the tuple. */
type Relation =
  | { readonly kind: 'table'; readonly table: StreamTable /** Of a partitioned table: this is the partition of that name. */; readonly partition: string | null }
  | { readonly kind: 'marker' | 'watermark'; readonly owner: number; readonly value: number }
  | { readonly kind: 'request'; readonly places: readonly number[] }
  | { readonly kind: 'stream' };

interface StreamTable {
  readonly schema: TableSchema;
  readonly keyIndexes: readonly number[];
  /** For each column of the schema its place in a tuple, −1 for a generated one. */
  readonly places: readonly number[];
  /** Values in every tuple. */
  readonly sent: number;
}

interface OpenTransaction {
  readonly xid: number;
  readonly events: ChangeEvent[];
  /** Partitioned tables whose next TRUNCATE is one of the whole table. */
  readonly emptied: Set<string>;
  bytes: number;
  /** A player's own transaction, which must not flow back. */
  isPlayers: boolean;
}

/** A message about one row. */
type RowMessage = Extract<Message, { kind: 'insert' | 'update' | 'delete' }>;

/** A transaction together with its size on the wire, for bounding what is buffered. */
export interface Assembled {
  readonly transaction: ChangeTransaction;
  readonly bytes: number;
}

/** The log has a relation that is no table of the stream and none of the partitions that are known: one that came after they were looked up, or one that has gone. */
export class UnknownRelation extends SwitchyardError {
  readonly relationId: number;

  constructor(relationId: number, name: string, stream: StreamSpec) {
    super(
      'STREAM_FAILED',
      `the log holds changes of ${name}, which is no table of the stream and no partition of one: detached or dropped since? Cancel the workflow and create it anew`,
      {
        metadata: { stream: stream.id, problem: 'SCHEMA_CHANGED', table: name },
      },
    );
    this.relationId = relationId;
  }
}

/**
 * Makes change transactions of a stream out of its log's messages, in order. Pure: no I/O, no time. Fails with STREAM_FAILED when a table's shape in the log is not the expected one
 * (metadata `problem` is SCHEMA_CHANGED), a value has no exact cell (VALUE_UNSUPPORTED) or a transaction is larger than 512 MiB.
 */
export class TransactionAssembler {
  readonly #stream: StreamSpec;
  readonly #shapes: ReadonlyMap<string, TableShape>;
  readonly #relations = new Map<number, Relation>();
  readonly #partitions = new Map<number, string>();
  #open: OpenTransaction | null = null;

  constructor(stream: StreamSpec, shapes: ReadonlyMap<string, TableShape>, partitions: Partitions = new Map()) {
    this.#stream = stream;
    this.#shapes = shapes;
    this.learn(partitions);
  }

  /** More partitions; one that is known stays known. A frame that was refused with `UnknownRelation` may be given again then. */
  learn(partitions: Partitions): void {
    for (const [id, table] of partitions) this.#partitions.set(id, table);
  }

  /** Whether nothing of a transaction has arrived that is not finished. */
  get isBetweenTransactions(): boolean {
    return this.#open === null;
  }

  /** The transaction that is arriving; null between two. */
  get openId(): number | null {
    return this.#open?.xid ?? null;
  }

  /** Takes the next frame; returns a transaction when this was its end and it holds anything for the stream. */
  take(frame: Extract<Frame, { kind: 'data' }>): Assembled | null {
    const message = decodeMessage(frame.message);
    switch (message.kind) {
      case 'begin':
        this.#open = { xid: message.xid, events: [], emptied: new Set(), bytes: 0, isPlayers: false };
        return null;
      case 'commit':
        return this.#finish(message.endLsn, frame.sentAtMicros - message.committedAtMicros);
      case 'relation':
        this.#relations.set(message.relationId, this.#recognize(message));
        return null;
      case 'insert':
      case 'update':
      case 'delete':
      case 'truncate':
        this.#add(message, frame.message.length);
        return null;
      case 'message':
        if (message.prefix === TRUNCATE_MESSAGE) this.#open?.emptied.add(message.text);
        return null;
      case 'ignored':
        return null;
      default:
        return assertNever(message);
    }
  }

  #finish(endLsn: Lsn, ageMicros: bigint): Assembled | null {
    const open = this.#transaction();
    this.#open = null;
    if (open.isPlayers || open.events.length === 0) return null;
    // The server's clock may have been set back meanwhile.
    const ageMs = Math.max(0, Number(ageMicros) / 1_000);
    return { transaction: { id: open.xid, position: position(formatLsn(endLsn)), ageMs, events: open.events }, bytes: open.bytes };
  }

  #add(message: Extract<Message, { kind: 'insert' | 'update' | 'delete' | 'truncate' }>, bytes: number): void {
    const open = this.#transaction();
    open.bytes += bytes;
    if (open.bytes > LARGEST_TRANSACTION_BYTES) {
      throw this.#failed(
        `a transaction of the source holds more than ${LARGEST_TRANSACTION_BYTES / 1024 / 1024} MiB of changes: move the tables anew and split such writes`,
        'TRANSACTION_TOO_LARGE',
      );
    }
    if (open.isPlayers) return;
    if (message.kind === 'truncate') {
      const tables = new Set(message.relationIds.flatMap((id) => this.#truncated(open, this.#relation(id))));
      for (const table of tables) open.emptied.delete(table);
      if (tables.size > 0) open.events.push({ kind: 'truncate', tables: [...tables] });
      return;
    }
    const found = this.#relation(message.relationId);
    if (found.kind === 'stream') {
      open.isPlayers = true;
      open.events.length = 0;
    } else if (found.kind === 'table') open.events.push(this.#rowChange(found.table, message));
    else if (found.kind === 'request') this.#addRequest(open, found.places, message);
    else if (message.kind !== 'delete') this.#addSignal(open, found, message.row);
  }

  /** The table that a TRUNCATE of this relation empties. */
  #truncated(open: OpenTransaction, found: Relation): readonly string[] {
    if (found.kind !== 'table') return [];
    const { name } = found.table.schema;
    if (found.partition === null || open.emptied.has(name)) return [name];
    throw this.#failed(
      `partition ${found.partition} of table "${name}" was truncated alone during the move, which has no like in the target. Cancel the workflow and create it anew, and DELETE the partition's rows instead until it has ended`,
      'SCHEMA_CHANGED',
      name,
    );
  }

  #rowChange(table: StreamTable, message: RowMessage): ChangeEvent {
    try {
      return rowChange(table, message);
    } catch (error) {
      const { name } = table.schema;
      const sent = message.kind === 'delete' ? message.oldKey : message.row;
      const key = table.keyIndexes.map((i) => String(sent[table.places[i] ?? -1] ?? 'NULL'));
      throw unmovable(unreadable(error, name, key.join(',')), this.#stream.id, name);
    }
  }

  #addSignal(open: OpenTransaction, signal: Extract<Relation, { kind: 'marker' | 'watermark' }>, row: Tuple): void {
    const owner = row[signal.owner];
    const text = row[signal.value];
    const value = typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value)) throw new ProtocolFault(`a ${signal.kind} without its number`);
    if (signal.kind === 'marker' && owner === this.#stream.workflow) open.events.push({ kind: 'marker', attempt: attempt(value) });
    if (signal.kind === 'watermark' && owner === this.#stream.id) open.events.push({ kind: 'watermark', id: value });
  }

  /** Records are only added, but for those that expire, each store's for itself. */
  #addRequest(open: OpenTransaction, places: readonly number[], message: Extract<Message, { kind: 'insert' | 'update' | 'delete' }>): void {
    if (message.kind !== 'insert') return;
    const cells = places.map((place) => message.row[place]);
    const record = recordFromTexts(cells.map((cell) => (typeof cell === 'string' ? cell : null)));
    if (this.#stream.tables.includes(record.table)) open.events.push({ kind: 'request', record });
  }

  #recognize(message: Extract<Message, { kind: 'relation' }>): Relation {
    if (message.schema === 'switchyard') {
      const place = (name: string): number => message.columns.findIndex((column) => column.name === name);
      if (message.table === 'stream') return { kind: 'stream' };
      if (message.table === 'request') return { kind: 'request', places: requestColumns.map(place) };
      if (message.table === 'marker') return { kind: 'marker', owner: place('workflow'), value: place('attempt') };
      if (message.table === 'watermark') return { kind: 'watermark', owner: place('stream'), value: place('id') };
    }
    const root = this.#partitions.get(message.relationId);
    const shape = this.#shapes.get(root ?? (message.schema === 'public' ? message.table : ''));
    const relation = `${message.schema}.${message.table}`;
    if (shape === undefined) throw new UnknownRelation(message.relationId, relation, this.#stream);
    const difference = shapeDifference(shape, message.columns, message.replicaIdentity);
    if (difference !== null) {
      const what = root === undefined ? `table "${message.table}"` : `partition ${relation} of table "${root}"`;
      throw this.#failed(`${what} changed its shape during the move: ${difference}. Undo the change and create the workflow anew`, 'SCHEMA_CHANGED', root ?? message.table);
    }
    return { kind: 'table', table: streamTable(shape.schema, message.columns), partition: root === undefined ? null : relation };
  }

  #transaction(): OpenTransaction {
    if (this.#open === null) throw this.#failed('the log sent a change outside of a transaction', 'PROTOCOL');
    return this.#open;
  }

  #relation(id: number): Relation {
    const found = this.#relations.get(id);
    if (found === undefined) throw this.#failed(`the log sent a change of relation ${id} before its description`, 'PROTOCOL');
    return found;
  }

  #failed(message: string, problem: string, table?: string): SwitchyardError {
    return new SwitchyardError('STREAM_FAILED', message, { metadata: { stream: this.#stream.id, problem, ...(table === undefined ? {} : { table }) } });
  }
}

/** A partition may have the columns in another order than its table. */
function streamTable(schema: TableSchema, sent: readonly RelationColumn[]): StreamTable {
  const places = schema.columns.map((column) => sent.findIndex(({ name }) => name === column.name));
  return { schema, keyIndexes: keyIndexes(schema), places, sent: sent.length };
}

function shapeDifference(shape: TableShape, columns: readonly RelationColumn[], replicaIdentity: string): string | null {
  if (replicaIdentity !== 'd') return 'its replica identity is no longer the default';
  const described = (list: TableShape['columns']): readonly string[] => list.map((column) => `${column.name}:${column.typeOid}:${column.typeModifier}`);
  const [expected, found] = [described(shape.columns), described(columns)];
  if ([...expected].sort().join() !== [...found].sort().join()) return `its columns are ${found.join(', ')}, expected were ${expected.join(', ')} (name:type:modifier)`;
  const key = columns.filter((column) => column.isKey).map((column) => column.name);
  if ([...key].sort().join() !== [...shape.schema.primaryKey].sort().join()) return `its key columns are ${key.join(', ')}, expected were ${shape.schema.primaryKey.join(', ')}`;
  return null;
}

function rowChange(table: StreamTable, message: RowMessage): ChangeEvent {
  const name = table.schema.name;
  switch (message.kind) {
    case 'insert':
      return { kind: 'insert', table: name, row: wholeRow(table, message.row) };
    case 'delete':
      return { kind: 'delete', table: name, key: keyOf(table, message.oldKey) };
    case 'update': {
      const { oldKey } = message;
      // An old key is sent also when an out-of-line part of the key did not change; then the new row lacks it.
      const row = changedRow(
        table,
        message.row.map((cell, i) => (cell === unsent && oldKey !== null && isKeyPlace(table, i) ? (oldKey[i] ?? null) : cell)),
      );
      if (oldKey === null) return { kind: 'update', table: name, row, oldKey: null };
      const before = keyOf(table, oldKey);
      const after = table.keyIndexes.map((i) => (row[i] === unchanged ? null : (row[i] as Cell)));
      return { kind: 'update', table: name, row, oldKey: keyText(before) === keyText(after) ? null : before };
    }
    default:
      return assertNever(message);
  }
}

const isKeyPlace = (table: StreamTable, place: number): boolean => table.keyIndexes.some((i) => table.places[i] === place);

function changedRow(table: StreamTable, tuple: Tuple): readonly ChangedCell[] {
  if (tuple.length !== table.sent) throw new ProtocolFault(`${tuple.length} values for a row of table "${table.schema.name}", which has ${table.sent}`);
  return table.schema.columns.map((column, i) => {
    const place = table.places[i] ?? -1;
    const text: TupleCell = place === -1 ? null : (tuple[place] ?? null);
    return text === unsent ? unchanged : cellFromText(column, text);
  });
}

function wholeRow(table: StreamTable, tuple: Tuple): readonly Cell[] {
  return changedRow(table, tuple).map((cell) => {
    if (cell === unchanged) throw new ProtocolFault(`a new row of table "${table.schema.name}" lacks a value`);
    return cell;
  });
}

function keyOf(table: StreamTable, tuple: Tuple): readonly Cell[] {
  const row = changedRow(table, tuple);
  return table.keyIndexes.map((i) => {
    const cell = row[i];
    if (cell === undefined || cell === unchanged) throw new ProtocolFault(`a key of table "${table.schema.name}" lacks a part`);
    return cell;
  });
}

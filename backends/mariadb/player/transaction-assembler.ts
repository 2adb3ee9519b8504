import { assertNever } from '../../../core/assert-never.ts';
import type { ChangedCell, ChangeEvent, ChangeTransaction } from '../../../core/change.ts';
import { attempt } from '../../../core/ids.ts';
import { shorten } from '../../../core/shorten.ts';
import type { StreamSpec } from '../../backend.ts';
import { ByteReader } from './binlog/byte-reader.ts';
import { type Gtid, type GtidPosition, gtidText } from './binlog/gtid-position.ts';
import { type LogEvent, NO_TABLE, type QueryEvent, type ReceivedEvent, type RowsEvent } from './binlog/log-events.ts';
import { LogFault, protocolFault } from './binlog/log-fault.ts';
import { readImage, type RowImage } from './binlog/row-images.ts';
import { meaningOf, meaningOfUnread } from './binlog/statements.ts';
import { BINARY_COLLATION } from './binlog/table-map.ts';
import type { LogGround } from './log-shape.ts';
import { LogTables, recordOf, type Relation, rowChange } from './log-tables.ts';

/** More than this in one transaction of the source is not held in memory. */
const LARGEST_TRANSACTION_BYTES = 512 * 1024 * 1024;
/** What an event takes in memory beside its values, roughly. */
const EVENT_BYTES = 200;

interface OpenGroup {
  readonly gtid: Gtid;
  readonly standalone: boolean;
  readonly events: ChangeEvent[];
  readonly maps: Map<number, Relation>;
  /** How many events there were when it was made. */
  readonly savepoints: Map<string, number>;
  bytes: number;
  /** A player's own transaction, which must not flow back. */
  isPlayers: boolean;
  /** It has something that is not a reader's own note. */
  hasOthers: boolean;
}

/** A transaction together with its size, roughly, for bounding what is buffered. */
export interface Assembled {
  readonly transaction: Omit<ChangeTransaction, 'ageMs'>;
  readonly bytes: number;
  /** See `ReceivedEvent`. */
  readonly timestamp: number;
}

/**
 * Makes change transactions of a stream out of its log's events, in order. Pure: no I/O, no time. Fails with STREAM_FAILED where the log does not tell all that happened to the stream's tables, or tells that it was more than changes of
 * rows; see `LogProblem`.
 */
export class TransactionAssembler {
  readonly #stream: StreamSpec;
  readonly #database: string;
  readonly #ground: LogGround;
  readonly #tables: readonly string[];
  readonly #position: GtidPosition;
  readonly #relations: LogTables;
  #open: OpenGroup | null = null;
  #hasMoved = false;

  constructor(stream: StreamSpec, database: string, ground: LogGround, from: GtidPosition) {
    this.#stream = stream;
    this.#database = database;
    this.#ground = ground;
    this.#tables = stream.tables;
    this.#relations = new LogTables(database, ground);
    this.#position = from;
  }

  /** Everything up to here has been read, whether it was of interest or not. */
  get position(): GtidPosition {
    return this.#position;
  }

  /** Where the log has been read to when nothing of a transaction has arrived that is not finished, and the last one delivered was not this. Null otherwise. */
  takeIdlePosition(): ChangeTransaction['position'] | null {
    if (this.#open !== null || !this.#hasMoved) return null;
    this.#hasMoved = false;
    return this.#position.format();
  }

  /** Takes the next event; returns a transaction when this was its end and it holds anything for the stream. */
  take({ event, timestamp }: ReceivedEvent): Assembled | null {
    switch (event.kind) {
      case 'gtid':
        this.#begin(event);
        return null;
      case 'tableMap':
        this.#group().maps.set(event.map.id, this.#relations.recognize(event.map));
        return null;
      case 'rows':
        this.#addRows(this.#group(), event.rows);
        return null;
      case 'query':
        return this.#take(event.query, timestamp);
      case 'commit':
        return this.#finish(timestamp);
      case 'xaPrepare':
        return event.onePhase ? this.#finish(timestamp) : this.#finishPrepared();
      case 'incident':
        throw new LogFault('LOG_INCOMPLETE', `the server says that its log lacks events (incident ${event.message}): create the workflow anew`);
      case 'format':
        // A server that broke down in the middle of a transaction's events has rolled it back.
        this.#open = null;
        return null;
      case 'rotate':
      case 'heartbeat':
      case 'ignored':
        return null;
      default:
        return assertNever(event);
    }
  }

  #begin({ gtid, standalone }: Extract<LogEvent, { kind: 'gtid' }>): void {
    if (this.#open !== null) throw protocolFault(`${gtidText(gtid)} begins before the end of ${gtidText(this.#open.gtid)}`);
    this.#open = { gtid, standalone, events: [], maps: new Map(), savepoints: new Map(), bytes: 0, isPlayers: false, hasOthers: false };
  }

  /** The group is committed. */
  #finish(timestamp: number): Assembled | null {
    const group = this.#group();
    this.#open = null;
    this.#position.pass(group.gtid);
    if (group.isPlayers || group.events.length === 0) {
      this.#hasMoved ||= group.hasOthers;
      return null;
    }
    this.#hasMoved = false;
    return { transaction: { id: null, position: this.#position.format(), events: group.events }, bytes: group.bytes, timestamp };
  }

  /** Its rows are in the log before it is known whether they ever will be in the tables. */
  #finishPrepared(): null {
    const { events, isPlayers } = this.#group();
    const change = isPlayers ? undefined : events.find(({ kind }) => kind !== 'watermark');
    if (change !== undefined)
      throw new LogFault('LOG_INCOMPLETE', 'a distributed transaction (XA PREPARE) changed what the stream is about, which it cannot bring: end it, and create the workflow anew', {
        ...('table' in change ? { table: change.table } : {}),
        fix: 'let the application write these tables without XA while they move',
      });
    this.#group().events.length = 0;
    this.#finish(0);
    return null;
  }

  #take(query: QueryEvent, timestamp: number): Assembled | null {
    const group = this.#group();
    const read = this.#textOf(query);
    const text = read ?? query.text.toString('latin1');
    const meaning = read === null ? meaningOfUnread(query, query.text, this.#database, this.#tables) : meaningOf(query, read, this.#database, this.#tables);
    group.hasOthers = true;
    switch (meaning.kind) {
      case 'commit':
        return this.#finish(timestamp);
      case 'rollback':
        group.events.length = 0;
        return this.#finish(timestamp);
      case 'savepoint':
        group.savepoints.set(meaning.name, group.events.length);
        this.#grow(group, EVENT_BYTES + meaning.name.length);
        break;
      case 'rollbackTo':
        // The server writes it only where something that it could not take back was done meanwhile, in a table without transactions.
        group.events.length = Math.min(group.events.length, group.savepoints.get(meaning.name) ?? group.events.length);
        break;
      case 'truncate':
        group.events.push({ kind: 'truncate', tables: [meaning.table] });
        this.#grow(group, EVENT_BYTES);
        break;
      case 'definition':
        throw new LogFault('SCHEMA_CHANGED', `table "${meaning.table}" was defined anew during the move: ${shorten(text, 200)}. Undo the change and create the workflow anew`, {
          table: meaning.table,
        });
      case 'unloggedRows':
        throw new LogFault(
          'LOG_INCOMPLETE',
          `somebody wrote with binlog_format STATEMENT, so which rows were changed is not known: ${shorten(text, 200)}. Create the workflow anew`,
          {
            fix: "let no session but an administrator's set binlog_format (BINLOG ADMIN)",
          },
        );
      case 'begin':
      case 'other':
        break;
      default:
        return assertNever(meaning);
    }
    return group.standalone ? this.#finish(timestamp) : null;
  }

  /** Null: it is in a character set that we cannot read. */
  #textOf({ text, collation }: QueryEvent): string | null {
    const charset = collation === null || collation === BINARY_COLLATION ? 'utf8mb4' : this.#ground.charsets.nameOf(collation);
    const decode = charset === null ? null : this.#ground.charsets.decoderOf(charset);
    return decode?.(text) ?? null;
  }

  #addRows(group: OpenGroup, rows: RowsEvent): void {
    if (rows.tableId !== NO_TABLE) {
      const relation = group.maps.get(rows.tableId);
      if (relation === undefined) throw protocolFault(`rows of table ${rows.tableId} come before its description`);
      this.#addRowsOf(group, relation, rows);
    }
    if (rows.endsStatement) group.maps.clear();
  }

  #addRowsOf(group: OpenGroup, relation: Relation, rows: RowsEvent): void {
    group.hasOthers ||= relation.kind !== 'log';
    if (relation.kind === 'stream') {
      group.isPlayers = true;
      group.events.length = 0;
    }
    if (group.isPlayers || relation.kind === 'stream' || relation.kind === 'log' || relation.kind === 'other') return;
    this.#requireWhole(relation, rows);
    const before = group.events.length;
    const images = new ByteReader(rows.images);
    while (images.left > 0) {
      const image = readImage(relation.columns, images);
      const after = rows.change === 'update' ? readImage(relation.columns, images) : image;
      if (relation.kind === 'table') {
        const change = rowChange(relation.table, rows.change, image, after);
        group.events.push(change);
        if (relation.table.isCompressed && 'row' in change) this.#grow(group, cellBytes(change.row));
      }
      // Of our own tables only what is written is told, not what is removed.
      else if (rows.change !== 'delete') this.#addOwn(group, relation, rows.change, after);
    }
    this.#grow(group, rows.images.length + (group.events.length - before) * EVENT_BYTES);
  }

  #grow(group: OpenGroup, bytes: number): void {
    group.bytes += bytes;
    if (group.bytes > LARGEST_TRANSACTION_BYTES) {
      throw new LogFault(
        'TRANSACTION_TOO_LARGE',
        `a transaction of the source holds more than ${LARGEST_TRANSACTION_BYTES / 1024 / 1024} MiB of changes: move the tables anew and split such writes`,
      );
    }
  }

  /** A session may have other settings than the server. */
  #requireWhole(relation: Extract<Relation, { columns: unknown }>, rows: RowsEvent): void {
    if (rows.columns !== relation.columns.length) throw protocolFault(`rows of ${rows.columns} columns of a table that has ${relation.columns.length}`);
    if (rows.isWhole) return;
    const table = relation.kind === 'table' ? { table: relation.table.schema.name } : {};
    throw new LogFault('LOG_INCOMPLETE', 'somebody wrote with another binlog_row_image than FULL, so the log lacks columns of the rows: create the workflow anew', {
      ...table,
      fix: 'SET GLOBAL binlog_row_image = FULL, and let no session set another one',
    });
  }

  #addOwn(group: OpenGroup, relation: Extract<Relation, { kind: 'marker' | 'watermark' | 'request' }>, change: 'insert' | 'update', row: RowImage): void {
    if (relation.kind === 'request') {
      // Records are only added, but for those that expire, each store's for itself.
      if (change !== 'insert') return;
      const record = recordOf(relation, row);
      if (this.#tables.includes(record.table)) group.events.push({ kind: 'request', record });
      return;
    }
    const owner = row[relation.owner]?.toString('utf8');
    const bytes = row[relation.value];
    const value = bytes?.length === 8 ? Number(bytes.readBigInt64LE()) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < 0) throw protocolFault(`a ${relation.kind} without its number`);
    if (relation.kind === 'marker' && owner === this.#stream.workflow) group.events.push({ kind: 'marker', attempt: attempt(value) });
    if (relation.kind === 'watermark' && owner === this.#stream.id) group.events.push({ kind: 'watermark', id: value });
  }

  #group(): OpenGroup {
    if (this.#open === null) throw protocolFault('a change outside of a transaction');
    return this.#open;
  }
}

/** Bytes of the cells that have a length of their own. */
const cellBytes = (cells: readonly ChangedCell[]): number =>
  cells.reduce<number>((sum, cell) => sum + (typeof cell === 'string' || cell instanceof Uint8Array ? cell.length : 0), 0);

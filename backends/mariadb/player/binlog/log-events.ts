import { crc32 } from 'node:zlib';
import { SwitchyardError } from '../../../../core/switchyard-error.ts';
import { ByteReader } from './byte-reader.ts';
import type { Gtid } from './gtid-position.ts';
import { inflated } from './inflated.ts';
import { LogFault, protocolFault } from './log-fault.ts';
import { decodeTableMap, type TableMap } from './table-map.ts';

/*
 * Decoder of the events that a MariaDB server sends to a replica that understands its GTIDs. Our own, for the log is the only copy of what happened: every event is checked against its checksum, an event that could carry changes and is not
 * understood ends the stream instead of being passed over, and rows are left as bytes until it is known whether anybody wants them. See "Replication Protocol" in MariaDB's documentation.
 */

/** One event. What is of no interest to anybody is `ignored`. */
export type LogEvent =
  /** Another file of the log begins, or the same one at the reader's beginning. */
  | { readonly kind: 'rotate'; readonly file: string }
  /** The server began to write a file, at its start at the latest. No group goes beyond a file. */
  | { readonly kind: 'format' }
  /** Begins a group: a transaction, or with `standalone` one statement that commits by itself. */
  | { readonly kind: 'gtid'; readonly gtid: Gtid; readonly standalone: boolean }
  /** A statement: of a transaction's control, a definition, or one that was not logged by its rows. */
  | { readonly kind: 'query'; readonly query: QueryEvent }
  | { readonly kind: 'tableMap'; readonly map: TableMap }
  | { readonly kind: 'rows'; readonly rows: RowsEvent }
  /** The group is committed. */
  | { readonly kind: 'commit' }
  /** The group is prepared, and committed by a later one. */
  | { readonly kind: 'xaPrepare'; readonly onePhase: boolean }
  /** The server says that the log lacks something. */
  | { readonly kind: 'incident'; readonly message: string }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'ignored' };

export interface QueryEvent {
  /** The session's default database; empty for none. */
  readonly database: string;
  /** In the character set of the session. */
  readonly text: Buffer;
  /** Id of a collation of that character set; null: not told. */
  readonly collation: number | null;
  readonly ansiQuotes: boolean;
  readonly noBackslashEscapes: boolean;
}

/** Changes of rows of one table. */
export interface RowsEvent {
  readonly change: 'insert' | 'update' | 'delete';
  readonly tableId: number;
  /** The statement's last event: the table maps before it are void. */
  readonly endsStatement: boolean;
  readonly columns: number;
  /** Whether the images have all columns, in the row before and after the change. */
  readonly isWhole: boolean;
  /** Row images, one after the other; of an update the one before and the one after in turn. */
  readonly images: Buffer;
}

/** An event with what its header says. */
export interface ReceivedEvent {
  readonly event: LogEvent;
  /** When the statement began, or where it is the last of a transaction its commit, on the server's clock in whole seconds since 1970; 0: made up by the sender. */
  readonly timestamp: number;
  /** On the wire. */
  readonly bytes: number;
}

const HEADER_BYTES = 19;
const CHECKSUM_BYTES = 4;
/** Of the header: a reader may pass over an event that it does not know. */
const IGNORABLE_FLAG = 0x80;
const FORMAT_DESCRIPTION = 15;

const STANDALONE_FLAG = 0x01;
const STATEMENT_END_FLAG = 0x01;
/** A table id that stands for no table: the event only ends a statement. */
export const NO_TABLE = 0xff_ffff;

type RowsForm = Pick<RowsEvent, 'change'> & { readonly version: 1 | 2; readonly compressed: boolean };

const rowsForms: ReadonlyMap<number, RowsForm> = new Map(
  (
    [
      [23, 1, false],
      [30, 2, false],
      [166, 1, true],
      [169, 2, true],
    ] as const
  ).flatMap(([first, version, compressed]) => (['insert', 'update', 'delete'] as const).map((change, i): [number, RowsForm] => [first + i, { change, version, compressed }])),
);

/** Values that a statement uses; the statement itself follows. Parts of files that a statement loads; so does that. START_ENCRYPTION, ANNOTATE_ROWS, BINLOG_CHECKPOINT, GTID_LIST, STOP, IGNORABLE, ROWS_QUERY. */
const ignoredTypes: ReadonlySet<number> = new Set([3, 5, 8, 9, 10, 11, 13, 14, 17, 28, 29, 160, 161, 163, 164]);

/** Decodes one log, in order: what an event looks like was told by an earlier one. */
export class LogDecoder {
  /** The sender was told that we understand checksums; what it makes up before the first file's description has one. */
  #hasChecksums = true;

  /** `packet`: as it came, without the byte before the event. The event may refer to its memory. */
  decode(packet: Buffer): ReceivedEvent {
    const header = new ByteReader(packet);
    const timestamp = header.uint(4);
    const type = header.uint8();
    const server = header.uint(4);
    const length = header.uint(4);
    header.uint(4);
    const flags = header.uint(2);
    if (length !== packet.length) throw protocolFault(`an event of ${packet.length} bytes says that it has ${length}`);
    if (type === FORMAT_DESCRIPTION) this.#learnFormat(packet);
    else if (this.#hasChecksums) checkSum(packet);
    const body = new ByteReader(packet.subarray(0, packet.length - (this.#hasChecksums ? CHECKSUM_BYTES : 0)), HEADER_BYTES);
    return { event: decodeBody(type, server, flags, body), timestamp, bytes: packet.length };
  }

  /** The last of a description is the kind of the checksums, and a checksum, whether events have one or not. */
  #learnFormat(packet: Buffer): void {
    const kind = packet.readUInt8(packet.length - CHECKSUM_BYTES - 1);
    if (kind > 1) throw new LogFault('LOG_INCOMPLETE', `the log has checksums of the unknown kind ${kind}`);
    this.#hasChecksums = kind === 1;
  }
}

function checkSum(packet: Buffer): void {
  const end = packet.length - CHECKSUM_BYTES;
  if (end < HEADER_BYTES) throw protocolFault('an event has no room for its checksum');
  // Read again, it may be as it was written.
  if (crc32(packet.subarray(0, end)) !== packet.readUInt32LE(end))
    throw new SwitchyardError('STORE_UNAVAILABLE', 'an event of the log does not have the checksum that it was written with');
}

function decodeBody(type: number, server: number, flags: number, body: ByteReader): LogEvent {
  const rows = rowsForms.get(type);
  if (rows !== undefined) return { kind: 'rows', rows: decodeRows(rows, body) };
  switch (type) {
    case 2:
      return { kind: 'query', query: decodeQuery(body, 0, false) };
    case 165:
      return { kind: 'query', query: decodeQuery(body, 0, true) };
    // A statement that loads a file; in front of its variables are a number and three places of 13 bytes together.
    case 18:
      return { kind: 'query', query: decodeQuery(body, 13, false) };
    case 4:
      body.uint64();
      return { kind: 'rotate', file: body.rest().toString('utf8') };
    case FORMAT_DESCRIPTION:
      return { kind: 'format' };
    case 16:
      return { kind: 'commit' };
    case 19:
      return { kind: 'tableMap', map: decodeTableMap(body) };
    case 26:
      return { kind: 'incident', message: decodeIncident(body) };
    case 27:
      return { kind: 'heartbeat' };
    case 38:
      return { kind: 'xaPrepare', onePhase: body.uint8() !== 0 };
    case 162:
      return decodeGtid(server, body);
    default:
      if (ignoredTypes.has(type) || (flags & IGNORABLE_FLAG) !== 0) return { kind: 'ignored' };
      throw new LogFault('LOG_INCOMPLETE', `the log has an event of the unknown type ${type}, which may hold changes: this release does not understand the log of this server`);
  }
}

function decodeGtid(server: number, body: ByteReader): LogEvent {
  const sequence = body.uint64();
  const domain = body.uint(4);
  const flags = body.uint8();
  return { kind: 'gtid', gtid: { domain, server, sequence }, standalone: (flags & STANDALONE_FLAG) !== 0 };
}

function decodeRows({ change, version, compressed }: RowsForm, body: ByteReader): RowsEvent {
  const tableId = body.uint(6);
  const flags = body.uint(2);
  // Its length includes itself.
  if (version === 2) body.piece(body.uint(2) - 2);
  const columns = body.length();
  const bitmapBytes = (columns + 7) >> 3;
  const before = isFull(body.piece(bitmapBytes), columns);
  const after = change === 'update' ? isFull(body.piece(bitmapBytes), columns) : true;
  const images = body.rest();
  return {
    change,
    tableId,
    endsStatement: (flags & STATEMENT_END_FLAG) !== 0,
    columns,
    isWhole: before && after,
    images: compressed && images.length > 0 ? wholeOf(images) : images,
  };
}

function isFull(bitmap: Buffer, columns: number): boolean {
  for (let i = 0; i < columns; i += 1) if ((((bitmap[i >> 3] ?? 0) >> (i & 7)) & 1) === 0) return false;
  return true;
}

/** What `log_bin_compress` makes smaller: a byte with the length's length, the length with its high byte first, zlib's own form. */
function wholeOf(bytes: Buffer): Buffer {
  const reader = new ByteReader(bytes);
  const head = reader.uint8();
  const length = reader.piece(head & 0x07);
  if ((head & 0xf0) !== 0x80 || length.length === 0 || length.length > 4) throw protocolFault('a compressed event of an unknown form');
  const told = length.readUIntBE(0, length.length);
  const whole = inflated(reader.rest(), { most: told });
  if (whole.length !== told) throw protocolFault('a compressed event has another length than it says');
  return whole;
}

/** Bits of `sql_mode`. */
const [ANSI_QUOTES, NO_BACKSLASH_ESCAPES] = [1n << 2n, 1n << 20n];

function decodeQuery(body: ByteReader, extra: number, compressed: boolean): QueryEvent {
  // Thread and time that it took.
  body.piece(8);
  const databaseBytes = body.uint8();
  body.uint(2);
  const variableBytes = body.uint(2);
  body.piece(extra);
  const { mode, collation } = sessionOf(new ByteReader(body.piece(variableBytes)));
  const database = body.piece(databaseBytes).toString('utf8');
  body.uint8();
  const text = body.rest();
  return {
    database,
    text: compressed ? wholeOf(text) : text,
    collation,
    ansiQuotes: (mode & ANSI_QUOTES) !== 0n,
    noBackslashEscapes: (mode & NO_BACKSLASH_ESCAPES) !== 0n,
  };
}

/** The first of a statement's variables, by their codes in the order that they are written in; what comes behind the character set is of no interest. */
function sessionOf(variables: ByteReader): { readonly mode: bigint; readonly collation: number | null } {
  let mode = 0n;
  while (variables.left > 0) {
    const code = variables.uint8();
    if (code === 0 || code === 3) variables.uint(4);
    else if (code === 1) mode = variables.uint64();
    else if (code === 6) variables.piece(variables.uint8());
    else if (code === 2) variables.piece(variables.uint8() + 1);
    else return { mode, collation: code === 4 ? variables.uint(2) : null };
  }
  return { mode, collation: null };
}

function decodeIncident(body: ByteReader): string {
  const number = body.uint(2);
  const message = body.left === 0 ? '' : body.piece(body.uint8()).toString('utf8');
  return `${number}${message === '' ? '' : `, ${message}`}`;
}

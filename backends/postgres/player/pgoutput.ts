import { SwitchyardError } from '../../../core/switchyard-error.ts';

/*
 * Decoder of what PostgreSQL's logical replication sends: the frames of the replication protocol (XLogData, keepalive) and the messages of the pgoutput plugin, protocol version 1 with
 * texts. Pure; see "Streaming Replication Protocol" and "Logical Replication Message Formats" in PostgreSQL's documentation.
 */

/** A log position as a number; `formatLsn` gives PostgreSQL's own text. */
export type Lsn = bigint;

export type Frame =
  /** `sentAtMicros` is the server's clock in microseconds since 2000-01-01. */
  | { readonly kind: 'data'; readonly walEnd: Lsn; readonly sentAtMicros: bigint; readonly message: Buffer }
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn; readonly replyRequested: boolean };

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
  readonly isKey: boolean;
}

/** Text of a column, null, or `unsent`: an out-of-line value that did not change. */
export type TupleCell = string | null | typeof unsent;
export const unsent: unique symbol = Symbol('unsent');
export type Tuple = readonly TupleCell[];

export type Message =
  | { readonly kind: 'begin'; readonly finalLsn: Lsn; readonly committedAtMicros: bigint /** Its low 32 bits. */; readonly xid: number }
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly committedAtMicros: bigint }
  | {
      readonly kind: 'relation';
      readonly relationId: number;
      readonly schema: string;
      readonly table: string;
      readonly replicaIdentity: string;
      readonly columns: readonly RelationColumn[];
    }
  | { readonly kind: 'insert'; readonly relationId: number; readonly row: Tuple }
  /** `oldKey` holds only the key's columns, the others are null; null when the key did not change. */
  | { readonly kind: 'update'; readonly relationId: number; readonly oldKey: Tuple | null; readonly row: Tuple }
  | { readonly kind: 'delete'; readonly relationId: number; readonly oldKey: Tuple }
  | { readonly kind: 'truncate'; readonly relationIds: readonly number[] }
  /** What somebody has written into the log by pg_logical_emit_message, in a transaction or beside one. */
  | { readonly kind: 'message'; readonly prefix: string; readonly text: string }
  /** Origin and type frames carry nothing that we need. */
  | { readonly kind: 'ignored' };

/** The log is not what the protocol says: STREAM_FAILED, for the same bytes would come again. */
export class ProtocolFault extends SwitchyardError {
  constructor(message: string) {
    super('STREAM_FAILED', `the log is not what the protocol says: ${message}`, { metadata: { problem: 'PROTOCOL' } });
  }
}

export function decodeFrame(bytes: Buffer): Frame {
  const reader = new Reader(bytes);
  const tag = reader.char();
  if (tag === 'w') {
    reader.uint64();
    const walEnd = reader.uint64();
    const sentAtMicros = reader.int64();
    return { kind: 'data', walEnd, sentAtMicros, message: reader.rest() };
  }
  if (tag === 'k') {
    const walEnd = reader.uint64();
    reader.int64();
    return { kind: 'keepalive', walEnd, replyRequested: reader.uint8() === 1 };
  }
  throw new ProtocolFault(`unknown replication frame "${tag}"`);
}

export function decodeMessage(bytes: Buffer): Message {
  const reader = new Reader(bytes);
  const tag = reader.char();
  switch (tag) {
    case 'B':
      return { kind: 'begin', finalLsn: reader.uint64(), committedAtMicros: reader.int64(), xid: reader.uint32() };
    case 'C':
      reader.uint8();
      return { kind: 'commit', commitLsn: reader.uint64(), endLsn: reader.uint64(), committedAtMicros: reader.int64() };
    case 'R':
      return relation(reader);
    case 'I': {
      const relationId = reader.uint32();
      return { kind: 'insert', relationId, row: newTuple(reader, reader.char()) };
    }
    case 'U':
      return update(reader);
    case 'D': {
      const relationId = reader.uint32();
      return { kind: 'delete', relationId, oldKey: oldTuple(reader, reader.char()) };
    }
    case 'T': {
      const count = reader.uint32();
      reader.uint8();
      return { kind: 'truncate', relationIds: Array.from({ length: count }, () => reader.uint32()) };
    }
    case 'M':
      reader.uint8();
      reader.uint64();
      return { kind: 'message', prefix: reader.text(), text: reader.sizedText() };
    case 'O':
    case 'Y':
      return { kind: 'ignored' };
    default:
      throw new ProtocolFault(`unknown pgoutput message "${tag}"`);
  }
}

/** "16/B374D848", as the server writes it. */
export const formatLsn = (lsn: Lsn): string => `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;

export function parseLsn(text: string): Lsn {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? [];
  if (high === undefined || low === undefined) throw new ProtocolFault(`"${text}" is no log position`);
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Tells the server how far everything is written and flushed here. `nowMicros` is since 2000-01-01. */
export function encodeStatus(confirmed: Lsn, nowMicros: bigint, requestReply: boolean): Buffer {
  const bytes = Buffer.alloc(34);
  bytes.write('r', 0, 'latin1');
  bytes.writeBigUInt64BE(confirmed, 1);
  bytes.writeBigUInt64BE(confirmed, 9);
  bytes.writeBigUInt64BE(confirmed, 17);
  bytes.writeBigInt64BE(nowMicros, 25);
  bytes.writeUInt8(requestReply ? 1 : 0, 33);
  return bytes;
}

function relation(reader: Reader): Message {
  const relationId = reader.uint32();
  const schema = reader.text();
  const table = reader.text();
  const replicaIdentity = reader.char();
  const count = reader.uint16();
  const columns = Array.from({ length: count }, () => {
    const isKey = (reader.uint8() & 1) === 1;
    return { isKey, name: reader.text(), typeOid: reader.uint32(), typeModifier: reader.int32() };
  });
  // The server leaves the catalogue's own schema out of the message.
  return { kind: 'relation', relationId, schema: schema === '' ? 'pg_catalog' : schema, table, replicaIdentity, columns };
}

function update(reader: Reader): Message {
  const relationId = reader.uint32();
  const tag = reader.char();
  if (tag === 'N') return { kind: 'update', relationId, oldKey: null, row: newTuple(reader, tag) };
  const oldKey = oldTuple(reader, tag);
  return { kind: 'update', relationId, oldKey, row: newTuple(reader, reader.char()) };
}

function newTuple(reader: Reader, tag: string): Tuple {
  if (tag !== 'N') throw new ProtocolFault(`a new row begins with "${tag}"`);
  return tuple(reader);
}

function oldTuple(reader: Reader, tag: string): Tuple {
  if (tag !== 'K' && tag !== 'O') throw new ProtocolFault(`an old row begins with "${tag}"`);
  return tuple(reader);
}

function tuple(reader: Reader): Tuple {
  const count = reader.uint16();
  return Array.from({ length: count }, (): TupleCell => {
    const tag = reader.char();
    switch (tag) {
      case 'n':
        return null;
      case 'u':
        return unsent;
      case 't':
        return reader.sizedText();
      default:
        throw new ProtocolFault(`unknown kind of column value "${tag}"`);
    }
  });
}

/** Reads in order. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#advance(8));
  }

  uint64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8));
  }

  char(): string {
    return String.fromCharCode(this.uint8());
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end === -1) throw new ProtocolFault('a text has no end');
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  sizedText(): string {
    const length = this.uint32();
    const start = this.#advance(length);
    return this.#bytes.toString('utf8', start, this.#at);
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #advance(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new ProtocolFault('a message is cut off');
    this.#at += count;
    return at;
  }
}

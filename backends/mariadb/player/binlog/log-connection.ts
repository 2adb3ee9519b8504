import type { Socket } from 'node:net';
import type { Connection } from 'mysql2';
import type { Position } from '../../../../core/ids.ts';
import { abortError } from '../../../abort-error.ts';
import { connectClient, dropConnection, type LoginConfig, quoteText, socketOf } from '../../connection.ts';
import { PacketFramer } from './packet-framer.ts';

const COM_BINLOG_DUMP = 0x12;
const [EVENT, END, ERROR] = [0x00, 0xfe, 0xff];
/** What the server says while it has nothing to send. */
const HEARTBEAT_NANOSECONDS = 1_000_000_000;
/**
 * A server that cannot send for so long ends the connection: a target that is slow, or stands still, has its log kept waiting. (It notices by other means that we are gone.)
 */
const PATIENCE_SECONDS = 86_400;
/** "Understands GTIDs": the server sends its own events as they are. */
const CAPABILITY = 4;
/** Two readers with one number would end each other's connection, and so would a reader and a true replica: ours begin where no address of a machine does, of which some make such numbers, and go on with the connection's. */
const FIRST_SERVER_ID = 0xe000_0000;
const SERVER_IDS = 0x1000_0000;

export interface LogConnectionParts {
  readonly config: LoginConfig;
  readonly from: Position;
  /** One event, checksum included. */
  readonly onEvent: (event: Buffer) => void;
  /** The connection has ended, perhaps with the server's own error; perhaps told more than once. */
  readonly onEnd: (error: Error) => void;
}

/**
 * A connection on which the server sends its log from a position on, as it does to a replica. The driver connects and logs in; from then on its socket is ours, for the driver has no way to let a server wait.
 */
export class LogConnection {
  readonly #connection: Connection;
  readonly #socket: Socket;

  private constructor(connection: Connection, parts: LogConnectionParts, serverId: number) {
    this.#connection = connection;
    this.#socket = socketOf(connection) as unknown as Socket;
    this.#socket.removeAllListeners('data');
    const framer = new PacketFramer(1, (packet) => take(packet, parts));
    this.#socket.on('data', (chunk: Buffer) => {
      try {
        framer.push(chunk);
      } catch (error) {
        parts.onEnd(error instanceof Error ? error : new Error(String(error)));
        this.drop();
      }
    });
    this.#socket.write(dumpCommand(serverId));
  }

  /** Rejects as `connectClient` does, or with the server's refusal of the settings. */
  static async open(parts: LogConnectionParts, signal: AbortSignal): Promise<LogConnection> {
    const { connection, connectionId } = await connectClient(parts.config, signal, parts.onEnd);
    const onAbort = (): void => dropConnection(connection);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await told(connection, settingsText(parts.from));
      if (signal.aborted) throw abortError(signal);
      return new LogConnection(connection, parts, FIRST_SERVER_ID + (connectionId % SERVER_IDS));
    } catch (error) {
      dropConnection(connection);
      throw signal.aborted ? abortError(signal) : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Nothing more is read; the server notices when its buffers are full. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  drop(): void {
    dropConnection(this.#connection);
  }
}

function take(packet: Buffer, { onEvent, onEnd }: LogConnectionParts): void {
  const [head] = packet;
  if (head === EVENT) onEvent(packet.subarray(1));
  else if (head === ERROR) onEnd(serverError(packet));
  else if (head === END) onEnd(new Error('the server ended the log'));
  else onEnd(new Error(`the server sent a packet that begins with ${head}`));
}

/** As the driver tells of one: number, SQLSTATE behind a "#", message. */
function serverError(packet: Buffer): Error {
  const message = packet.subarray(9).toString('utf8');
  return Object.assign(new Error(message), { errno: packet.readUInt16LE(1), sqlState: packet.subarray(4, 9).toString('latin1') });
}

function settingsText(from: Position): string {
  const settings: Readonly<Record<string, string>> = {
    '@mariadb_slave_capability': String(CAPABILITY),
    '@master_binlog_checksum': quoteText('CRC32'),
    '@master_heartbeat_period': String(HEARTBEAT_NANOSECONDS),
    '@slave_connect_state': quoteText(from),
    // A server that is not where the position is refuses to begin, instead of beginning elsewhere.
    '@slave_gtid_strict_mode': '1',
    '@slave_gtid_ignore_duplicates': '0',
    'SESSION net_write_timeout': String(PATIENCE_SECONDS),
  };
  const assignments = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  return `SET ${assignments.join(', ')}`;
}

/** Where to begin it has been told already; file and offset are not looked at. */
function dumpCommand(serverId: number): Buffer {
  const command = Buffer.alloc(4 + 11);
  command.writeUIntLE(11, 0, 3);
  command.writeUInt8(COM_BINLOG_DUMP, 4);
  command.writeUInt32LE(4, 5);
  command.writeUInt16LE(0, 9);
  command.writeUInt32LE(serverId, 11);
  return command;
}

const told = (connection: Connection, text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    connection.query(text, (error) => (error === null ? resolve() : reject(error)));
    connection.on('error', reject);
    connection.on('end', () => reject(new Error('the server closed the connection')));
  });

import { type Connection, type ConnectionOptions, createConnection, type RowDataPacket } from 'mysql2';
import type { Clock } from '../../core/clock.ts';
import { type Identity, placeOf, serverShard } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { abortError } from '../abort-error.ts';
import type { StoreOptions } from '../backend.ts';
import { type ConnectTry, untilFirstWord } from '../first-word.ts';
import type { Login } from '../login.ts';
import { connectError, errorNumber } from './errors.ts';

/** A store that has not answered by then counts as unreachable. */
const CONNECT_LIMIT_MS = 4_000;
const KEEP_ALIVE_DELAY_MS = 5_000;
/** Statements that one connection keeps parsed. The server has room for some 16,000 by default, of all its connections together. */
const PREPARED_LIMIT = 128;
const UNKNOWN_VARIABLE = 1193;
/** A connection in the pool may be unused for so long: a year, in seconds. */
export const UNUSED_LIMIT_S = '31536000';
/** Bytes of a text that count in an order. */
export const SORTED_BYTES = 65_536;

/**
 * What every session of ours is told at its start, whatever the server's own defaults are: cells.ts reads exactly what such a session sends, a value that does not fit is an error, and one statement sees one snapshot.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  sql_mode: "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'",
  time_zone: "'+00:00'",
  lc_messages: "'en_US'",
  autocommit: '1',
  tx_isolation: "'READ-COMMITTED'",
  tx_read_only: '0',
  completion_type: "'NO_CHAIN'",
  foreign_key_checks: '1',
  unique_checks: '1',
  check_constraint_checks: '1',
  sql_auto_is_null: '0',
  sql_select_limit: '18446744073709551615',
  sql_safe_updates: '0',
  max_statement_time: '0',
  lock_wait_timeout: '60',
  innodb_lock_wait_timeout: '50',
  // One that stops in the middle of a transaction, or is gone without a word, must not keep its locks. In seconds.
  idle_transaction_timeout: '5',
  wait_timeout: UNUSED_LIMIT_S,
  group_concat_max_len: '16777216',
  // An answer out of the cache would be of no snapshot.
  query_cache_type: '0',
  // Texts are sorted by so many bytes and no more, without a word: see comparison.ts. The buffer has to hold some of them.
  max_sort_length: String(SORTED_BYTES),
  sort_buffer_size: 'GREATEST(@@sort_buffer_size, 2097152)',
  // Long lists are lists: made into a table, the types of their values would be guessed.
  in_predicate_conversion_threshold: '0',
};

/** REPEATABLE READ is what its name says only with this one, which servers have since 10.6.18, 10.11.8 and 11.4.2: without it a write goes by rows that the transaction does not see. */
const SNAPSHOT_ISOLATION = 'innodb_snapshot_isolation';

/** How to connect, and as whom. */
export interface LoginConfig {
  readonly login: Login;
  readonly clock: Clock;
  readonly options: ConnectionOptions;
  /** Session settings by name, each value as SQL. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A connection whose session has its settings. */
export interface Client {
  readonly connection: Connection;
  /** The server's number of it, by which KILL names it. */
  readonly connectionId: number;
  /** Whether the server refuses a write of a row that the transaction's snapshot does not have as it is. */
  readonly isolatesSnapshots: boolean;
  /** From so many bytes on the server takes no command: its max_allowed_packet when the connection began. */
  readonly commandBytes: number;
}

/** Everything that is needed to connect as this identity. `settings` are further session settings, each value as SQL; they beat ours. */
export function clientConfig(options: StoreOptions, identity: Identity, settings: Readonly<Record<string, string>> = {}): LoginConfig {
  const { keyspace, openedBy } = options;
  const shard = serverShard(options.shard);
  return {
    login: { keyspace, openedBy, identity, place: placeOf(shard), user: shard[identity].user, secret: shard[identity].password },
    clock: options.clock,
    options: {
      host: shard.host,
      port: shard.port,
      database: shard.database,
      user: shard[identity].user,
      password: options.password,
      charset: 'UTF8MB4_BIN',
      // affectedRows counts rows that were found (FOUND_ROWS is one of the driver's own). No file of ours is ever sent, and a space stands between a function and its bracket nowhere.
      flags: ['-LOCAL_FILES', '-IGNORE_SPACE', '-ODBC'],
      connectAttributes: { program_name: options.applicationName },
      // Ours is one for the whole way until the session has its settings.
      connectTimeout: 0,
      enableKeepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      maxPreparedStatements: PREPARED_LIMIT,
      // Texts have no places for values, which the driver would look for.
      queryFormat: (text) => text,
      // Every value arrives without loss: see `Value`.
      rowsAsArray: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      jsonStrings: true,
    },
    settings: { ...sessionSettings, ...settings },
  };
}

/**
 * Connects, and tells the session its settings. The connection has an error listener from the first moment, so that its loss never ends the process; `onLost` is told, perhaps more than once. Rejects with an error that names store and
 * login, or with the signal's reason as soon as it aborts; nothing is left open then.
 */
export async function connectClient(config: LoginConfig, signal: AbortSignal, onLost: (error: Error) => void): Promise<Client> {
  return await untilFirstWord(config.clock, CONNECT_LIMIT_MS, (each) => connectOnce(config, each, signal, onLost));
}

async function connectOnce(
  { login, clock, options, settings }: LoginConfig,
  { limitMs, onSilence }: ConnectTry,
  signal: AbortSignal,
  onLost: (error: Error) => void,
): Promise<Client> {
  signal.throwIfAborted();
  const connection = createConnection({ ...options });
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  let silence: Error | null = null;
  onSilence(
    () => socketOf(connection).bytesRead > 0,
    (error) => {
      silence = error;
      lost.reject(error);
    },
  );
  const end = (error: Error): void => {
    lost.reject(error);
    if (silence === null) onLost(error);
  };
  connection.on('error', end);
  // A connection that ends in peace, such as by a stop of the server, tells of no error.
  connection.on('end', () => end(new Error('the server closed the connection')));
  const onAbort = (): void => lost.reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  const stop = clock.after(limitMs, () => lost.reject(new Error(`the server did not answer within ${CONNECT_LIMIT_MS} ms`)));
  try {
    await Promise.race([lost.promise, connected(connection)]);
    await Promise.race([lost.promise, command(connection, settingsText(settings))]);
    const isolatesSnapshots = await Promise.race([lost.promise, turnedOn(connection, SNAPSHOT_ISOLATION)]);
    const commandBytes = await Promise.race([lost.promise, sizeSetting(connection, 'max_allowed_packet')]);
    return { connection, connectionId: connection.threadId ?? 0, isolatesSnapshots, commandBytes };
  } catch (error) {
    dropConnection(connection);
    signal.throwIfAborted();
    throw silence ?? connectError(error, login);
  } finally {
    stop();
    signal.removeEventListener('abort', onAbort);
  }
}

/** Closes the connection's socket at once, whatever it is doing. What it runs fails by `onLost`. */
export function dropConnection(connection: Connection): void {
  socketOf(connection).destroy();
}

/** The part of the driver that its types leave out. */
interface WithSocket {
  readonly stream: { readonly bytesRead: number; destroy(error?: Error): void };
}

export const socketOf = (connection: Connection): WithSocket['stream'] => (connection as unknown as WithSocket).stream;

/** The name as SQL, whatever characters it has. */
export function quoteIdentifier(name: string): string {
  if (name === '' || name.includes('\0')) throw new SwitchyardError('ARGUMENT_INVALID', 'a name must have at least one character and no U+0000');
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A text as SQL, for triggers and other texts that take no parameters. */
export function quoteText(text: string): string {
  if (text.includes('\0') || !text.isWellFormed()) throw new SwitchyardError('ARGUMENT_INVALID', 'a text in a definition must be well-formed and have no U+0000');
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

function settingsText(settings: Readonly<Record<string, string>>): string {
  const assignments = Object.entries(settings).map(([name, value]) => `SESSION ${name} = ${value}`);
  return `SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin, ${assignments.join(', ')}`;
}

/** Whether the server knows the setting, which is on then. */
async function turnedOn(connection: Connection, setting: string): Promise<boolean> {
  try {
    await command(connection, `SET SESSION ${setting} = ON`);
    return true;
  } catch (error) {
    if (errorNumber(error) === UNKNOWN_VARIABLE) return false;
    throw error;
  }
}

/** A setting of the session that is a number. */
const sizeSetting = (connection: Connection, setting: string): Promise<number> =>
  new Promise((resolve, reject) => connection.query<RowDataPacket[][]>(`SELECT @@${setting}`, (error, rows) => (error === null ? resolve(Number(rows[0]?.[0])) : reject(error))));

const connected = (connection: Connection): Promise<void> => new Promise((resolve, reject) => connection.connect((error) => (error === null ? resolve() : reject(error))));

const command = (connection: Connection, text: string): Promise<void> =>
  new Promise((resolve, reject) => connection.query(text, (error) => (error === null ? resolve() : reject(error))));

import type { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../../core/clock.ts';
import { type Identity, placeOf, serverShard } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { StoreOptions } from '../backend.ts';
import { type ConnectTry, untilFirstWord } from '../first-word.ts';
import type { Login } from '../login.ts';
import { connectError } from './errors.ts';

declare module 'pg' {
  // Parts of the driver that its types leave out.
  interface Client {
    readonly processID: number | null;
    readonly secretKey: number | null;
  }
}

/** A store that has not answered by then counts as unreachable. */
const CONNECT_LIMIT_MS = 4_000;
const KEEP_ALIVE_DELAY_MS = 5_000;

/**
 * What every session of ours is told at its start, whatever the server's, the database's or the role's own defaults are: cells.ts reads exactly this form of text, names
 * resolve in this order only, and one statement sees one snapshot.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '3',
  bytea_output: 'hex',
  search_path: 'pg_catalog, public, pg_temp',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  jit: 'off',
  // A statement whose client is gone, for example behind a lock, ends by itself.
  client_connection_check_interval: '2s',
  // One that stops in the middle of a transaction, or is gone without a word, must not keep its locks, nor a log from beginning.
  idle_in_transaction_session_timeout: '5s',
  // One whose machine or network is gone, whatever it was doing, ends within 19 s; the system's own default is over two hours.
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '3',
  tcp_keepalives_count: '3',
};

/**
 * Control's transitions and applies decide about other stores and logs: what they report as done must survive a crash, whatever the server's default is. A gateway's writes keep the durability that the service's owner chose.
 */
const durableSettings: Readonly<Record<string, string>> = { synchronous_commit: 'on' };

const rawText = (value: unknown): unknown => value;

/** Every value arrives as the text that the server sent. */
export const rawTypes: pg.CustomTypesConfig = { getTypeParser: () => rawText };

/** How to connect, and as whom. */
export interface LoginConfig extends pg.ClientConfig {
  readonly login: Login;
  readonly clock: Clock;
}

/** Everything that a `pg` client needs to connect as this identity. `settings` are further session settings, which beat ours. */
export function clientConfig(options: StoreOptions, identity: Identity, settings: Readonly<Record<string, string>> = {}): LoginConfig {
  const { keyspace, openedBy } = options;
  const shard = serverShard(options.shard);
  return {
    login: { keyspace, openedBy, identity, place: placeOf(shard), user: shard[identity].user, secret: shard[identity].password },
    clock: options.clock,
    host: shard.host,
    port: shard.port,
    database: shard.database,
    user: shard[identity].user,
    password: options.password,
    ssl: false,
    application_name: options.applicationName,
    client_encoding: 'UTF8',
    options: startupOptions({ ...sessionSettings, ...(identity === 'gateway' ? {} : durableSettings), ...settings }),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    types: rawTypes,
  };
}

/**
 * Connects. The client has an error listener from the first moment, so that its loss never ends the process; `onLost` is told. Rejects with an error that names store and login, or with the signal's
 * reason as soon as it aborts; nothing is left open then.
 */
export async function connectClient(config: LoginConfig, signal: AbortSignal, onLost: (error: Error) => void): Promise<pg.Client> {
  return await untilFirstWord(config.clock, CONNECT_LIMIT_MS, (each) => connectOnce(config, each, signal, onLost));
}

async function connectOnce(
  { login, clock: _, ...config }: LoginConfig,
  { limitMs, onSilence }: ConnectTry,
  signal: AbortSignal,
  onLost: (error: Error) => void,
): Promise<pg.Client> {
  signal.throwIfAborted();
  const client = new pg.Client({ ...config, connectionTimeoutMillis: limitMs });
  const socket = client.connection.stream as Socket;
  let silence: Error | null = null;
  onSilence(
    () => socket.bytesRead > 0,
    (error) => {
      silence = error;
      socket.destroy(error);
    },
  );
  client.on('error', (error) => {
    if (silence === null) onLost(error);
  });
  const onAbort = (): void => dropClient(client);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await client.connect();
    return client;
  } catch (error) {
    dropClient(client);
    signal.throwIfAborted();
    throw silence ?? connectError(error, login);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Closes the connection's socket at once, whatever it is doing. Its running queries reject. */
export function dropClient(client: pg.Client): void {
  client.connection.stream.destroy();
}

/** The name as SQL, whatever characters it has. */
export function quoteIdentifier(name: string): string {
  if (name === '' || name.includes('\0')) throw new SwitchyardError('ARGUMENT_INVALID', 'a name must have at least one character and no U+0000');
  return `"${name.replaceAll('"', '""')}"`;
}

/** A served table as SQL. Tables live in the schema `public`. */
export const quoteTable = (table: string): string => `public.${quoteIdentifier(table)}`;

function startupOptions(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, '\\$&')}`)
    .join(' ');
}

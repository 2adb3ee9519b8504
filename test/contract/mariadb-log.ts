import { type Connection, createConnection } from 'mysql2/promise';
import type { ChangeFeed, ReplicationStore, StreamSpec } from '../../backends/backend.ts';
import { migrations } from '../../backends/mariadb/owner/store-sql.ts';
import { openReplicationStore } from '../../backends/mariadb/player/replication-store.ts';
import type { ChangeEvent, ChangeTransaction } from '../../core/change.ts';
import type { Position } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type MariaDbServer, quoteMariaDbName } from '../support/servers/mariadb.ts';
import { SHOP_LOGINS } from '../support/servers/shop.ts';
import { storeOptions } from './data-store-harness.ts';
import { never } from './move-stores.ts';

/** One database of a server with a stream's log begun, for what only a log of MariaDB's can do. Goes with the test. */
export class LogBench implements AsyncDisposable {
  readonly database: string;
  readonly stream: StreamSpec;
  readonly player: ReplicationStore;
  schemas: ReadonlyMap<string, TableSchema> = new Map();
  /** Where the log was begun. */
  start = '' as Position;
  readonly #server: MariaDbServer;
  readonly #sessions: Connection[] = [];
  #watermarks = 0;

  private constructor(server: MariaDbServer, database: string, tables: readonly string[]) {
    this.#server = server;
    this.database = database;
    this.stream = { id: `${database}.forward`, workflow: database, tables };
    this.player = openReplicationStore(optionsOf(server, database));
  }

  /** Runs the statements, which make the tables of the stream among others, and begins its log. */
  static async make(server: MariaDbServer, database: string, tables: readonly string[], statements: readonly string[]): Promise<LogBench> {
    const { user, password } = SHOP_LOGINS.player;
    await server.sql(
      '',
      `DROP DATABASE IF EXISTS ${quoteMariaDbName(database)};
CREATE USER IF NOT EXISTS '${user}'@'%' IDENTIFIED BY '${password}'; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO '${user}'@'%';`,
    );
    await server.createDatabase(database);
    await server.sql('', `GRANT SELECT, INSERT, UPDATE, DELETE ON ${quoteMariaDbName(database)}.* TO '${user}'@'%';`);
    const bench = new LogBench(server, database, tables);
    await bench.run([...migrations.flat(), ...statements].join(';\n'));
    await bench.begin();
    return bench;
  }

  /** Begins the log anew, where it is now, with the tables as they are now. */
  async begin(): Promise<void> {
    const [[at] = []] = await this.run('SELECT @@GLOBAL.gtid_binlog_pos');
    this.start = String(at) as Position;
    await this.run(
      `INSERT INTO switchyard_log (stream, workflow, tables, position) VALUES ('${this.stream.id}', '${this.stream.workflow}', '[]', '${at}') ON DUPLICATE KEY UPDATE position = VALUES(position)`,
    );
    const schemas = await Promise.all(this.stream.tables.map(async (table) => [table, await this.player.describe(table, never())] as const));
    this.schemas = new Map(schemas.flatMap(([table, schema]) => (schema === null ? [] : [[table, schema]])));
  }

  schema(table: string): TableSchema {
    const schema = this.schemas.get(table);
    if (schema === undefined) throw new Error(`no table ${table}`);
    return schema;
  }

  /** A session of the superuser's. It is closed with the bench. */
  async session(): Promise<Connection> {
    const { host, port, superuser } = this.#server;
    const session = await createConnection({
      host,
      port,
      ...superuser,
      database: this.database,
      rowsAsArray: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      multipleStatements: true,
    });
    session.on('error', () => {});
    this.#sessions.push(session);
    return session;
  }

  /** Statements, in a session of the superuser's that is theirs alone. */
  async run(text: string, values: (string | number | Buffer | null)[] = []): Promise<readonly (readonly unknown[])[]> {
    const session = await this.session();
    try {
      const [rows] = await session.query(text, values);
      return rows as unknown as readonly (readonly unknown[])[];
    } finally {
      await session.end();
      this.#sessions.splice(this.#sessions.indexOf(session), 1);
    }
  }

  follow(from: Position = this.start, signal: AbortSignal = never()): ChangeFeed {
    return this.player.follow(this.stream, this.schemas, from, signal);
  }

  /** All transactions up to now, without the watermark that tells. */
  async read(from: Position = this.start): Promise<readonly ChangeTransaction[]> {
    this.#watermarks += 1;
    await this.player.writeWatermark(this.stream, this.#watermarks, never());
    const seen: ChangeTransaction[] = [];
    await using feed = this.follow(from);
    for await (const group of feed) {
      for (const transaction of group) {
        if (transaction.events.some((event) => event.kind === 'watermark' && event.id === this.#watermarks)) return seen;
        if (transaction.events.some((event) => event.kind !== 'watermark')) seen.push(transaction);
      }
    }
    return seen;
  }

  /** The error that a reader ends with which was there before `act`, and what it got before that. */
  async failure(
    act: () => Promise<unknown> = async () => {},
    from: Position = this.start,
  ): Promise<{ readonly error: SwitchyardError; readonly seen: readonly ChangeTransaction[] }> {
    const seen: ChangeTransaction[] = [];
    let acting: Promise<unknown> | null = null;
    try {
      await using feed = this.follow(from);
      for await (const group of feed) {
        seen.push(...group);
        acting ??= act();
      }
    } catch (error) {
      await acting;
      if (error instanceof SwitchyardError) return { error, seen };
      throw error;
    }
    throw new Error('the log ended in peace');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await this.player[Symbol.asyncDispose]();
  }
}

export function optionsOf(server: MariaDbServer, database: string) {
  const by = (identity: keyof typeof SHOP_LOGINS) => ({ user: SHOP_LOGINS[identity].user, password: 'env:UNUSED' });
  return storeOptions({
    shard: { kind: 'mariadb', host: server.host, port: server.port, database, gateway: by('gateway'), player: by('player'), owner: by('owner') },
    password: SHOP_LOGINS.player.password,
    poolSize: 3,
  });
}

/** Short texts of events: "+1" for a row with the key 1, "~1" and "-1" for its change and its end, "2→3" for another key, "0 t" for a truncated table. */
export const texts = (transactions: readonly ChangeTransaction[]): readonly string[] => transactions.map(({ events }) => events.map(eventText).join(' '));

function eventText(event: ChangeEvent): string {
  switch (event.kind) {
    case 'insert':
      return `+${event.row[0]}`;
    case 'update':
      return event.oldKey === null ? `~${String(event.row[0])}` : `${event.oldKey.map(String).join()}→${String(event.row[0])}`;
    case 'delete':
      return `-${event.key.map(String).join()}`;
    case 'truncate':
      return `0 ${event.tables.join()}`;
    default:
      return event.kind;
  }
}

import type { MariaDbServer } from '../servers/mariadb.ts';
import { SHOP_LOGINS } from '../servers/shop.ts';
import { mariadbShard } from './process-config.ts';
import type { ClusterStore } from './store.ts';

const limitMs = 120_000;
const accountsPerScale = 100_000;
const tellersPerScale = 10;

/** pgbench's tables with what `createShop` gives them in PostgreSQL: a key of history and the id that only a client knows. */
const tables = `
CREATE TABLE pgbench_branches (bid int NOT NULL PRIMARY KEY, bbalance int, filler varchar(88));
CREATE TABLE pgbench_tellers (tid int NOT NULL PRIMARY KEY, bid int, tbalance int, filler varchar(84));
CREATE TABLE pgbench_accounts (aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler varchar(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime datetime(6), filler varchar(22), hid bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, op_id uuid);
`;

/** MariaDB's own engine of numbers without a table. */
const rowsFor = (scale: number): string => `
INSERT INTO pgbench_branches SELECT seq, 0, NULL FROM seq_1_to_${scale};
INSERT INTO pgbench_tellers SELECT seq, (seq - 1) DIV ${tellersPerScale} + 1, 0, NULL FROM seq_1_to_${scale * tellersPerScale};
INSERT INTO pgbench_accounts SELECT seq, (seq - 1) DIV ${accountsPerScale} + 1, 0, REPEAT(' ', 84) FROM seq_1_to_${scale * accountsPerScale};
`;

/** A database of a MariaDB server, through the real client as the superuser. */
export class MariaDbStore implements ClusterStore {
  readonly kind = 'mariadb';
  readonly title = 'MariaDB';
  readonly fenceTable = 'switchyard_fence';
  readonly server: MariaDbServer;
  readonly database: string;

  private constructor(server: MariaDbServer, database: string) {
    this.server = server;
    this.database = database;
  }

  /** An empty database, or one with pgbench's tables, and the three logins. */
  static async create(server: MariaDbServer, database: string, scale: number | null): Promise<MariaDbStore> {
    await server.sql(
      '',
      Object.values(SHOP_LOGINS)
        .map(({ user, password }) => `CREATE USER ${user} IDENTIFIED BY '${password}';`)
        .join('\n'),
    );
    await server.createDatabase(database);
    if (scale !== null) await server.sql(database, `${tables}${rowsFor(scale)}`, { timeoutMs: limitMs });
    return new MariaDbStore(server, database);
  }

  get shard(): ClusterStore['shard'] {
    return mariadbShard(this.server, this.database);
  }

  async rows(query: string): Promise<readonly (readonly (string | null)[])[]> {
    const answer = await this.server.sql(this.database, query, { timeoutMs: limitMs });
    return answer
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t').map(textOf));
  }

  async grant(script: string): Promise<void> {
    await this.server.sql(this.database, script);
  }
}

/** A time without the zeros at its end, as other stores print it. The texts here have nothing to escape, and none of them is "NULL". */
function textOf(printed: string): string | null {
  if (printed === 'NULL') return null;
  return /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+$/.test(printed) ? printed.replace(/\.?0+$/, '') : printed;
}

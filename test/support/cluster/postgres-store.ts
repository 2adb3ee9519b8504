import type { PostgresServer } from '../servers/postgres.ts';
import { postgresShard } from './process-config.ts';
import type { ClusterStore } from './store.ts';

const limitMs = 120_000;

/** A database of a PostgreSQL server, through the real psql as the superuser. */
export class PostgresStore implements ClusterStore {
  readonly kind = 'postgres';
  readonly title = 'PostgreSQL';
  readonly fenceTable = 'switchyard.fence';
  readonly server: PostgresServer;
  readonly database: string;

  constructor(server: PostgresServer, database: string) {
    this.server = server;
    this.database = database;
  }

  get shard(): ClusterStore['shard'] {
    return postgresShard(this.server, this.database);
  }

  async rows(query: string): Promise<readonly (readonly (string | null)[])[]> {
    // COPY tells NULL from an empty text, and its texts here have nothing to escape.
    const answer = await this.server.psql(this.database, `COPY (${query}) TO STDOUT;`, { timeoutMs: limitMs });
    return answer
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t').map((value) => (value === '\\N' ? null : value)));
  }

  async grant(script: string): Promise<void> {
    await this.server.psql(this.database, script);
  }
}

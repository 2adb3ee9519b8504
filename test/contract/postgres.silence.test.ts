import pg from 'pg';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import { INSTALL_LOCK } from '../../backends/postgres/owner/install.ts';
import { startPostgres } from '../support/servers/postgres.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { silenceContract } from './silence.ts';

silenceContract('PostgreSQL', async () => {
  const server = await startPostgres({ name: 'silence' });
  await server.psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;');
  const credential = { user: server.superuser.user, password: 'env:NONE' };
  return {
    backend: postgresBackend,
    host: server.host,
    port: server.port,
    password: server.superuser.password,
    shard: (port) => ({ kind: 'postgres', host: '127.0.0.1', port, database: 'postgres', gateway: credential, player: credential, owner: credential }),
    lockTable: async () => {
      const holder = new pg.Client({ connectionString: server.url('postgres') });
      await holder.connect();
      await holder.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
      return { [Symbol.asyncDispose]: () => holder.end() };
    },
    holdInstallation: async () => {
      const holder = new pg.Client({ connectionString: server.url('postgres') });
      await holder.connect();
      await holder.query(`SELECT pg_advisory_lock(${INSTALL_LOCK})`);
      const waiting = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`;
      return {
        untilWaitedFor: () => waitUntil('somebody who waits', { limitMs: 10_000 }, async () => ((await holder.query(waiting)).rowCount === 0 ? undefined : true)).then(() => {}),
        [Symbol.asyncDispose]: () => holder.end(),
      };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

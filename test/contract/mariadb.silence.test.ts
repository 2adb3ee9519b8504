import { createConnection } from 'mysql2/promise';
import { mariadbBackend } from '../../backends/mariadb/backend.ts';
import { startMariaDb } from '../support/servers/mariadb.ts';
import { silenceContract } from './silence.ts';

silenceContract('MariaDB', async () => {
  const server = await startMariaDb({ name: 'silence' });
  await server.createDatabase('shop');
  await server.sql('shop', 'CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT seq, 0 FROM seq_1_to_100;');
  const credential = { user: server.superuser.user, password: 'env:NONE' };
  return {
    backend: mariadbBackend,
    host: server.host,
    port: server.port,
    password: server.superuser.password,
    shard: (port) => ({ kind: 'mariadb', host: '127.0.0.1', port, database: 'shop', gateway: credential, player: credential, owner: credential }),
    lockTable: async () => {
      const holder = await createConnection({ host: server.host, port: server.port, ...server.superuser, database: 'shop' });
      await holder.query('LOCK TABLES t WRITE');
      return { [Symbol.asyncDispose]: () => holder.end() };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { mariadbBackend } from '../../backends/mariadb/backend.ts';
import { installLock } from '../../backends/mariadb/owner/install.ts';
import { startMariaDb } from '../support/servers/mariadb.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { silenceContract } from './silence.ts';

silenceContract('MariaDB', async () => {
  const server = await startMariaDb({ name: 'silence' });
  await server.createDatabase('shop');
  await server.sql('shop', 'SET GLOBAL log_bin_trust_function_creators = ON; CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT seq, 0 FROM seq_1_to_100;');
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
    holdInstallation: async () => {
      const holder = await createConnection({ host: server.host, port: server.port, ...server.superuser, database: 'shop' });
      await holder.query('DO GET_LOCK(?, 0)', [installLock('shop')]);
      const waiting = `SELECT 1 FROM information_schema.processlist WHERE state = 'User lock'`;
      return {
        untilWaitedFor: () =>
          waitUntil('somebody who waits', { limitMs: 10_000 }, async () => ((await holder.query<RowDataPacket[]>(waiting))[0].length === 0 ? undefined : true)).then(() => {}),
        [Symbol.asyncDispose]: () => holder.end(),
      };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Connection } from '../connection.ts';
import { migrations, STORE_VERSION } from './store-sql.ts';

/** Creates or updates Switchyard's own tables. Inside a transaction with the write lock; nothing happens when this version is there. PRECHECK_FAILED: a newer version is installed. */
export function install(connection: Connection): void {
  connection.script('CREATE TABLE IF NOT EXISTS switchyard_installation (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)');
  const [row] = connection.all('SELECT version FROM switchyard_installation');
  const present = Number(row?.[0] ?? 0);
  if (present > STORE_VERSION) {
    throw new SwitchyardError('PRECHECK_FAILED', `the file's Switchyard tables have version ${present}, newer than this program's ${STORE_VERSION}: run the newer release`);
  }
  if (present === STORE_VERSION) return;
  for (const step of migrations.slice(present)) connection.script(step);
  connection.run('INSERT INTO switchyard_installation (id, version) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version', [STORE_VERSION]);
}

import pg from 'pg';
import type { StoreOptions, StreamSpec } from '../../../backends/backend.ts';
import { Connection } from '../../../backends/sqlite/connection.ts';
import { INSTALL_LOCK } from '../../../backends/postgres/owner/install.ts';
import type { Attempt } from '../../../core/ids.ts';
import { fileShard, serverShard } from '../../../core/keyspace.ts';
import type { Safeguard } from '../cutover/cutover-config.ts';

/** A change of one of the store's functions: each piece of its text must be there exactly once. */
interface Surgery {
  readonly functionName: string;
  readonly cuts: readonly { readonly remove: RegExp; readonly insert: string }[];
}

/** What is taken out of the store for each safeguard. */
const surgeries: Readonly<Record<Exclude<Safeguard, 'request-id' | 'tombstone'>, Surgery>> = {
  // The row is changed and the marker is written, but no lock drains the writers and no trigger refuses them.
  fence: {
    functionName: 'fence_tables',
    cuts: [
      { remove: /EXECUTE format\('LOCK TABLE [^;]*;/, insert: 'NULL;' },
      { remove: /EXECUTE format\('ALTER TABLE [^;]*;/, insert: 'NULL;' },
    ],
  },
  // The row says CLOSED, and the gateways keep the right to read.
  'read-fence': { functionName: 'close_fence', cuts: [{ remove: /PERFORM switchyard\.revoke_rights\([^;]*;/, insert: 'NULL;' }] },
  // Neither the token nor the tables' state is looked at.
  token: {
    functionName: 'advance',
    cuts: [
      { remove: / AND s\.token = in_token/, insert: '' },
      { remove: /state = 'CLOSED' AND f\.workflow = in_workflow/, insert: 'workflow = in_workflow' },
    ],
  },
  // The target is made readable whether it has the end of the history or not.
  marker: { functionName: 'ready_fence', cuts: [{ remove: /IF found_marker IS DISTINCT FROM in_attempt THEN RETURN false; END IF;/, insert: '' }] },
};

/** Every record of a request is thrown away before it is written. */
export const dropRecords = `
  CREATE OR REPLACE FUNCTION switchyard.drop_record() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE OR REPLACE TRIGGER drop_record BEFORE INSERT ON switchyard.request FOR EACH ROW EXECUTE FUNCTION switchyard.drop_record();`;

/** Rebuilds a PostgreSQL store's function without the safeguard, with the owner's rights. Throws when the function is not as expected: a test build that is not broken must not pass for one. */
export async function breakStore(options: StoreOptions, safeguard: Safeguard): Promise<void> {
  const { host, port, database, owner } = serverShard(options.shard);
  const client = new pg.Client({ host, port, database, user: owner.user, password: options.password });
  await client.connect();
  try {
    // Every control process breaks the store, while another one may be installing it.
    await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${INSTALL_LOCK})`);
    if (safeguard === 'request-id') {
      await client.query(`${dropRecords}; COMMIT`);
      return;
    }
    if (safeguard === 'tombstone') return; // whole until the move ends
    const { functionName, cuts } = surgeries[safeguard];
    const name = `switchyard.${functionName}`;
    const { rows } = await client.query<{ text: string }>('SELECT pg_get_functiondef($1::regproc) AS text', [name]);
    let text = rows[0]?.text ?? '';
    for (const { remove, insert } of cuts) {
      // Installed again, the function may be broken already.
      const before = text;
      text = text.replace(remove, insert);
      if (text === before && !text.includes(`/* ${safeguard} */`)) throw new Error(`${name} has nothing like ${remove}`);
    }
    if (!text.includes(`/* ${safeguard} */`)) text = text.replace(/^BEGIN/m, `/* ${safeguard} */\nBEGIN`);
    await client.query(text);
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}

/** Takes down what a finished move has left in the store that it went away from: these tables are open there again, for readers and writers. */
export async function openTombstone(options: StoreOptions, tables: readonly string[]): Promise<void> {
  const { host, port, database, owner, gateway } = serverShard(options.shard);
  const client = new pg.Client({ host, port, database, user: owner.user, password: options.password });
  await client.connect();
  try {
    const { rows } = await client.query<{ table_name: string }>(
      `UPDATE switchyard.fence SET state = 'OPEN' WHERE state = 'CLOSED' AND table_name = ANY ($1) RETURNING table_name`,
      [tables],
    );
    for (const { table_name: table } of rows) {
      const name = client.escapeIdentifier(table);
      await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${name} TO ${client.escapeIdentifier(gateway.user)}; ALTER TABLE ${name} DISABLE TRIGGER USER`);
    }
  } finally {
    await client.end();
  }
}

/** Lets an SQLite store's `ready` find the marker that it asks for, whether the end of the history is there or not. */
export function pretendMarker({ shard }: StoreOptions, stream: StreamSpec, attempt: Attempt): void {
  using connection = Connection.open({ path: fileShard(shard).path });
  connection.run('UPDATE switchyard_stream SET marker = ? WHERE id = ?', [BigInt(attempt), stream.id]);
}

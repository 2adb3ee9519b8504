import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';

/** Rows with a large value that is stored out of line, so that the log leaves it out of updates that do not change it. */
export const docsTable = 'docs';

const definition = `CREATE TABLE docs (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, title text UNIQUE, body text);
ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
INSERT INTO docs SELECT i, 0, 'title ' || i, repeat(md5(i::text), 90) FROM generate_series(1, 15000) i;
CREATE FUNCTION docs_step(range int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a int := 1 + random() * range;
  b int := 1 + random() * range;
  what float8 := random();
BEGIN
  IF what < 0.45 THEN UPDATE docs SET n = n + 1 WHERE id = a;
  ELSIF what < 0.75 THEN UPDATE docs SET id = b WHERE id = a; -- far, mostly across what is copied and what is not
  ELSIF what < 0.85 THEN DELETE FROM docs WHERE id = a;
  ELSIF what < 0.95 THEN INSERT INTO docs VALUES (a, 0, 'title ' || a || ' ' || b, repeat(md5(b::text), 90));
  ELSE UPDATE docs SET body = repeat(md5(b::text), 90 + b % 7) WHERE id = a;
  END IF;
EXCEPTION WHEN unique_violation THEN NULL;
END $$;`;

/** Makes and fills the table in the keyspace "old" and gives the identities their rights. */
export async function createDocs(cluster: Cluster): Promise<void> {
  await cluster.old.psql(cluster.database, definition, { login: cluster.logins.owner });
  await cluster.grant();
}

/** Sessions of pgbench that change rows at random for so long: cells, keys, whole rows, large values. */
export async function changeDocs(cluster: Cluster, seconds: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-docs-'));
  try {
    const script = join(directory, 'step.sql');
    await writeFile(script, 'SELECT docs_step(20000);\n');
    await cluster.old.pgbench(cluster.database, ['-n', '-c', '2', '-T', String(seconds), '-R', '600', '-f', script], { login: cluster.logins.owner });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

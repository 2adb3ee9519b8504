import type { Cluster } from '../cluster/cluster.ts';

/** Rows with a large value that is stored out of line, so that the log leaves it out of updates that do not change it. */
export const docsTable = 'docs';

const definition = `CREATE TABLE docs (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, title text UNIQUE, body text);
ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
INSERT INTO docs SELECT i, 0, 'title ' || i, repeat(md5(i::text), 90) FROM generate_series(1, 4000) i;
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

/** Two sessions that change rows at random: cells, keys, whole rows, large values, until the signal aborts. Resolves to the number of changes. */
export async function changeDocs(cluster: Cluster, signal: AbortSignal): Promise<number> {
  const login = cluster.logins.owner;
  const session = async (): Promise<number> => {
    let steps = 0;
    for (; !signal.aborted; steps += 20) await cluster.old.psql(cluster.database, 'SELECT docs_step(6000);\n'.repeat(20), { login });
    return steps;
  };
  const [one, two] = await Promise.all([session(), session()]);
  return one + two;
}

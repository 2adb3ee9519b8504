/** The table of every type that the bench compares beside pgbench's accounts, as its owner makes it. */
export const tableText = `
CREATE TYPE mood AS ENUM ('calm', 'so so');
CREATE TABLE verified (
  id bigint PRIMARY KEY, flag boolean, n16 smallint, n32 integer, n64 bigint, price numeric(18,4), loose numeric, part real, whole double precision, label text, note text, raw bytea, ref uuid, due date,
  at_time time, plain timestamp, seen timestamptz, doc json, mood mood, tags text[]
);`;

/** Fills it with this many rows. */
export const fillText = (rows: number): string => `
INSERT INTO verified SELECT i, i % 2 = 0, i % 30000, i, 9007199254740993 + i, i / 7.0, i, 0.1, CASE WHEN i % 3 = 0 THEN 0 ELSE i / 3.0 END, 'caf' || chr(233) || ' ' || i, NULL, decode(md5(i::text), 'hex'), md5(i::text)::uuid,
  date '2026-01-01' + (i % 300)::integer, time '00:00:00.000001' + (i % 80000) * interval '1 second', timestamp '2026-01-01 00:00:00.123456' + i * interval '1 second', timestamptz '2026-01-01 00:00:00.123456Z' + i * interval '1 second',
  json_build_object('n', i), 'calm', ARRAY['a', NULL, i::text] FROM generate_series(1, ${rows}) AS i;
ANALYZE verified;`;

interface FaultKind {
  readonly name: string;
  /** What makes a row of the target differ; `id`: a multiple of 3, so that `whole` is 0. */
  readonly plant: (id: number) => string;
}

const set =
  (column: string, value: string) =>
  (id: number): string =>
    `UPDATE verified SET ${column} = ${value} WHERE id = ${id};`;

/** Each is something that a copy between two stores could lose or that a careless comparison could miss. */
export const faultKinds: readonly FaultKind[] = [
  { name: 'one microsecond', plant: set('seen', "seen + interval '1 microsecond'") },
  { name: 'a trailing space', plant: set('label', "label || ' '") },
  { name: 'minus zero', plant: set('whole', "'-0'") },
  { name: 'a big integer', plant: set('n64', 'n64 + 1') },
  { name: 'a missing row', plant: (id) => `DELETE FROM verified WHERE id = ${id};` },
  { name: 'an extra row', plant: (id) => `INSERT INTO verified (id) VALUES (${id} + 1000000000);` },
  { name: 'a collation twin', plant: set('label', 'normalize(label, NFD)') },
  { name: 'upper case', plant: set('label', 'upper(label)') },
  { name: 'an empty text for NULL', plant: set('note', "''") },
  { name: 'the last digit of a decimal', plant: set('price', 'price + 0.0001') },
  { name: 'a decimal of another scale', plant: set('loose', "(loose::text || '.0')::numeric") },
  { name: 'one bit', plant: set('raw', 'set_byte(raw, 15, get_byte(raw, 15) # 1)') },
  { name: 'a number in a JSON text', plant: set('doc', `'{"n" : 1e400}'`) },
  { name: 'an element of an array', plant: set('tags', "ARRAY['a', '', id::text]") },
  { name: 'a label of an enum', plant: set('mood', "'so so'") },
];

/** So many faults of all kinds in turn, each in a row of its own behind `firstId`. */
export function plantText(count: number, firstId: number): string {
  const from = Math.ceil(firstId / 3) * 3;
  const statements = Array.from({ length: count }, (_, i) => faultKinds[i % faultKinds.length]?.plant(from + 3 * i) ?? '');
  // As no trigger sees it: neither the fence nor anybody's log.
  return `SET session_replication_role = replica;\n${statements.join('\n')}`;
}

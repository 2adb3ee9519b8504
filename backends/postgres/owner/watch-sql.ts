import { CHANGE_TRIGGER } from '../watched.ts';

/* What writes down the changes of watched tables. */

const TRUNCATE_TRIGGER = 'switchyard_watch_truncate';

/** Tables of the schema; a step of its migrations. */
export const eventTables = `
CREATE TABLE switchyard.watched (table_name text COLLATE "C" PRIMARY KEY, gone_attempt bigint NOT NULL DEFAULT -1, gone_number bigint NOT NULL DEFAULT 0);
CREATE TABLE switchyard.event (
  number bigint GENERATED ALWAYS AS IDENTITY,
  table_name text COLLATE "C" NOT NULL,
  attempt bigint NOT NULL,
  kind "char" NOT NULL,
  column_names text[],
  before_row text,
  after_row text,
  changed_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  PRIMARY KEY (table_name, attempt, number)
);
CREATE INDEX event_changed_at ON switchyard.event (changed_at);`;

/**
 * The function behind the triggers. Its first argument is the table's name: a partition's trigger has another one. A number is taken while the row is locked. A row is written as the text of a record, which alone tells SQL's NULL from JSON's, with the columns that it had then; times are written in one zone and one style, whatever the writer's session
 * has.
 */
export const recordChange = `
CREATE OR REPLACE FUNCTION switchyard.record_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' SET bytea_output = 'hex' SET extra_float_digits = '1' AS $function$
DECLARE
  found_attempt bigint;
BEGIN
  -- The newest row: a transaction whose snapshot is older than an attempt fails with 40001, instead of writing down a change before others that came before it.
  SELECT f.attempt INTO found_attempt FROM switchyard.fence f WHERE f.table_name = TG_ARGV[0] FOR KEY SHARE;
  INSERT INTO switchyard.event (table_name, attempt, kind, column_names, before_row, after_row) VALUES (
    TG_ARGV[0], coalesce(found_attempt, 0), left(TG_OP, 1)::"char",
    CASE WHEN TG_LEVEL = 'ROW' THEN ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) END,
    CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN OLD::text END, CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN NEW::text END);
  RETURN NULL;
END $function$;`;

/** Statements that put the triggers on a table, or take them away. `table`: quoted; `name` and `player`: as SQL literals. The player's changes are events of the store that they come from. */
export const watchStatements = (table: string, name: string, player: string, on: boolean): readonly string[] =>
  on
    ? [
        `CREATE OR REPLACE TRIGGER ${CHANGE_TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW WHEN (session_user <> ${player}) EXECUTE FUNCTION switchyard.record_change(${name})`,
        `CREATE OR REPLACE TRIGGER ${TRUNCATE_TRIGGER} AFTER TRUNCATE ON ${table} FOR EACH STATEMENT WHEN (session_user <> ${player}) EXECUTE FUNCTION switchyard.record_change(${name})`,
        `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${CHANGE_TRIGGER}, ENABLE ALWAYS TRIGGER ${TRUNCATE_TRIGGER}`,
      ]
    : [`DROP TRIGGER IF EXISTS ${CHANGE_TRIGGER} ON ${table}`, `DROP TRIGGER IF EXISTS ${TRUNCATE_TRIGGER} ON ${table}`];

/** Removes events, and remembers of each table the last one that is gone. */
export const expireEventsText = `
  WITH gone AS (
    DELETE FROM switchyard.event e USING (
      SELECT table_name, attempt, number FROM switchyard.event WHERE changed_at < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $1::bigint * 1000 ORDER BY changed_at LIMIT $2::integer) AS old
    WHERE e.table_name = old.table_name AND e.attempt = old.attempt AND e.number = old.number
    RETURNING e.table_name, e.attempt, e.number),
  last AS (SELECT DISTINCT ON (table_name) table_name, attempt, number FROM gone ORDER BY table_name, attempt DESC, number DESC),
  remembered AS (
    INSERT INTO switchyard.watched AS w (table_name, gone_attempt, gone_number) SELECT * FROM last
    ON CONFLICT (table_name) DO UPDATE SET gone_attempt = excluded.gone_attempt, gone_number = excluded.gone_number
    WHERE (excluded.gone_attempt, excluded.gone_number) > (w.gone_attempt, w.gone_number))
  SELECT count(*) FROM gone`;

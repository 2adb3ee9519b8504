/*
 * What a partitioned table needs of the store beside what every table has. Its log says what happens to the rows of each partition, and says nothing of a partition that comes or goes: so the partitions are written down when
 * a log begins, and compared with what there is while it is read and once more under the fence's lock.
 */

import { FENCED_STATE } from '../errors.ts';
import { TRUNCATE_MESSAGE } from '../log-names.ts';
import { PARTITIONS_CHANGED_STATE } from '../store-client.ts';
import { readState, TRUNCATE_TRIGGER } from './fence-sql.ts';
import { relationName } from '../members.ts';

/** Table of the schema; a step of its migrations. `joined`: which transaction made it a partition; one that was detached and attached again has another. */
export const partitionTable = `
CREATE TABLE switchyard.partition (table_name text NOT NULL, partition oid NOT NULL, name text NOT NULL, joined text NOT NULL, PRIMARY KEY (table_name, partition));`;

/** The partitions of a table now. */
const partitionsOf = `
CREATE OR REPLACE FUNCTION switchyard.partitions_of(in_table text) RETURNS TABLE (partition oid, name text, joined text, is_leaf boolean) LANGUAGE sql STABLE AS $function$
  SELECT c.oid, ${relationName('c')}, h.xmin::text, t.isleaf
  FROM pg_partition_tree(to_regclass(format('public.%I', in_table))) t JOIN pg_inherits h ON h.inhrelid = t.relid JOIN pg_class c ON c.oid = t.relid WHERE t.level > 0
$function$;`;

/**
 * Whether a partition came into being as one, by CREATE TABLE … PARTITION OF, and so did those above it: nobody can have written a row before it was one. ATTACH counts up in the catalogue's row of every column that the column is inherited;
 * so one that says it and is as old as the table's system columns, whose rows nothing changes, was born so.
 */
const bornPartition = `
CREATE OR REPLACE FUNCTION switchyard.is_born_partition(in_partition oid) RETURNS boolean LANGUAGE sql STABLE AS $function$
  SELECT NOT EXISTS (
    SELECT FROM pg_partition_ancestors(in_partition) up JOIN pg_inherits u ON u.inhrelid = up.relid WHERE NOT EXISTS (
      SELECT FROM pg_attribute a JOIN pg_attribute s ON s.attrelid = a.attrelid AND s.attnum = -6
      WHERE a.attrelid = up.relid AND a.attnum > 0 AND a.attinhcount > 0 AND a.xmin::text = s.xmin::text AND a.cmin::text = s.cmin::text))
$function$;`;

/**
 * Compares the partitions with those that are written down, writes down new ones in which there can be no row that is in no log, and returns all. Waits 50 ms for a lock at most. Fails with a state of its own where rows have come or gone
 * beside the log.
 */
const knowPartitions = `
CREATE OR REPLACE FUNCTION switchyard.know_partitions(in_tables text[]) RETURNS TABLE (partition oid, table_name text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $function$
#variable_conflict use_column
DECLARE
  each_one record;
  holds_rows boolean;
BEGIN
  -- One that was detached and attached again has gone and is new.
  FOR each_one IN
    SELECT coalesce(k.table_name, p.of_table) AS of_table, coalesce(k.name, p.name) AS name, p.partition, p.joined, p.is_leaf
    FROM (SELECT * FROM switchyard.partition k WHERE k.table_name = ANY (in_tables)) k
    FULL JOIN (SELECT t AS of_table, p.* FROM unnest(in_tables) t, switchyard.partitions_of(t) p) p ON p.of_table = k.table_name AND p.partition = k.partition AND p.joined = k.joined
    WHERE k.partition IS NULL OR p.partition IS NULL ORDER BY p.partition NULLS FIRST, k.name
  LOOP
    IF each_one.partition IS NULL THEN
      RAISE EXCEPTION 'partition % of table "%" was detached or dropped while a workflow moves the table, and no log says so. Its rows may be in the target still: cancel the workflow and create it anew', each_one.name, each_one.of_table
      USING ERRCODE = '${PARTITIONS_CHANGED_STATE}', TABLE = each_one.of_table;
    END IF;
    IF each_one.is_leaf AND NOT switchyard.is_born_partition(each_one.partition) THEN
      EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', each_one.name);
      EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each_one.name) INTO holds_rows;
      IF holds_rows THEN
        RAISE EXCEPTION 'partition % was attached to table "%" while a workflow moves the table, and holds rows that may be in no log. Cancel the workflow and create it anew, and make partitions by CREATE TABLE … PARTITION OF until it has ended',
          each_one.name, each_one.of_table USING ERRCODE = '${PARTITIONS_CHANGED_STATE}', TABLE = each_one.of_table;
      END IF;
    END IF;
    INSERT INTO switchyard.partition VALUES (each_one.of_table, each_one.partition, each_one.name, each_one.joined) ON CONFLICT DO NOTHING;
  END LOOP;
  FOR each_one IN
    SELECT k.table_name AS of_table, k.name FROM switchyard.partition k WHERE k.table_name = ANY (in_tables)
      AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = k.partition AND g.tgname = '${TRUNCATE_TRIGGER}')
  LOOP
    BEGIN
      PERFORM switchyard.put_truncate_trigger(each_one.of_table, each_one.name);
    EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
      NULL; -- the next look tries again; until then a TRUNCATE of the partition ends the stream instead of being refused
    END;
  END LOOP;
  RETURN QUERY SELECT k.partition, k.table_name FROM switchyard.partition k WHERE k.table_name = ANY (in_tables);
END $function$;`;

/** On from the beginning, and always: only writes may go without a check. `in_member`: the table's own name as SQL, or a partition's. */
const putTruncateTrigger = `
CREATE OR REPLACE FUNCTION switchyard.put_truncate_trigger(in_table text, in_member text) RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER ${TRUNCATE_TRIGGER} BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION switchyard.check_truncate(%L)', in_member, in_table);
  EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER ${TRUNCATE_TRIGGER}', in_member);
END $function$;`;

/**
 * Of a partitioned table and of each of its partitions, whose argument is the table's name. The log has a TRUNCATE as one of partitions: that the whole table goes is said beside it. A TRUNCATE of one partition has no like in a table that is
 * partitioned in another way, or not at all.
 */
const checkTruncate = (player: string): string => `
CREATE OR REPLACE FUNCTION switchyard.check_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  whole regclass := format('public.%I', TG_ARGV[0]);
  found_state text;
  found_workflow text;
BEGIN
  IF session_user = ${player} THEN RETURN NULL; END IF;
${readState('TG_ARGV[0]')}
  IF found_state IS DISTINCT FROM 'OPEN' THEN
    RAISE EXCEPTION 'table "%" is fenced: %', TG_ARGV[0], coalesce(found_state, 'no fence row') USING ERRCODE = '${FENCED_STATE}', TABLE = TG_ARGV[0];
  END IF;
  SELECT f.workflow INTO found_workflow FROM switchyard.fence f WHERE f.table_name = TG_ARGV[0];
  IF found_workflow IS NULL THEN RETURN NULL; END IF;
  IF TG_RELID = whole THEN
    PERFORM pg_logical_emit_message(true, '${TRUNCATE_MESSAGE}', TG_ARGV[0]);
  ELSIF NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = whole AND l.mode = 'AccessExclusiveLock' AND l.granted) THEN
    RAISE EXCEPTION 'partition % of table "%" cannot be truncated alone while workflow "%" moves the table', TG_RELID::regclass, TG_ARGV[0], found_workflow
    USING ERRCODE = 'object_not_in_prerequisite_state', TABLE = TG_ARGV[0], HINT = format('DELETE FROM %s, or TRUNCATE public.%I as a whole, or wait until the workflow has ended.', TG_RELID::regclass, TG_ARGV[0]);
  END IF;
  RETURN NULL;
END $function$;`;

/** Functions that partitioned tables need. `player`: the role as an SQL literal. */
export const partitionFunctions = (player: string): string => [partitionsOf, bornPartition, putTruncateTrigger, checkTruncate(player), knowPartitions].join('\n');

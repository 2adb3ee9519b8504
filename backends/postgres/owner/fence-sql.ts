/*
 * The transitions of the fence as functions of the store, so that each is one statement, one transaction and one round trip. They run with the caller's (the owner's) rights. Every one
 * locks the rows of all tables in order of name, looks at them, and either changes all of them or none. True: the rows are in the wished state now, changed or found so. False: they are not
 * and nothing has changed. Every statement inside sees a snapshot of its own (READ COMMITTED, set for every session of ours).
 */

import { FENCED_STATE } from '../errors.ts';
import { PREPARED_LATER_STATE, RIGHTS_REMAIN_STATE, TAKEN_STATE } from '../store-client.ts';
import { membersOf, relationName } from '../members.ts';

export const WRITE_TRIGGER = 'switchyard_fence_write';
export const TRUNCATE_TRIGGER = 'switchyard_fence_truncate';
/** Of a partitioned table: PostgreSQL gives it to every partition, new and attached ones too. The other trigger of writes sees what names the table itself. */
export const ROW_TRIGGER = 'switchyard_fence_row';

/** Statements that read the fence row of a table into `found_state`, and keep an OPEN one so. */
export const readState = (table: string): string => `
  -- This read may reject: so that rejected writers do not queue for the row and keep a transition from it. It must not admit: the snapshot of a REPEATABLE READ transaction may be older than the fence.
  SELECT f.state INTO found_state FROM switchyard.fence f WHERE f.table_name = ${table};
  IF found_state = 'OPEN' THEN
    -- Reads the newest row and keeps it as it is until the writer ends; fails with 40001 where the snapshot is older than the row.
    SELECT f.state INTO found_state FROM switchyard.fence f WHERE f.table_name = ${table} FOR SHARE;
  END IF;`;

const checkWrite = (player: string): string => `
CREATE OR REPLACE FUNCTION switchyard.check_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  found_state text;
BEGIN
  IF session_user = ${player} THEN RETURN NULL; END IF;
${readState('TG_TABLE_NAME::text')}
  IF found_state IS DISTINCT FROM 'OPEN' THEN
    RAISE EXCEPTION 'table "%" is fenced: %', TG_TABLE_NAME, coalesce(found_state, 'no fence row') USING ERRCODE = '${FENCED_STATE}', TABLE = TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $function$;`;

/** The same for each row of a partitioned table, whose name is its argument: a partition can be written by its own name. */
const checkRow = (player: string): string => `
CREATE OR REPLACE FUNCTION switchyard.check_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  found_state text;
BEGIN
  IF session_user <> ${player} THEN
${readState('TG_ARGV[0]')}
    IF found_state IS DISTINCT FROM 'OPEN' THEN
      RAISE EXCEPTION 'table "%" is fenced: %', TG_ARGV[0], coalesce(found_state, 'no fence row') USING ERRCODE = '${FENCED_STATE}', TABLE = TG_ARGV[0];
    END IF;
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $function$;`;

/** What a writer's trigger does, for a transaction that only reads but lets nobody change what it has read: it is a writer to a fence. A table that is nobody's is not fenced either. */
const holdOpen = `
CREATE OR REPLACE FUNCTION switchyard.hold_open(in_table text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  found_state text;
BEGIN
  BEGIN
    EXECUTE format('LOCK TABLE public.%I IN ROW EXCLUSIVE MODE', in_table);
  EXCEPTION WHEN insufficient_privilege THEN
    RETURN; -- not the owner's, who therefore cannot move it
  END;
${readState('in_table')}
  IF found_state <> 'OPEN' THEN
    RAISE EXCEPTION 'table "%" is fenced: %', in_table, found_state USING ERRCODE = '${FENCED_STATE}', TABLE = in_table;
  END IF;
END $function$;`;

/** Counts the scope's rows that `condition` holds for, after locking them. */
const lockedRows = (counts: string): string => `
  SELECT ${counts} FROM (
    SELECT f.state, f.attempt FROM switchyard.fence f
    WHERE f.table_name = ANY (in_tables) AND f.workflow = in_workflow AND f.peer = in_peer ORDER BY f.table_name FOR UPDATE) AS r;`;

const scopeParameters = 'in_workflow text, in_peer text, in_tables text[], in_attempt bigint';
const changeRows = (set: string): string => `UPDATE switchyard.fence SET ${set} WHERE table_name = ANY (in_tables);`;

interface SimpleTransition {
  readonly name: string;
  readonly from: string;
  readonly wished: string;
  readonly set: string;
  /** Statements after the rows have changed; `each_table` and `gateway_role` are declared. */
  readonly after: string;
}

const transition = (parts: SimpleTransition): string => `
CREATE OR REPLACE FUNCTION switchyard.${parts.name}(${scopeParameters}) RETURNS boolean LANGUAGE plpgsql AS $function$
DECLARE
  from_count bigint;
  wished_count bigint;
  each_table text;
  gateway_role text;
BEGIN${lockedRows(`count(*) FILTER (WHERE ${parts.from}), count(*) FILTER (WHERE ${parts.wished}) INTO from_count, wished_count`)}
  IF from_count <> cardinality(in_tables) THEN RETURN wished_count = cardinality(in_tables); END IF;
  ${changeRows(parts.set)}${parts.after}
  RETURN true;
END $function$;`;

const commitFence = transition({
  name: 'commit_fence',
  from: `r.state = 'FROZEN' AND r.attempt = in_attempt`,
  wished: `r.state = 'SEALED' AND r.attempt = in_attempt`,
  set: `state = 'SEALED'`,
  after: '',
});

const abortFence = transition({
  name: 'abort_fence',
  from: `r.state = 'FROZEN' AND r.attempt = in_attempt`,
  wished: `r.state = 'OPEN' AND r.attempt = in_attempt`,
  set: `state = 'OPEN'`,
  after: '',
});

const closeFence = transition({
  name: 'close_fence',
  from: `r.state = 'SEALED' AND r.attempt = in_attempt`,
  wished: `r.state = 'CLOSED' AND r.attempt = in_attempt`,
  set: `state = 'CLOSED'`,
  after: `
  SELECT i.gateway INTO gateway_role FROM switchyard.installation i;
  FOREACH each_table IN ARRAY in_tables LOOP
    PERFORM switchyard.revoke_rights(each_table, gateway_role);
  END LOOP;`,
});

const revokeRights = `
CREATE OR REPLACE FUNCTION switchyard.revoke_rights(in_table text, in_role text) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
  qualified text := format('public.%I', in_table);
BEGIN
  EXECUTE format('REVOKE ALL ON TABLE %s FROM %I', qualified, in_role);
  IF has_table_privilege(in_role, qualified, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege(in_role, qualified, 'SELECT, INSERT, UPDATE') THEN
    RAISE EXCEPTION 'role "%" keeps rights on table "%" that the fence cannot take away', in_role, in_table USING ERRCODE = '${RIGHTS_REMAIN_STATE}', TABLE = in_table;
  END IF;
END $function$;`;

/** Leaves the fence rows alone, which writers may hold. False: a later attempt has begun to prepare. */
const prepareFence = `
CREATE OR REPLACE FUNCTION switchyard.prepare_fence(in_workflow text, in_attempt bigint) RETURNS boolean LANGUAGE plpgsql AS $function$
BEGIN
  INSERT INTO switchyard.preparation AS p (workflow, attempt) VALUES (in_workflow, in_attempt)
  ON CONFLICT (workflow) DO UPDATE SET attempt = EXCLUDED.attempt WHERE p.attempt <= EXCLUDED.attempt;
  RETURN FOUND;
END $function$;`;

/** `in_limit_ms` bounds all the waits for locks together: 55P03 when it is over. A deadlock (40P01) is for the caller to repeat. */
const fenceTables = `
CREATE OR REPLACE FUNCTION switchyard.fence_tables(${scopeParameters}, in_limit_ms integer) RETURNS boolean LANGUAGE plpgsql AS $function$
DECLARE
  started timestamptz := clock_timestamp();
  left_ms integer;
  matching bigint;
  each_table text;
  on_table text;
  off_trigger name;
BEGIN
  SELECT count(*) INTO matching FROM switchyard.fence f
  WHERE f.table_name = ANY (in_tables) AND f.workflow = in_workflow AND f.peer = in_peer AND f.state = 'FROZEN' AND f.attempt = in_attempt;
  IF cardinality(in_tables) = 0 OR matching = cardinality(in_tables) THEN RETURN cardinality(in_tables) > 0; END IF;
  -- Until this transaction ends no other attempt begins to prepare.
  IF NOT switchyard.prepare_fence(in_workflow, in_attempt) THEN
    RAISE EXCEPTION 'attempt % of workflow "%" comes too late: a later one has begun to prepare, so another coordinator goes on with the workflow', in_attempt, in_workflow
    USING ERRCODE = '${PREPARED_LATER_STATE}';
  END IF;
  -- A running autovacuum of the table makes way only when its blocker's deadlock check finds it.
  PERFORM set_config('deadlock_timeout', '20ms', true);
  FOR each_table IN SELECT t FROM unnest(in_tables) AS t ORDER BY t LOOP
    left_ms := in_limit_ms - floor(extract(epoch FROM clock_timestamp() - started) * 1000)::integer;
    IF left_ms < 1 THEN RAISE EXCEPTION 'writers did not drain within % ms', in_limit_ms USING ERRCODE = 'lock_not_available'; END IF;
    PERFORM set_config('lock_timeout', left_ms::text, true);
    EXECUTE format('LOCK TABLE public.%I IN SHARE ROW EXCLUSIVE MODE', each_table);
  END LOOP;${lockedRows(`count(*) FILTER (WHERE r.state = 'OPEN' AND r.attempt < in_attempt) INTO matching`)}
  IF matching <> cardinality(in_tables) THEN RETURN false; END IF;
  -- Nobody changes the partitions any more: the locks keep ATTACH and DETACH out, too.
  PERFORM switchyard.know_partitions(in_tables);
  -- What close_fence could not take away must be found while the decision is open: after it there is only forward. Of a partition it takes nothing.
  SELECT c.relname INTO each_table FROM switchyard.installation i JOIN pg_roles g ON g.rolname = i.gateway, pg_class r, ${membersOf('r.oid')} m, pg_class c, aclexplode(c.relacl) a
  WHERE r.relnamespace = 'public'::regnamespace AND r.relname = ANY (in_tables) AND c.oid = m.member
    AND (a.grantee = 0 OR pg_has_role(g.oid, a.grantee, 'USAGE') AND (a.grantee <> g.oid OR a.grantor <> c.relowner OR m.level > 0)) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the gateway has a right on table "%" that the fence cannot take away', each_table USING ERRCODE = '${RIGHTS_REMAIN_STATE}', TABLE = each_table;
  END IF;
  ${changeRows(`state = 'FROZEN', attempt = in_attempt`)}
  FOREACH each_table IN ARRAY in_tables LOOP
    -- ALWAYS: also for a session that has set session_replication_role to replica.
    FOR on_table, off_trigger IN
      SELECT DISTINCT CASE WHEN expected.name = '${ROW_TRIGGER}' THEN format('public.%I', each_table) ELSE 'ONLY ' || ${relationName('c')} END, expected.name
      FROM ${membersOf(`format('public.%I', each_table)::regclass::oid`)} m JOIN pg_class c ON c.oid = m.member
      CROSS JOIN unnest(ARRAY['${WRITE_TRIGGER}', '${TRUNCATE_TRIGGER}', '${ROW_TRIGGER}']::name[]) AS expected (name)
      WHERE CASE expected.name WHEN '${WRITE_TRIGGER}' THEN m.level = 0 WHEN '${ROW_TRIGGER}' THEN c.relkind = 'p' OR m.level > 0 ELSE true END
        AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = m.member AND t.tgname = expected.name AND t.tgenabled = 'A')
    LOOP
      EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', on_table, off_trigger);
    END LOOP;
  END LOOP;
  INSERT INTO switchyard.marker (workflow, attempt) VALUES (in_workflow, in_attempt) ON CONFLICT (workflow) DO UPDATE SET attempt = EXCLUDED.attempt;
  RETURN true;
END $function$;`;

/** Locks the stream's row first, as `advance` does: no apply is in flight while the state changes. */
const readyFence = `
CREATE OR REPLACE FUNCTION switchyard.ready_fence(${scopeParameters}, in_stream text) RETURNS boolean LANGUAGE plpgsql AS $function$
DECLARE
  found_marker bigint;
  from_count bigint;
  wished_count bigint;
  each_table text;
  gateway_role text;
BEGIN
  SELECT s.marker INTO found_marker FROM switchyard.stream s WHERE s.id = in_stream AND s.workflow = in_workflow FOR UPDATE;
  IF found_marker IS DISTINCT FROM in_attempt THEN RETURN false; END IF;${lockedRows(`
    count(*) FILTER (WHERE r.state = 'CLOSED' AND r.attempt < in_attempt), count(*) FILTER (WHERE r.state = 'READABLE' AND r.attempt < in_attempt) INTO from_count, wished_count`)}
  IF from_count <> cardinality(in_tables) THEN RETURN wished_count = cardinality(in_tables); END IF;
  ${changeRows(`state = 'READABLE'`)}
  SELECT i.gateway INTO gateway_role FROM switchyard.installation i;
  FOR each_table IN SELECT t FROM unnest(in_tables) AS t LEFT JOIN switchyard.rights g ON g.table_name = t WHERE g.privileges IS NULL OR 'SELECT' = ANY (g.privileges) LOOP
    EXECUTE format('GRANT SELECT ON TABLE public.%I TO %I', each_table, gateway_role);
  END LOOP;
  RETURN true;
END $function$;`;

/** A table whose rights nobody has saved is opened with all four: after the decision there is no way back, and traffic must flow. */
const openFence = `
CREATE OR REPLACE FUNCTION switchyard.open_fence(${scopeParameters}, in_stream text) RETURNS boolean LANGUAGE plpgsql AS $function$
DECLARE
  from_count bigint;
  wished_count bigint;
  each_table text;
  each_rights text;
  gateway_role text;
BEGIN
  PERFORM FROM switchyard.stream s WHERE s.id = in_stream AND s.workflow = in_workflow FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;${lockedRows(`
    count(*) FILTER (WHERE r.state = 'READABLE' AND r.attempt < in_attempt), count(*) FILTER (WHERE r.state = 'OPEN' AND r.attempt = in_attempt) INTO from_count, wished_count`)}
  IF from_count <> cardinality(in_tables) THEN RETURN wished_count = cardinality(in_tables); END IF;
  UPDATE switchyard.stream SET token = token + 1 WHERE id = in_stream;
  ${changeRows(`state = 'OPEN', attempt = in_attempt`)}
  SELECT i.gateway INTO gateway_role FROM switchyard.installation i;
  FOR each_table, each_rights IN
    SELECT t, array_to_string(coalesce(g.privileges, ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']), ', ') FROM unnest(in_tables) AS t LEFT JOIN switchyard.rights g ON g.table_name = t
  LOOP
    IF each_rights <> '' THEN EXECUTE format('GRANT %s ON TABLE public.%I TO %I', each_rights, each_table, gateway_role); END IF;
  END LOOP;
  RETURN true;
END $function$;`;

/** Alone in its transaction, so that the lock is held for an instant. Waits 50 ms for it at most (55P03). */
const relaxFence = `
CREATE OR REPLACE FUNCTION switchyard.relax_fence(in_workflow text, in_peer text, in_table text) RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('deadlock_timeout', '20ms', true), set_config('lock_timeout', '50', true);
  EXECUTE format('LOCK TABLE public.%I IN SHARE ROW EXCLUSIVE MODE', in_table);
  PERFORM FROM switchyard.fence f WHERE f.table_name = in_table AND f.workflow = in_workflow AND f.peer = in_peer AND f.state = 'OPEN' FOR UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  IF EXISTS (SELECT FROM pg_class c WHERE c.oid = format('public.%I', in_table)::regclass AND c.relkind = 'p') THEN
    EXECUTE format('ALTER TABLE ONLY public.%I DISABLE TRIGGER ${WRITE_TRIGGER}', in_table);
    EXECUTE format('ALTER TABLE public.%I DISABLE TRIGGER ${ROW_TRIGGER}', in_table);
  ELSE
    EXECUTE format('ALTER TABLE public.%I DISABLE TRIGGER ${WRITE_TRIGGER}, DISABLE TRIGGER ${TRUNCATE_TRIGGER}', in_table);
  END IF;
END $function$;`;

/** The player's first statement of every apply; without a position that stays. Alone it is a whole transaction, which is how a lone marker is applied. */
const advance = `
CREATE OR REPLACE FUNCTION switchyard.advance(in_stream text, in_workflow text, in_tables text[], in_token bigint, in_position text, in_marker bigint) RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
  UPDATE switchyard.stream s SET position = coalesce(in_position, s.position), marker = greatest(s.marker, in_marker)
  WHERE s.id = in_stream AND s.workflow = in_workflow AND s.token = in_token;
  IF NOT FOUND THEN RAISE EXCEPTION 'stream "%" has another token than %', in_stream, in_token USING ERRCODE = '${TAKEN_STATE}'; END IF;
  -- A plain read is enough: out of CLOSED leads only ready_fence, which needs the stream's row that is locked now.
  IF (SELECT count(*) FROM switchyard.fence f WHERE f.table_name = ANY (in_tables) AND f.state = 'CLOSED' AND f.workflow = in_workflow) <> cardinality(in_tables) THEN
    RAISE EXCEPTION 'not every table of stream "%" is CLOSED and owned by workflow "%"', in_stream, in_workflow USING ERRCODE = '${TAKEN_STATE}';
  END IF;
END $function$;`;

/** Every function of the schema. `player` is the role as an SQL literal: the one login whose writes the fence lets through, as they are under the stream's token instead. */
export const functionScript = (player: string): string =>
  [checkWrite(player), checkRow(player), holdOpen, revokeRights, prepareFence, fenceTables, commitFence, abortFence, readyFence, closeFence, openFence, relaxFence, advance].join(
    '\n',
  );

import pg from 'pg';

/** Roles that must exist; `roles` is an SQL array. */
export const roleChecks = (roles: string): string => `
SELECT NULL, format('role "%s" does not exist', r), format('CREATE ROLE %I LOGIN, then run the grant script', r) FROM unnest(${roles}) AS r
WHERE NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = r)`;

/** The server's settings and the identities' own rights. `gateway` and `player` are roles as SQL literals; the owner asks. Rows: null, message, fix. */
export function serverChecks(gateway: string, player: string, keyspace: string): readonly string[] {
  const grantScriptFix = `${grantScript(keyspace)} || ', or: '`;
  return [
    `SELECT NULL, format('PostgreSQL %s is too old: rights on single parameters came with 15', current_setting('server_version')), 'upgrade the server' WHERE current_setting('server_version_num')::integer < 150000`,
    `SELECT NULL, format('wal_level is %s, so there is no log to follow', current_setting('wal_level')), 'ALTER SYSTEM SET wal_level = logical, then restart the server' WHERE current_setting('wal_level') <> 'logical'`,
    `SELECT NULL, 'no replication slot is free', 'raise max_replication_slots, or drop slots that nobody uses (pg_replication_slots), then restart the server'
   WHERE (SELECT count(*) FROM pg_replication_slots) >= current_setting('max_replication_slots')::integer`,
    `SELECT NULL, 'no process is free that could send the log', 'raise max_wal_senders, then restart the server'
   WHERE (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender') >= current_setting('max_wal_senders')::integer`,
    `SELECT NULL, format('role "%s" may not use replication', r.rolname), ${grantScriptFix} || format('ALTER ROLE %I REPLICATION', r.rolname) FROM pg_roles r
   WHERE (r.rolname = ${player} OR r.rolname = current_user) AND NOT r.rolreplication AND NOT r.rolsuper`,
    `SELECT NULL, format('role "%s" may not set %s', r.role, r.parameter), ${grantScriptFix} || format('GRANT SET ON PARAMETER %s TO %I', r.parameter, r.role)
   FROM (VALUES (current_user::text, 'deadlock_timeout'), (${player}, 'session_replication_role')) AS r (role, parameter) WHERE NOT has_parameter_privilege(r.role, r.parameter, 'SET')`,
    `SELECT NULL, format('role "%s" may not make publications in database "%s"', current_user, current_database()), ${grantScriptFix} || format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
   WHERE NOT has_database_privilege(current_user, current_database(), 'CREATE')`,
    `SELECT NULL, format('role "%s" may not make tables in the schema public', current_user), ${grantScriptFix} || format('GRANT CREATE ON SCHEMA public TO %I', current_user)
   WHERE NOT has_schema_privilege(current_user, 'public', 'CREATE')`,
    `SELECT NULL, format('role "%s" may not use the schema public', r), ${grantScriptFix} || format('GRANT USAGE ON SCHEMA public TO %I', r) FROM unnest(ARRAY[${gateway}, ${player}]) AS r WHERE NOT has_schema_privilege(r, 'public', 'USAGE')`,
    `SELECT NULL, format('role "%s" may not see how old other logins'' transactions are', current_user), ${grantScriptFix} || format('GRANT pg_read_all_stats TO %I', current_user)
   WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')`,
    `SELECT NULL, format('role "%s" may not end an abandoned replication connection of role "%s"', current_user, ${player}), ${grantScriptFix} || format('GRANT %I TO %I', ${player}, current_user)
   WHERE NOT pg_has_role(${player}, 'USAGE')`,
    `SELECT NULL, format('the logins must be three different roles, but "%s" stands for two', r), 'give the shard three logins' FROM unnest(ARRAY[${gateway}, ${player}, current_user::text]) AS r GROUP BY r HAVING count(*) > 1`,
  ];
}

/** Whether gateway or player may read none at all of the tables that they are to serve: nobody has run the grant script. One that is left out on purpose is no fault. `closed`: an SQL array of tables that the fence keeps from the gateway. */
export const grantsCheck = (gateway: string, player: string, closed: string, keyspace: string): string => `
SELECT NULL, format('role "%s" may read none of the %s tables of role "%s"', r, count(*), current_user), ${grantScript(keyspace)}
FROM pg_class c CROSS JOIN unnest(ARRAY[${gateway}, ${player}]) AS r
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_get_userbyid(c.relowner) = current_user AND c.relname <> ALL (${closed})
GROUP BY r HAVING NOT bool_or(has_table_privilege(r, c.oid, 'SELECT'))`;

const grantScript = (keyspace: string): string => pg.escapeLiteral(`run the grant script: switchyard keyspace grants ${keyspace}`);

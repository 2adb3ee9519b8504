/**
 * Rights of the gateway on existing tables that a REVOKE by the owner would not take away, and writers that the fence would turn away with an error. `tables` is an SQL array of names, `gateway` and `player`
 * are roles as SQL literals; the owner asks. Rows: table or null, message, fix.
 */
export function rightsChecks(tables: string, gateway: string, player: string): readonly string[] {
  const movedTables = `SELECT c.oid, c.relname, c.relowner, c.relacl FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (${tables})`;
  const tableRights = `(${movedTables}) t CROSS JOIN LATERAL aclexplode(t.relacl) AS x (grantor, grantee, privilege, grantable)`;
  const columnRights = `(${movedTables}) t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 CROSS JOIN LATERAL aclexplode(a.attacl) AS x (grantor, grantee, privilege, grantable)`;
  /** Whether a grant to the role reaches the gateway other than by name. */
  const reachesGateway = `(x.grantee = 0 OR (pg_get_userbyid(x.grantee) <> ${gateway} AND x.grantee <> t.relowner AND pg_has_role(${gateway}, x.grantee, 'MEMBER')))`;
  const granteeSql = `CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END`;
  const rowRights = `x.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')`;
  const isSuperuser = `(SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = ${gateway})`;

  return [
    `SELECT NULL, format('role "%s" is a superuser, whose rights nobody can take away', ${gateway}), format('ALTER ROLE %I NOSUPERUSER, then run the grant script', ${gateway}) WHERE ${isSuperuser}`,
    `SELECT NULL, format('role "%s" may set session_replication_role, which switches foreign keys off', ${gateway}), format('REVOKE SET ON PARAMETER session_replication_role FROM %I', ${gateway})
   WHERE has_parameter_privilege(${gateway}, 'session_replication_role', 'SET') AND NOT ${isSuperuser}`,
    `SELECT NULL, format('role "%s" is a member of "%s", so it can read or write every table', ${gateway}, m), format('REVOKE %I FROM %I', m, ${gateway}) FROM unnest(ARRAY['pg_read_all_data', 'pg_write_all_data']) AS m
   WHERE pg_has_role(${gateway}, m, 'MEMBER') AND NOT ${isSuperuser}`,
    `SELECT t.relname, format('role "%s" owns it, or is a member of its owner "%s": an owner''s rights cannot be taken away', ${gateway}, pg_get_userbyid(t.relowner)),
     format('ALTER TABLE public.%I OWNER TO %I (and REVOKE that role from %I), then run the grant script', t.relname, current_user, ${gateway})
   FROM (${movedTables}) t WHERE pg_has_role(${gateway}, t.relowner, 'MEMBER') AND NOT ${isSuperuser}`,
    `SELECT t.relname, format('role "%s" has %s through %s', ${gateway}, string_agg(x.privilege, ', ' ORDER BY x.privilege), ${granteeSql}), format('REVOKE ALL ON TABLE public.%I FROM %s, then run the grant script', t.relname, ${granteeSql})
   FROM ${tableRights} WHERE ${reachesGateway} AND ${rowRights} AND NOT ${isSuperuser} GROUP BY t.relname, x.grantee`,
    `SELECT t.relname, format('role "%s" has %s from another grantor than the owner, role "%s"', ${gateway}, string_agg(x.privilege, ', ' ORDER BY x.privilege), pg_get_userbyid(x.grantor)),
     format('SET ROLE %I; REVOKE ALL ON TABLE public.%I FROM %I; RESET ROLE; then run the grant script', pg_get_userbyid(x.grantor), t.relname, ${gateway})
   FROM ${tableRights} WHERE pg_get_userbyid(x.grantee) = ${gateway} AND x.grantor <> t.relowner AND ${rowRights} GROUP BY t.relname, x.grantor`,
    `SELECT t.relname, format('role "%s" may grant its rights on to others', ${gateway}), format('REVOKE GRANT OPTION FOR ALL ON TABLE public.%I FROM %I CASCADE', t.relname, ${gateway})
   FROM ${tableRights} WHERE pg_get_userbyid(x.grantee) = ${gateway} AND x.grantable GROUP BY t.relname`,
    `SELECT t.relname, format('role "%s" has rights on single columns (%s), granted to %s', ${gateway}, string_agg(DISTINCT a.attname, ', '), ${granteeSql}),
     format('REVOKE ALL (%s) ON TABLE public.%I FROM %s, then run the grant script', string_agg(DISTINCT quote_ident(a.attname), ', '), t.relname, ${granteeSql})
   FROM ${columnRights} WHERE (pg_get_userbyid(x.grantee) = ${gateway} OR ${reachesGateway}) AND NOT ${isSuperuser} GROUP BY t.relname, x.grantee`,
    `SELECT t.relname, format('role "%s" may write it without the gateway; the fence will reject that with an error', pg_get_userbyid(x.grantee)),
     format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON TABLE public.%I FROM %I, and let its programs call the gateway', t.relname, pg_get_userbyid(x.grantee))
   FROM ${tableRights} WHERE x.grantee <> 0 AND x.grantee <> t.relowner AND pg_get_userbyid(x.grantee) NOT IN (${gateway}, ${player}) AND NOT pg_has_role(${gateway}, x.grantee, 'MEMBER')
     AND x.privilege IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') GROUP BY t.relname, x.grantee`,
  ];
}

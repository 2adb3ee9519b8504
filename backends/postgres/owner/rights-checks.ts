import { membersOf, relationName } from '../members.ts';

/**
 * Rights of the gateway that a REVOKE by the owner would not take away, and writers that the fence would turn away with an error. `tables` is an SQL array of names, `gateway` and `player` are roles as SQL literals; the owner
 * asks. What comes by membership in a role is told once, as that membership, for nothing else takes it away; the other checks look at what was given to the gateway itself or to everybody. Rows: table or null, message, fix.
 */
export function rightsChecks(tables: string, gateway: string, player: string): readonly string[] {
  // `relname` is the table that is moved; the rest is its own or a partition's.
  const movedTables = `SELECT c.oid, r.relname, m.level, ${relationName('c')} AS name, CASE WHEN m.level > 0 THEN format(' on its partition %s', ${relationName('c')}) ELSE '' END AS at, c.relowner, c.relacl
   FROM pg_class r CROSS JOIN ${membersOf('r.oid')} m JOIN pg_class c ON c.oid = m.member WHERE r.relnamespace = 'public'::regnamespace AND r.relkind IN ('r', 'p') AND r.relname = ANY (${tables})`;
  const tableRights = `(${movedTables}) t CROSS JOIN LATERAL aclexplode(t.relacl) AS x (grantor, grantee, privilege, grantable)`;
  const columnRights = `(${movedTables}) t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 CROSS JOIN LATERAL aclexplode(a.attacl) AS x (grantor, grantee, privilege, grantable)`;
  const parameterRights = `pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) AS x (grantor, grantee, privilege, grantable)`;
  const setsReplicationRole = `p.parname = 'session_replication_role' AND x.privilege = 'SET'`;
  const granteeSql = `CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END`;
  const rowRights = `x.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')`;
  const gatewayOid = `(SELECT r.oid FROM pg_roles r WHERE r.rolname = ${gateway})`;
  const isSuperuser = `(SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = ${gateway})`;

  return [
    `SELECT NULL, format('role "%s" is a superuser, whose rights nobody can take away', ${gateway}), format('ALTER ROLE %I NOSUPERUSER, then run the grant script', ${gateway}) WHERE ${isSuperuser}`,
    // From 16 on a membership belongs to whoever gave it; the plain REVOKE of a superuser means its own (grantor 10, the first superuser).
    `SELECT NULL, format('role "%s" is a member of role "%s", and by that has rights which no fence can take away', ${gateway}, pg_get_userbyid(m.roleid)),
     format('REVOKE %I FROM %I', pg_get_userbyid(m.roleid), ${gateway})
       || CASE WHEN m.grantor <> 10 AND current_setting('server_version_num')::integer >= 160000 THEN format(' GRANTED BY %I', pg_get_userbyid(m.grantor)) ELSE '' END
   FROM pg_auth_members m WHERE m.member = ${gatewayOid} AND EXISTS (
     SELECT FROM pg_roles r WHERE pg_has_role(m.roleid, r.oid, 'MEMBER') AND (
       r.rolsuper OR r.rolname IN ('pg_read_all_data', 'pg_write_all_data', current_user, ${player})
       OR EXISTS (SELECT FROM (${movedTables}) t WHERE t.relowner = r.oid)
       OR EXISTS (SELECT FROM ${tableRights} WHERE x.grantee = r.oid AND ${rowRights})
       OR EXISTS (SELECT FROM ${columnRights} WHERE x.grantee = r.oid)
       OR EXISTS (SELECT FROM ${parameterRights} WHERE x.grantee = r.oid AND ${setsReplicationRole})))`,
    `SELECT NULL, format('role "%s" may set session_replication_role, which switches foreign keys off (granted to %s)', ${gateway}, ${granteeSql}), format('REVOKE SET ON PARAMETER session_replication_role FROM %s', ${granteeSql})
   FROM ${parameterRights} WHERE x.grantee IN (0, ${gatewayOid}) AND ${setsReplicationRole} AND NOT ${isSuperuser}`,
    `SELECT t.relname, format('role "%s" owns %s: an owner''s rights cannot be taken away', ${gateway}, CASE WHEN t.level > 0 THEN 'its partition ' || t.name ELSE 'it' END), format('ALTER TABLE %s OWNER TO %I, then run the grant script', t.name, current_user)
   FROM (${movedTables}) t WHERE t.relowner = ${gatewayOid}`,
    `SELECT t.relname, format('role "%s" has %s%s through PUBLIC', ${gateway}, string_agg(x.privilege, ', ' ORDER BY x.privilege), t.at), format('REVOKE ALL ON TABLE %s FROM PUBLIC, then run the grant script', t.name)
   FROM ${tableRights} WHERE x.grantee = 0 AND ${rowRights} AND NOT ${isSuperuser} GROUP BY t.relname, t.name, t.at`,
    `SELECT t.relname, format('role "%s" has %s%s, which the fence does not take away: it takes the rights on the table', ${gateway}, string_agg(x.privilege, ', ' ORDER BY x.privilege), t.at), format('REVOKE ALL ON TABLE %s FROM %I', t.name, ${gateway})
   FROM ${tableRights} WHERE t.level > 0 AND x.grantee = ${gatewayOid} AND x.grantor = t.relowner AND x.grantee <> t.relowner AND ${rowRights} GROUP BY t.relname, t.name, t.at`,
    `SELECT t.relname, format('role "%s" has %s%s from another grantor than the owner, role "%s"', ${gateway}, string_agg(x.privilege, ', ' ORDER BY x.privilege), t.at, pg_get_userbyid(x.grantor)),
     format('SET ROLE %I; REVOKE ALL ON TABLE %s FROM %I; RESET ROLE; then run the grant script', pg_get_userbyid(x.grantor), t.name, ${gateway})
   FROM ${tableRights} WHERE x.grantee = ${gatewayOid} AND x.grantor <> t.relowner AND ${rowRights} GROUP BY t.relname, t.name, t.at, x.grantor`,
    `SELECT t.relname, format('role "%s" may grant its rights%s on to others', ${gateway}, t.at), format('REVOKE GRANT OPTION FOR ALL ON TABLE %s FROM %I CASCADE', t.name, ${gateway})
   FROM ${tableRights} WHERE x.grantee = ${gatewayOid} AND x.grantee <> t.relowner AND x.grantable GROUP BY t.relname, t.name, t.at`,
    `SELECT t.relname, format('role "%s" has rights on single columns%s (%s), granted to %s', ${gateway}, t.at, string_agg(DISTINCT a.attname, ', '), ${granteeSql}),
     format('REVOKE ALL (%s) ON TABLE %s FROM %s, then run the grant script', string_agg(DISTINCT quote_ident(a.attname), ', '), t.name, ${granteeSql})
   FROM ${columnRights} WHERE x.grantee IN (0, ${gatewayOid}) AND NOT ${isSuperuser} GROUP BY t.relname, t.name, t.at, x.grantee`,
    `SELECT t.relname, format('role "%s" may write %s without the gateway; the fence will reject that with an error', pg_get_userbyid(x.grantee), CASE WHEN t.level > 0 THEN 'its partition ' || t.name ELSE 'it' END),
     format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON TABLE %s FROM %I, and let its programs call the gateway', t.name, pg_get_userbyid(x.grantee))
   FROM ${tableRights} WHERE x.grantee <> 0 AND x.grantee <> t.relowner AND pg_get_userbyid(x.grantee) NOT IN (${gateway}, ${player}) AND NOT pg_has_role(${gateway}, x.grantee, 'MEMBER')
     AND x.privilege IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') GROUP BY t.relname, t.name, t.level, x.grantee`,
  ];
}

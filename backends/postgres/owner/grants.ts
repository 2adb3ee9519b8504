import pg from 'pg';
import { type ServerShard, type Shard, serverShard } from '../../../core/keyspace.ts';
import { quoteIdentifier } from '../connection.ts';
import { INSTALL_LOCK } from './install.ts';

/**
 * The script for an administrator (a superuser, with psql, in the shard's database) that gives the three logins what they need. The logins exist already. It may be run any number of times, also
 * while tables are being moved: a gateway is given nothing on a table that its fence row does not say to be OPEN. `tables` empty: every table that the owner owns. The store must be PostgreSQL 15 or
 * newer (GRANT SET ON PARAMETER).
 */
export function grantScript(given: Shard, tables: readonly string[]): string {
  const shard = serverShard(given);
  const gateway = quoteIdentifier(shard.gateway.user);
  const player = quoteIdentifier(shard.player.user);
  const owner = quoteIdentifier(shard.owner.user);
  const database = quoteIdentifier(shard.database);
  return `-- Rights of Switchyard's three logins in database ${inComment(database)}: ${inComment(gateway)} serves callers, ${inComment(player)} replicates, ${inComment(owner)} owns the tables and moves them.
-- Run it in that database as a superuser; repeating it does no harm.
BEGIN;

-- Control prepares a store as soon as it knows of it: one after the other.
DO $$ BEGIN PERFORM pg_advisory_xact_lock(${INSTALL_LOCK}); END $$;

-- The player reads the log. The owner makes and drops the replication slots that it reads from.
ALTER ROLE ${player} REPLICATION;
ALTER ROLE ${owner} REPLICATION;

-- The player applies rows whose foreign keys and triggers have done their work on the source. The owner makes a running autovacuum give way within 20 ms when it locks a table.
GRANT SET ON PARAMETER session_replication_role TO ${player};
GRANT SET ON PARAMETER deadlock_timeout TO ${owner};

-- The owner sees how old other logins' transactions are before it starts a cutover, and ends a replication connection that a dead player left behind.
GRANT pg_read_all_stats TO ${owner};
GRANT ${player} TO ${owner};

-- Everybody connects and finds the tables; the owner makes publications and tables.
GRANT CONNECT ON DATABASE ${database} TO ${gateway}, ${player}, ${owner};
GRANT CREATE ON DATABASE ${database} TO ${owner};
GRANT USAGE ON SCHEMA public TO ${gateway}, ${player}, ${owner};
GRANT CREATE ON SCHEMA public TO ${owner};

-- Switchyard's own schema: fence, streams, markers. The owner fills it and gives the others their rights in it.
CREATE SCHEMA IF NOT EXISTS switchyard AUTHORIZATION ${owner};

-- Rights on the tables. Only an owner can take rights away again, which is how a store stops serving; the gateway may own nothing. A table that is fenced now is left as it is.
DO ${dollarQuoted(rightsOnTables(shard, tables))};

COMMIT;
`;
}

const rightsOnTables = (shard: ServerShard, tables: readonly string[]): string => `
DECLARE
  each_table record;
  each_partition record;
  each_sequence regclass;
  fence_state text;
BEGIN
  FOR each_table IN
    SELECT c.oid, c.relname, pg_get_userbyid(c.relowner) AS owner FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND ${selection(shard, tables)}
    ORDER BY c.relname
  LOOP
    -- Rows of partitions are read and written by way of their table. A right on a partition alone is none that a fence takes away.
    FOR each_partition IN SELECT p.relid, p.relid::oid::regclass AS name FROM pg_partition_tree(each_table.oid) p WHERE p.level > 0 LOOP
      IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = each_partition.relid AND c.relowner = to_regrole(${literal(quoteIdentifier(shard.owner.user))})) THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %I', each_partition.name, ${literal(shard.owner.user)});
      END IF;
      EXECUTE format('REVOKE ALL ON TABLE %s FROM %I', each_partition.name, ${literal(shard.gateway.user)});
    END LOOP;
    IF each_table.owner <> ${literal(shard.owner.user)} THEN EXECUTE format('ALTER TABLE public.%I OWNER TO %I', each_table.relname, ${literal(shard.owner.user)}); END IF;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE public.%I TO %I', each_table.relname, ${literal(shard.player.user)});
    fence_state := 'OPEN';
    IF to_regclass('switchyard.fence') IS NOT NULL THEN
      EXECUTE 'SELECT state FROM switchyard.fence WHERE table_name = $1 FOR SHARE' INTO fence_state USING each_table.relname::text;
    END IF;
    IF coalesce(fence_state, 'OPEN') = 'OPEN' THEN
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE public.%I TO %I', each_table.relname, ${literal(shard.gateway.user)});
    END IF;
    -- Sequences behind the columns' defaults.
    FOR each_sequence IN
      SELECT s.oid::regclass FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = each_table.oid AND d.deptype IN ('a', 'i')
    LOOP
      EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', each_sequence, ${literal(shard.gateway.user)});
    END LOOP;
  END LOOP;
END `;

const literal = (text: string): string => pg.escapeLiteral(text);
/** A comment ends with its line, and a name may have several. */
const inComment = (name: string): string => name.replaceAll(/[\r\n]/g, ' ');

/** The text in dollars, behind a tag that no name in it has. */
function dollarQuoted(text: string): string {
  let tag = '$script$';
  while (text.includes(tag)) tag = `${tag.slice(0, -1)}_$`;
  return `${tag}${text}${tag}`;
}

function selection(shard: ServerShard, tables: readonly string[]): string {
  if (tables.length === 0) return `pg_get_userbyid(c.relowner) = ${literal(shard.owner.user)}`;
  return `c.relname IN (${tables.map(literal).join(', ')})`;
}

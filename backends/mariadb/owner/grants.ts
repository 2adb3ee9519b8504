import { type ServerShard, type Shard, serverShard } from '../../../core/keyspace.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import { FENCE_TABLE, OWN_PREFIX } from '../names.ts';
import { accountsNamed } from './accounts.ts';
import { readOfAccounts } from './account-rights.ts';

/** What the owner has on its database; with the right to give it on to gateway and player. */
export const OWNER_RIGHTS = [
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'CREATE',
  'DROP',
  'REFERENCES',
  'INDEX',
  'ALTER',
  'TRIGGER',
  'CREATE ROUTINE',
  'ALTER ROUTINE',
  'EXECUTE',
] as const;
/** It sees everybody's transactions, and which databases are logged. */
export const OWNER_SERVER_RIGHTS = ['PROCESS', 'BINLOG MONITOR'] as const;
export const PLAYER_SERVER_RIGHTS = ['REPLICATION SLAVE', 'BINLOG MONITOR'] as const;

const ACCOUNT = Symbol('account');
const TABLE = Symbol('table');

/**
 * The script for an administrator (with the `mariadb` client) that gives the three logins what they need. The logins exist already. It may be run any number of times, also while tables are being moved: rights are not what fences here.
 * `tables` empty: every table of the database. The server must be MariaDB 10.6 or newer.
 */
export function grantScript(given: Shard, tables: readonly string[]): string {
  const shard = serverShard(given);
  const { gateway, player, owner } = shard;
  // In a GRANT on a database "_" and "%" stand for others.
  const database = quoteIdentifier(shard.database.replaceAll(/[_%\\]/g, '\\$&'));
  const comment = (name: string): string => name.replaceAll(/[\r\n]/g, ' ');
  return `-- Rights of Switchyard's three logins in database ${comment(shard.database)}: ${comment(gateway.user)} serves callers, ${comment(player.user)} replicates, ${comment(owner.user)} owns the tables and moves them.
-- Run it as an administrator with the client "mariadb"; repeating it does no harm.
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_CREATE_USER';
SET NAMES utf8mb4;

-- Triggers and functions of the owner's are what fences. With a binary log only who has SUPER may make any, unless this is on; put "log_bin_trust_function_creators = ON" into the server's option file as well.
SET GLOBAL log_bin_trust_function_creators = ON;

DELIMITER //
BEGIN NOT ATOMIC
  DECLARE account_count int;

  -- The owner makes tables, triggers and functions, and gives gateway and player their rights on them; it sees how old other logins' transactions are before it starts a cutover, and who else may write the tables.
${forAccounts(owner.user, [
  [`GRANT ${OWNER_RIGHTS.join(', ')} ON ${database}.* TO `, ACCOUNT, ' WITH GRANT OPTION'],
  [`GRANT ${OWNER_SERVER_RIGHTS.join(', ')} ON *.* TO `, ACCOUNT],
  ...readOfAccounts.map(([table, columns]): readonly Part[] => [`GRANT SELECT${columns.length === 0 ? '' : ` (${columns.join(', ')})`} ON ${table} TO `, ACCOUNT]),
])}

  -- The player reads the log.
${forAccounts(player.user, [[`GRANT ${PLAYER_SERVER_RIGHTS.join(', ')} ON *.* TO `, ACCOUNT]])}

  -- A column of JSON is known by its check, and checks are shown only to who has some right on the whole database: this one lets nobody at any row.
${[gateway, player].map(({ user }) => forAccounts(user, [[`GRANT SHOW VIEW ON ${database}.* TO `, ACCOUNT]])).join('\n')}

  -- An account that is newer than Switchyard's own tables must not read past the fence: that right comes first.
  FOR each_table IN (SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(shard.database)} AND TABLE_NAME = ${quoteText(FENCE_TABLE)}) DO
${forAccounts(gateway.user, [onTable(shard, 'SELECT')], '    ')}
  END FOR;

  -- Rows of the tables, and of nothing else: the gateway has no right on Switchyard's own tables but those that the owner gives it.
  FOR each_table IN (SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(shard.database)} AND TABLE_TYPE = 'BASE TABLE' AND ${selection(tables)} ORDER BY TABLE_NAME) DO
${forAccounts(player.user, [rowsOf(shard)], '    ')}
${forAccounts(gateway.user, [rowsOf(shard)], '    ')}
  END FOR;
END//
DELIMITER ;
`;
}

/** Statements for every account of the login. The server has one for each machine that may connect as it. */
function forAccounts(user: string, statements: readonly (readonly Part[])[], indent = '  '): string {
  const accounts = accountsNamed(quoteText(user));
  const lines = [
    `SELECT COUNT(*) INTO account_count FROM ${accounts};`,
    `IF account_count = 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = ${quoteText(`there is no login ${user}: CREATE USER first`.slice(0, 120))}; END IF;`,
    `FOR account IN (SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) AS name FROM ${accounts} ORDER BY Host) DO`,
    ...statements.map((statement) => `  EXECUTE IMMEDIATE CONCAT(${statement.map(partText).join(', ')});`),
    'END FOR;',
  ];
  return lines.map((line) => `${indent}${line}`).join('\n');
}

/** A part of a statement: its own text, the account, or the quoted name of the table. */
type Part = string | typeof ACCOUNT | typeof TABLE;

const partText = (part: Part): string => {
  if (part === ACCOUNT) return 'account.name';
  return part === TABLE ? "CONCAT('`', REPLACE(each_table.name, '`', '``'), '`')" : quoteText(part);
};

const onTable = ({ database }: ServerShard, rights: string): readonly Part[] => [`GRANT ${rights} ON TABLE ${quoteIdentifier(database)}.`, TABLE, ' TO ', ACCOUNT];
const rowsOf = (shard: ServerShard): readonly Part[] => onTable(shard, 'SELECT, INSERT, UPDATE, DELETE');

function selection(tables: readonly string[]): string {
  if (tables.length === 0) return `LEFT(TABLE_NAME, ${OWN_PREFIX.length}) <> ${quoteText(OWN_PREFIX)}`;
  return `TABLE_NAME IN (${tables.map(quoteText).join(', ')})`;
}

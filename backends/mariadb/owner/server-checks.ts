import type { Problem } from '../../backend.ts';
import { quoteIdentifier } from '../connection.ts';
import { isOwnTable } from '../names.ts';
import type { Statements } from '../store-client.ts';
import type { AccountRights, Grantee, Right } from './account-rights.ts';
import { type CheckedStore, grantScriptFix } from './checked-store.ts';
import { OWNER_RIGHTS, OWNER_SERVER_RIGHTS, PLAYER_SERVER_RIGHTS } from './grants.ts';

const OLDEST = [10, 6];
const LEAST_LOG_S = 86_400;
/** One file of the log's usual size. */
const LEAST_LOG_BYTES = 1_073_741_824;

const problem = (message: string, fix: string): Problem => ({ table: null, message, fix });

/** A setting that must have one value; `now`: it can be set on a running server too. */
const settings: readonly { readonly name: string; readonly wanted: string; readonly why: string; readonly now: boolean }[] = [
  { name: 'LOG_BIN', wanted: 'ON', why: 'so there is no log to follow', now: false },
  { name: 'BINLOG_FORMAT', wanted: 'ROW', why: 'so the log does not hold the rows', now: true },
  { name: 'BINLOG_ROW_IMAGE', wanted: 'FULL', why: 'so the log holds parts of the rows only', now: true },
  { name: 'BINLOG_ROW_METADATA', wanted: 'FULL', why: 'so the log does not name its columns', now: true },
  { name: 'LOG_BIN_TRUST_FUNCTION_CREATORS', wanted: 'ON', why: 'so only who has SUPER could make the triggers of the fence', now: true },
];

/** What the server must be and how it must be set, each with the line for its option file. */
export async function serverProblems(statements: Statements, signal: AbortSignal): Promise<readonly Problem[]> {
  const names = [...settings.map(({ name }) => name), 'VERSION', 'BINLOG_EXPIRE_LOGS_SECONDS', 'MAX_BINLOG_TOTAL_SIZE', 'WSREP_ON', 'LOWER_CASE_TABLE_NAMES'];
  const { rows } = await statements.query(
    `SELECT VARIABLE_NAME, VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME IN (${names.map((name) => `'${name}'`).join(', ')})`,
    [],
    signal,
  );
  const values = new Map(rows.map(([name, value]) => [String(name).toUpperCase(), String(value)]));
  const found: Problem[] = [];
  const [major = 0, minor = 0] = (values.get('VERSION') ?? '').split('.').map(Number);
  if (!/mariadb/i.test(values.get('VERSION') ?? '')) found.push(problem(`the server is ${values.get('VERSION')}, no MariaDB`, 'name a keyspace of its kind'));
  else if (major < (OLDEST[0] ?? 0) || (major === OLDEST[0] && minor < (OLDEST[1] ?? 0)))
    found.push(problem(`MariaDB ${values.get('VERSION')} is too old: its triggers cannot be relied on to give way to a fence before ${OLDEST.join('.')}`, 'upgrade the server'));
  for (const { name, wanted, why, now } of settings) {
    const value = values.get(name);
    if (value?.toUpperCase() === wanted) continue;
    const line = `put "${name.toLowerCase()} = ${wanted}" under [mariadbd] into the server's option file`;
    found.push(
      problem(
        `${name.toLowerCase()} is ${value ?? 'not known to the server'}, ${why}`,
        now ? `${line}, and SET GLOBAL ${name.toLowerCase()} = ${wanted}` : `${line}, then restart the server`,
      ),
    );
  }
  const expires = Number(values.get('BINLOG_EXPIRE_LOGS_SECONDS') ?? 0);
  if (expires > 0 && expires < LEAST_LOG_S) {
    const line = `binlog_expire_logs_seconds = ${LEAST_LOG_S}`;
    found.push(
      problem(
        `the log is thrown away after ${expires} s, whoever still needs it`,
        `put "${line}", or more, under [mariadbd] into the server's option file, and SET GLOBAL ${line}`,
      ),
    );
  }
  // Since 11.4; 0: unbounded.
  const mostBytes = Number(values.get('MAX_BINLOG_TOTAL_SIZE') ?? 0);
  if (mostBytes > 0 && mostBytes < LEAST_LOG_BYTES) {
    const line = `max_binlog_total_size = ${LEAST_LOG_BYTES}`;
    found.push(
      problem(
        `the log is thrown away beyond ${mostBytes} bytes in all, whoever still needs it`,
        `put "${line}", or more, under [mariadbd] into the server's option file, and SET GLOBAL ${line}`,
      ),
    );
  }
  if (values.get('WSREP_ON') === 'ON')
    found.push(problem('the server is part of a Galera cluster, whose nodes do not share the locks of a fence', 'move from or into a server of its own'));
  if ((values.get('LOWER_CASE_TABLE_NAMES') ?? '0') !== '0')
    found.push(problem(`lower_case_table_names is ${values.get('LOWER_CASE_TABLE_NAMES')}, so that names which differ only in case are one`, 'use a server whose setting is 0'));
  return [...found, ...(await followerProblems(statements, signal))];
}

/** Rows that come by replication fire no triggers. */
async function followerProblems(statements: Statements, signal: AbortSignal): Promise<readonly Problem[]> {
  const { rows } = await statements.query(`SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVES_RUNNING'`, [], signal);
  if (Number(rows[0]?.[0] ?? 0) === 0) return [];
  return [
    problem(
      'the server follows another one, whose rows come past every trigger, and so past the fence',
      'STOP ALL SLAVES, and move from or into the server that the rows come from',
    ),
  ];
}

/** Logins that are not there. */
export function loginProblems({ shard }: CheckedStore, rights: AccountRights): readonly Problem[] {
  return [shard.gateway.user, shard.player.user]
    .filter((user) => rights.accounts(user).length === 0)
    .map((user) => problem(`login "${user}" does not exist`, `CREATE USER ${quoteIdentifier(user)} IDENTIFIED BY …, then run the grant script`));
}

/** What the identities themselves must be allowed. */
export async function identityProblems(store: CheckedStore, rights: AccountRights, signal: AbortSignal): Promise<readonly Problem[]> {
  const { client, shard } = store;
  const { rows } = await client.query('SELECT CURRENT_USER(), DATABASE()', [], signal);
  const [account = '', database = ''] = (rows[0] ?? []).map(String);
  const owner = rights.accounts(shard.owner.user).find(({ user, host }) => `${user}@${host}` === account);
  const missing = (grantee: Grantee, what: string, has: ReadonlySet<Right>, wanted: readonly Right[], on: string, option = ''): readonly Problem[] => {
    const lacking = wanted.filter((right) => !has.has(right));
    if (lacking.length === 0) return [];
    const named = lacking.filter((right) => right !== 'GRANT OPTION');
    const statement = `GRANT ${named.length === 0 ? 'USAGE' : named.join(', ')} ON ${on} TO ${grantee.text}${option}`;
    return [
      problem(
        `${what} ${grantee.text} has no right ${lacking.join(', ')} ${on === '*.*' ? 'on the server' : `in database "${database}"`}`,
        `${grantScriptFix(store)}, or: ${statement}`,
      ),
    ];
  };
  return [
    ...(owner === undefined
      ? []
      : [
          ...missing(owner, 'owner', rights.onDatabase(owner), [...OWNER_RIGHTS, 'GRANT OPTION'], `${quoteIdentifier(database)}.*`, ' WITH GRANT OPTION'),
          ...missing(owner, 'owner', rights.onServer(owner), OWNER_SERVER_RIGHTS, '*.*'),
        ]),
    ...rights.accounts(shard.player.user).flatMap((player) => missing(player, 'player', rights.onServer(player), PLAYER_SERVER_RIGHTS, '*.*')),
    ...sameLogins(store),
  ];
}

function sameLogins({ shard }: CheckedStore): readonly Problem[] {
  const users = [shard.gateway.user, shard.player.user, shard.owner.user];
  return [...new Set(users.filter((user, at) => users.indexOf(user) !== at))].map((user) =>
    problem(`the logins must be three different ones, but "${user}" stands for two`, 'give the shard three logins'),
  );
}

/** Whether gateway or player may read none at all of the tables that they are to serve: nobody has run the grant script. One that is left out on purpose is no fault. */
export async function grantsProblems(store: CheckedStore, rights: AccountRights, signal: AbortSignal): Promise<readonly Problem[]> {
  const { client, shard } = store;
  const { rows } = await client.query(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'`, [], signal);
  const tables = rows.map(([name]) => String(name)).filter((name) => !isOwnTable(name));
  if (tables.length === 0) return [];
  const mayRead = (user: string): boolean =>
    rights.accounts(user).some((account) => rights.withRoles(account).some((grantee) => tables.some((table) => rights.onTable(grantee, table).has('SELECT'))));
  return [shard.gateway.user, shard.player.user]
    .filter((user) => !mayRead(user))
    .map((user) => problem(`login "${user}" may read none of the ${tables.length} tables of database "${shard.database}"`, grantScriptFix(store)));
}

import type { ValueRow } from '../session.ts';
import type { Statements } from '../store-client.ts';
import { accountText, KNOWN_ACCOUNT } from './accounts.ts';

/** Rights by their names in GRANT. */
export type Right =
  | 'SELECT'
  | 'INSERT'
  | 'UPDATE'
  | 'DELETE'
  | 'CREATE'
  | 'DROP'
  | 'REFERENCES'
  | 'INDEX'
  | 'ALTER'
  | 'TRIGGER'
  | 'CREATE ROUTINE'
  | 'ALTER ROUTINE'
  | 'EXECUTE'
  | 'GRANT OPTION'
  | 'PROCESS'
  | 'SUPER'
  | 'REPLICATION SLAVE'
  | 'BINLOG MONITOR';

/** Of a database and of the whole server: columns of mysql.db and mysql.user. */
const ofDatabase: Readonly<Record<string, Right>> = {
  Select_priv: 'SELECT',
  Insert_priv: 'INSERT',
  Update_priv: 'UPDATE',
  Delete_priv: 'DELETE',
  Create_priv: 'CREATE',
  Drop_priv: 'DROP',
  References_priv: 'REFERENCES',
  Index_priv: 'INDEX',
  Alter_priv: 'ALTER',
  Trigger_priv: 'TRIGGER',
  Create_routine_priv: 'CREATE ROUTINE',
  Alter_routine_priv: 'ALTER ROUTINE',
  Execute_priv: 'EXECUTE',
  Grant_priv: 'GRANT OPTION',
};
const ofServer: Readonly<Record<string, Right>> = {
  ...ofDatabase,
  Process_priv: 'PROCESS',
  Super_priv: 'SUPER',
  Repl_slave_priv: 'REPLICATION SLAVE',
  Repl_client_priv: 'BINLOG MONITOR',
};

/** What the owner has to read of the server's accounts: of everything but their secrets. Columns, or all where there are none. */
export const readOfAccounts: readonly (readonly [table: string, columns: readonly string[]])[] = [
  ['mysql.user', ['Host', 'User', 'is_role', ...Object.keys(ofServer)]],
  ['mysql.db', []],
  ['mysql.tables_priv', []],
  ['mysql.columns_priv', []],
  ['mysql.roles_mapping', []],
];

/** An account or a role, or everybody (PUBLIC). */
export interface Grantee {
  readonly user: string;
  /** Empty for a role. */
  readonly host: string;
  /** For people, and for statements. */
  readonly text: string;
}

/** Who has which rights on the tables of one database, given directly. What comes by a role is the role's. */
export class AccountRights {
  readonly grantees: readonly Grantee[];
  /** By the grantee's text: on everything, on the database, on each table. */
  readonly #server = new Map<string, ReadonlySet<Right>>();
  readonly #database = new Map<string, ReadonlySet<Right>>();
  readonly #tables = new Map<string, ReadonlySet<Right>>();
  /** Columns of each table that the grantee may write by a right on them alone. */
  readonly #columns = new Map<string, readonly string[]>();
  readonly #roles = new Map<string, readonly string[]>();

  constructor(facts: {
    readonly users: readonly ValueRow[];
    readonly databases: readonly ValueRow[];
    readonly tables: readonly ValueRow[];
    readonly columns: readonly ValueRow[];
    readonly roles: readonly ValueRow[];
    readonly database: string;
  }) {
    const grantees = new Map<string, Grantee>();
    const grantee = (host: unknown, user: unknown): string => {
      const found = granteeOf(String(host), String(user));
      grantees.set(found.text, found);
      return found.text;
    };
    const add = <T>(map: Map<string, ReadonlySet<T>>, key: string, more: Iterable<T>): void => void map.set(key, new Set([...(map.get(key) ?? []), ...more]));
    for (const [host, user, , ...flags] of facts.users) add(this.#server, grantee(host, user), flagged(Object.values(ofServer), flags));
    for (const [host, pattern, user, ...flags] of facts.databases)
      if (matches(String(pattern), facts.database)) add(this.#database, grantee(host, user), flagged(Object.values(ofDatabase), flags));
    for (const [host, user, table, rights] of facts.tables) add(this.#tables, `${grantee(host, user)} ${String(table)}`, namesOf(String(rights)));
    for (const [host, user, table, column] of facts.columns) {
      const key = `${grantee(host, user)} ${String(table)}`;
      this.#columns.set(key, [...(this.#columns.get(key) ?? []), String(column)]);
    }
    for (const [host, user, role] of facts.roles) {
      const key = grantee(host, user);
      this.#roles.set(key, [...(this.#roles.get(key) ?? []), String(role)]);
    }
    this.grantees = [...grantees.values()].toSorted((a, b) => (a.text < b.text ? -1 : 1));
  }

  /** Rights on the whole server. */
  onServer({ text }: Grantee): ReadonlySet<Right> {
    return this.#server.get(text) ?? new Set();
  }

  /** Rights on the database, those on the server included. */
  onDatabase(grantee: Grantee): ReadonlySet<Right> {
    return new Set([...this.onServer(grantee), ...(this.#database.get(grantee.text) ?? [])]);
  }

  /** Rights on a table, those on the database included. */
  onTable(grantee: Grantee, table: string): ReadonlySet<Right> {
    return new Set([...this.onDatabase(grantee), ...this.#ofTableAlone(grantee, table)]);
  }

  /** Whether rights of these are given on the table itself, on the database, or on the server; for a statement that takes them away. */
  scopeOf(grantee: Grantee, table: string, right: Right): 'table' | 'database' | 'server' | null {
    if (this.onServer(grantee).has(right)) return 'server';
    if (this.#database.get(grantee.text)?.has(right) === true) return 'database';
    return this.#ofTableAlone(grantee, table).has(right) ? 'table' : null;
  }

  /** Columns that it may write by rights on single columns. */
  columnsOf(grantee: Grantee, table: string): readonly string[] {
    return [...new Set(this.#columns.get(`${grantee.text} ${table}`) ?? [])];
  }

  /** Accounts with this name. */
  accounts(user: string): readonly Grantee[] {
    return this.grantees.filter((each) => each.user === user && each.host !== '' && this.#server.has(each.text));
  }

  /** The grantee, every role that it is a member of, and everybody. */
  withRoles(grantee: Grantee): readonly Grantee[] {
    const found = [grantee];
    for (const each of found)
      for (const name of this.#roles.get(each.text) ?? []) {
        const role = granteeOf('', name);
        if (!found.some(({ text }) => text === role.text)) found.push(role);
      }
    return [...found, granteeOf('', 'PUBLIC')];
  }

  #ofTableAlone(grantee: Grantee, table: string): ReadonlySet<Right> {
    return this.#tables.get(`${grantee.text} ${table}`) ?? new Set();
  }
}

/** STORE_DENIED: the grant script has not been run. */
export async function readAccountRights(statements: Statements, signal: AbortSignal): Promise<AccountRights> {
  const ask = async (text: string): Promise<readonly ValueRow[]> => (await statements.query(text, [], signal)).rows;
  const [[database] = []] = await ask('SELECT DATABASE()');
  return new AccountRights({
    users: await ask(`SELECT Host, User, is_role, ${Object.keys(ofServer).join(', ')} FROM mysql.user WHERE ${KNOWN_ACCOUNT}`),
    databases: await ask(`SELECT Host, Db, User, ${Object.keys(ofDatabase).join(', ')} FROM mysql.db`),
    tables: await ask('SELECT Host, User, Table_name, Table_priv FROM mysql.tables_priv WHERE Db = DATABASE()'),
    columns: await ask(
      `SELECT Host, User, Table_name, Column_name FROM mysql.columns_priv WHERE Db = DATABASE() AND (FIND_IN_SET('Insert', Column_priv) OR FIND_IN_SET('Update', Column_priv))`,
    ),
    roles: await ask('SELECT Host, User, Role FROM mysql.roles_mapping'),
    database: String(database),
  });
}

const granteeOf = (host: string, user: string): Grantee => ({ user, host, text: host === '' ? roleText(user) : accountText(user, host) });
const roleText = (name: string): string => (name === 'PUBLIC' ? name : `\`${name.replaceAll('`', '``')}\``);

const flagged = (rights: readonly Right[], flags: ValueRow): readonly Right[] => rights.filter((_, at) => flags[at] === 'Y');

/** Of a set such as "Select,Create View". */
const namesOf = (set: string): readonly Right[] => set.split(',').map((name) => (name === 'Grant' ? 'GRANT OPTION' : (name.toUpperCase() as Right)));

/** Whether a database's name is meant by what rights were given on, in which "_" and "%" stand for others. */
function matches(pattern: string, database: string): boolean {
  const source = pattern.replaceAll(/\\[_%\\]|[\s\S]/g, (part) => {
    if (part === '_') return '[\\s\\S]';
    if (part === '%') return '[\\s\\S]*';
    return RegExp.escape(part.length > 1 ? part.slice(1) : part);
  });
  return new RegExp(`^${source}$`, 'u').test(database);
}

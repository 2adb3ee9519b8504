import { quoteText } from '../connection.ts';
import type { Statements } from '../store-client.ts';

/**
 * SQL, on mysql.user: the account is one that the server knows. With skip_name_resolve it ignores those of a machine's name, as of its next start, and a GRANT to such a one fails. A role has no host, and is known.
 */
export const KNOWN_ACCOUNT = `(NOT @@skip_name_resolve OR Host = 'localhost' OR Host REGEXP '[:%_/]|^[0-9.]*$')`;

/** FROM takes it: the accounts of a login, whose name is given as SQL. */
export const accountsNamed = (user: string): string => `mysql.user WHERE User = ${user} AND is_role = 'N' AND ${KNOWN_ACCOUNT}`;

/** The accounts of a login, as SQL: the server has one for each machine, or set of machines, that may connect as it. */
export async function accountsOf(statements: Statements, user: string, signal: AbortSignal): Promise<readonly string[]> {
  const { rows } = await statements.query(`SELECT Host FROM ${accountsNamed('?')} ORDER BY Host`, [user], signal);
  return rows.map(([host]) => accountText(user, String(host)));
}

export const accountText = (user: string, host: string): string => `${quoteText(user)}@${quoteText(host)}`;

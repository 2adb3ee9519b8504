import { quoteText } from '../connection.ts';
import type { Statements } from '../store-client.ts';

/** The accounts of a login, as SQL: the server has one for each machine, or set of machines, that may connect as it. */
export async function accountsOf(statements: Statements, user: string, signal: AbortSignal): Promise<readonly string[]> {
  const { rows } = await statements.query(`SELECT Host FROM mysql.user WHERE User = ? AND is_role = 'N' ORDER BY Host`, [user], signal);
  return rows.map(([host]) => accountText(user, String(host)));
}

export const accountText = (user: string, host: string): string => `${quoteText(user)}@${quoteText(host)}`;

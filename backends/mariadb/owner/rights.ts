import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope } from '../../backend.ts';
import { quoteIdentifier } from '../connection.ts';
import { FENCE_TABLE } from '../names.ts';
import { type AccountRights, type Grantee, readAccountRights } from './account-rights.ts';
import { type Preparing, presentTables, requireOwned } from './claims.ts';
import { RIGHTS_TABLE } from './store-sql.ts';

const GATEWAY_RIGHTS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const;

/** See `OwnerStore.gatewayRights`: what any of the gateway's accounts has, by itself, by a role, or as everybody has it. */
export async function gatewayRights({ client, shard }: Preparing, tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
  const rights = await readAccountRights(client, signal);
  const accounts = rights.accounts(shard.gateway.user);
  const has = (table: string, right: (typeof GATEWAY_RIGHTS)[number]): boolean => accounts.some((account) => mayDo(rights, account, table, right));
  return new Map((await presentTables(client, tables, signal)).map((table) => [table, GATEWAY_RIGHTS.filter((right) => has(table, right))]));
}

/**
 * See `OwnerStore.saveRights`. Rights are not what fences here, and GRANT commits by itself: so what is still missing is given at once, while the fence keeps the table shut. None is taken away, for whoever has slept meanwhile would take it
 * from a table that is in use.
 */
export async function saveRights(preparing: Preparing, scope: FenceScope, saved: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void> {
  const { client, shard } = preparing;
  const foreign = [...saved.values()].flat().find((right) => !GATEWAY_RIGHTS.some((each) => each === right));
  if (foreign !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', `"${foreign}" is no right of a gateway`);
  await requireOwned(client, { ...scope, tables: [...saved.keys()] }, 'any', signal);
  const rights = await readAccountRights(client, signal);
  const present = await presentTables(client, [...saved.keys()], signal);
  // First: an account that may read a table and not its fence row would read past the fence.
  for (const account of rights.accounts(shard.gateway.user))
    if (!mayDo(rights, account, FENCE_TABLE, 'SELECT')) await client.command(`GRANT SELECT ON ${FENCE_TABLE} TO ${account.text}`, signal);
  for (const [table, names] of saved) {
    const put = `INSERT INTO ${RIGHTS_TABLE} (table_name, privileges) VALUES (?, ?) ON DUPLICATE KEY UPDATE privileges = VALUES(privileges)`;
    await client.query(put, [table, names.join(',')], signal);
    if (!present.includes(table)) continue;
    for (const account of rights.accounts(shard.gateway.user)) {
      const missing = GATEWAY_RIGHTS.filter((right) => names.includes(right) && !mayDo(rights, account, table, right));
      if (missing.length > 0) await client.command(`GRANT ${missing.join(', ')} ON TABLE ${quoteIdentifier(table)} TO ${account.text}`, signal);
    }
  }
}

const mayDo = (rights: AccountRights, account: Grantee, table: string, right: (typeof GATEWAY_RIGHTS)[number]): boolean =>
  rights.withRoles(account).some((grantee) => rights.onTable(grantee, table).has(right));

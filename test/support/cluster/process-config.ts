// What the harness tells the processes: the one file that knows their configuration.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ShardSchema } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { SHOP_LOGINS, type ShopRole } from '../servers/shop.ts';

/** Every key of the cluster lies under `switchyard/<clusterName>/`. */
export const clusterName = 'test';

const variables: Readonly<Record<ShopRole, string>> = { gateway: 'SHOP_GATEWAY_PASSWORD', player: 'SHOP_PLAYER_PASSWORD', owner: 'SHOP_OWNER_PASSWORD' };

/** A gateway can resolve its own secret only, as in production. */
export function processEnv(kind: 'gateway' | 'control'): Readonly<Record<string, string>> {
  const roles: readonly ShopRole[] = kind === 'gateway' ? ['gateway'] : ['gateway', 'player', 'owner'];
  return Object.fromEntries(roles.map((role) => [variables[role], SHOP_LOGINS[role].password]));
}

export function gatewayConfig(id: string, address: string, http: string | null, consul: string): Readonly<Record<string, unknown>> {
  // The stores run on the same few cores as everything else here: more connections at work at once would only take turns.
  return { id, cluster: clusterName, consul, listen: address, http: http ?? 'off', pool: { size: 6 } };
}

export function controlConfig(id: string, address: string, consul: string): Readonly<Record<string, unknown>> {
  return { id, cluster: clusterName, consul, listen: address, metrics: 'off' };
}

/** How a keyspace names the login of a role: the secret is in the environment of those processes that may have it. */
export const credentialOf = (role: ShopRole) => ({ user: SHOP_LOGINS[role].user, password: `env:${variables[role]}` });

/** A database of a server as a shard, with the three logins of the shop. */
const serverShard =
  (kind: 'postgres' | 'mariadb') =>
  ({ host, port }: { readonly host: string; readonly port: number }, database: string): MessageInitShape<typeof ShardSchema> => {
    return { kind, host, port, database, gateway: credentialOf('gateway'), player: credentialOf('player'), owner: credentialOf('owner') };
  };
export const postgresShard = serverShard('postgres');
export const mariadbShard = serverShard('mariadb');

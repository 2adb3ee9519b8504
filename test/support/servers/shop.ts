import { type PostgresLogin, type PostgresServer, quoteIdentifier, quoteLiteral } from './postgres.ts';

/** The three identities that Switchyard uses in a store, with the passwords that they have in tests and in the sandbox. */
export const SHOP_LOGINS = {
  /** Owns the database and its tables. */
  owner: { user: 'shop_owner', password: 'owner-demo' },
  /** Reads the changes and applies them; may replicate. */
  player: { user: 'shop_player', password: 'player-demo' },
  /** Serves callers. */
  gateway: { user: 'shop_gateway', password: 'gateway-demo' },
} as const satisfies Record<string, PostgresLogin>;

export type ShopRole = keyof typeof SHOP_LOGINS;

export interface ShopOptions {
  /** Load pgbench's tables as the owner, or leave the database empty. */
  readonly tables: boolean;
  /** pgbench's scale: 100,000 accounts each. Default 1. */
  readonly scale?: number;
  /** Default `shop`. Must not exist yet. */
  readonly database?: string;
}

export interface Shop {
  readonly database: string;
  /** Connection URL of each role. */
  readonly urls: Readonly<Record<ShopRole, string>>;
}

// pgbench's history has no key. The player of a table without one would have to compare whole rows.
const HISTORY_KEY = 'ALTER TABLE pgbench_history ADD hid bigserial PRIMARY KEY, ADD op_id uuid;';

/**
 * Makes the three login roles where they are missing and a database of the owner's, with or without pgbench's tables
 * (`pgbench_history` gets a key). Player and gateway get no right on any table: granting is part of what is tested.
 * Rejects when the database exists.
 */
export async function createShop(server: PostgresServer, options: ShopOptions): Promise<Shop> {
  const database = options.database ?? 'shop';
  await server.psql('postgres', Object.values(SHOP_LOGINS).map(roleStatements).join('\n'));
  await server.createDatabase(database, SHOP_LOGINS.owner.user);
  if (options.tables) {
    const login = SHOP_LOGINS.owner;
    await server.pgbenchInit(database, options.scale ?? 1, { login });
    await server.psql(database, HISTORY_KEY, { login });
  }
  const { owner, player, gateway } = SHOP_LOGINS;
  return { database, urls: { owner: server.url(database, owner), player: server.url(database, player), gateway: server.url(database, gateway) } };
}

function roleStatements({ user, password }: PostgresLogin): string {
  const attributes = user === SHOP_LOGINS.player.user ? 'LOGIN REPLICATION' : 'LOGIN';
  const role = quoteIdentifier(user);
  return `SELECT ${quoteLiteral(`CREATE ROLE ${role}`)} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${quoteLiteral(user)}) \\gexec
ALTER ROLE ${role} ${attributes} PASSWORD ${quoteLiteral(password)};`;
}

import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ConsulServer, startConsul } from './consul.ts';
import { isPortFree } from './free-port.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { createShop, SHOP_LOGINS, type Shop } from './shop.ts';

export interface SandboxOptions {
  readonly oldPort: number;
  readonly newPort: number;
  readonly consulPort: number;
  /** Where the servers' logs go and stay; made when it is missing. Default: they go with the servers. */
  readonly directory?: string;
}

/** What a first try needs: a shop's database on an old server, an empty one on a new server, and Consul. */
export interface Sandbox extends AsyncDisposable {
  readonly old: { readonly server: PostgresServer; readonly shop: Shop };
  readonly new: { readonly server: PostgresServer; readonly shop: Shop };
  readonly consul: ConsulServer;
}

/** Starts all three at once, in some seconds. When one of them fails, nothing stays. Rejects when a port is taken. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  await assertFree({ '--old-port': options.oldPort, '--new-port': options.newPort, '--consul-port': options.consulPort });
  const directory = options.directory === undefined ? undefined : resolve(options.directory);
  if (directory !== undefined) await mkdir(directory, { recursive: true });
  const log = (name: string) => (directory === undefined ? {} : { logFile: join(directory, `${name}.log`) });

  const stack = new AsyncDisposableStack();
  const startShop = async (name: string, port: number, tables: boolean) => {
    const server = stack.use(await startPostgres({ name, port, superuserPassword: 'admin-demo', ...log(name) }));
    return { server, shop: await createShop(server, { tables }) };
  };
  const starts = await Promise.allSettled([
    startShop('old', options.oldPort, true),
    startShop('new', options.newPort, false),
    startConsul({ port: options.consulPort, ...log('consul') }).then((consul) => stack.use(consul)),
  ]);
  const [oldShop, newShop, consul] = starts;
  if (oldShop.status === 'fulfilled' && newShop.status === 'fulfilled' && consul.status === 'fulfilled') {
    return { old: oldShop.value, new: newShop.value, consul: consul.value, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }
  await stack.disposeAsync();
  throw starts.find((start) => start.status === 'rejected')?.reason;
}

async function assertFree(ports: Readonly<Record<string, number>>): Promise<void> {
  for (const [option, port] of Object.entries(ports)) {
    if (!(await isPortFree(port))) throw new Error(`port ${port} on 127.0.0.1 is taken: choose another with ${option}`);
  }
  if (new Set(Object.values(ports)).size < Object.keys(ports).length) throw new Error(`${Object.keys(ports).join(', ')} must differ`);
}

/** What was started, and what to type next, as plain lines for a terminal. */
export function describeSandbox(sandbox: Sandbox): string {
  const { owner, player, gateway } = SHOP_LOGINS;
  const postgres = ({ server, shop }: Sandbox['old']) => `${server.host}:${server.port}, database ${shop.database}`;
  const grants = (name: 'old' | 'new') =>
    `    npm run -s switchyard -- keyspace grants ${name} | npm run -s servers -- psql -q -v ON_ERROR_STOP=1 ${sandbox[name].server.url(sandbox[name].shop.database)}`;
  return `
PostgreSQL "old"  ${postgres(sandbox.old)} (pgbench's tables, owned by ${owner.user})
PostgreSQL "new"  ${postgres(sandbox.new)} (empty)
Consul            ${sandbox.consul.address}

Roles on both servers (password): ${[owner, player, gateway].map(({ user, password }) => `${user} (${password})`).join(', ')}
Administrators: ${sandbox.old.server.url('postgres')}
                ${sandbox.new.server.url('postgres')}

Go on in the README at the second terminal, or by hand in every other terminal:

    export SHOP_OWNER_PASSWORD=${owner.password} SHOP_PLAYER_PASSWORD=${player.password} SHOP_GATEWAY_PASSWORD=${gateway.password}

Then a control process and a gateway, each in its own terminal (--help shows their options):

    npm run -s switchyard -- control
    npm run -s switchyard -- gateway

Then tell them about the two servers and run the grants that they ask for (change the ports in the file if you chose others):

    npm run -s switchyard -- keyspace apply -f examples/first-move/keyspaces.yaml
${grants('old')}
${grants('new')}

Consul's own command: npm run -s servers -- consul kv get -http-addr=${sandbox.consul.address} -keys -separator= ""

Ctrl-C here stops all three servers and removes their data.
`;
}

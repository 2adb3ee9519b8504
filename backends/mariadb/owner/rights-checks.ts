import type { ServerShard } from '../../../core/keyspace.ts';
import type { Problem } from '../../backend.ts';
import { quoteIdentifier } from '../connection.ts';
import type { AccountRights, Grantee, Right } from './account-rights.ts';

/** With these a table is written past its triggers, or loses them. */
const pastTheFence: readonly Right[] = ['DROP', 'ALTER', 'TRIGGER'];
const EVERYBODY = 'PUBLIC';
const writing: readonly Right[] = ['INSERT', 'UPDATE', 'DELETE'];

/**
 * Rights with which somebody comes past the fence, and writers that the fence would turn away with an error. Administrators (SUPER) come past everything, and are left out, unless the gateway is one. What comes by membership in a role is
 * told of the role. `tables` empty: of the gateway's rights on the database alone.
 */
export function rightsProblems(shard: ServerShard, rights: AccountRights, tables: readonly string[]): readonly Problem[] {
  const gateways = new Set(rights.accounts(shard.gateway.user).flatMap((account) => rights.withRoles(account).map(({ text }) => text)));
  const isAdministrator = (grantee: Grantee): boolean => rights.onServer(grantee).has('SUPER');
  const own = rights.grantees.filter(({ text }) => gateways.has(text) && text !== EVERYBODY);
  const others = rights.grantees.filter((grantee) => grantee.user !== shard.owner.user && (grantee.text === EVERYBODY || !gateways.has(grantee.text)) && !isAdministrator(grantee));
  return [
    ...own.filter(isAdministrator).map(
      (grantee): Problem => ({
        table: null,
        message: `the gateway's ${what(grantee)} is an administrator (SUPER), who comes past every fence`,
        fix: revoke(['SUPER'], '*.*', grantee, ', then run the grant script'),
      }),
    ),
    ...own.flatMap((grantee) => ownTableProblems(shard, rights, grantee)),
    ...tables.flatMap((table) => [
      ...own.filter((grantee) => !isAdministrator(grantee)).flatMap((grantee) => pastProblems(shard, rights, grantee, table)),
      ...others.flatMap((grantee) => [
        ...pastProblems(shard, rights, grantee, table),
        ...(grantee.user === shard.player.user ? [] : writerProblems(shard, rights, grantee, table)),
      ]),
    ]),
  ];
}

/** A gateway that may write every table of the database may write its fence as well. */
function ownTableProblems({ database }: ServerShard, rights: AccountRights, grantee: Grantee): readonly Problem[] {
  const given = writing.filter((right) => rights.onDatabase(grantee).has(right));
  if (given.length === 0 || rights.onServer(grantee).has('SUPER')) return [];
  const on = given.some((right) => rights.onServer(grantee).has(right)) ? '*.*' : `${quoteIdentifier(database)}.*`;
  const message = `the gateway's ${what(grantee)} has ${given.join(', ')} on the whole ${on === '*.*' ? 'server' : 'database'}, Switchyard's own tables included`;
  return [{ table: null, message, fix: revoke(given, on, grantee, ', then run the grant script') }];
}

function pastProblems({ database }: ServerShard, rights: AccountRights, grantee: Grantee, table: string): readonly Problem[] {
  const given = pastTheFence.filter((right) => rights.onTable(grantee, table).has(right));
  if (given.length === 0) return [];
  const message = `${what(grantee)} has ${given.join(', ')}, with which it is emptied past every trigger (TRUNCATE), or loses them`;
  return [{ table, message, fix: revokeAll(database, rights, grantee, table, given) }];
}

function writerProblems({ database }: ServerShard, rights: AccountRights, grantee: Grantee, table: string): readonly Problem[] {
  const given = writing.filter((right) => rights.onTable(grantee, table).has(right));
  const columns = given.length === 0 ? rights.columnsOf(grantee, table) : [];
  if (given.length === 0 && columns.length === 0) return [];
  const fix =
    given.length > 0 ? revokeAll(database, rights, grantee, table, given) : revoke([`INSERT (${names(columns)})`, `UPDATE (${names(columns)})`], quoteIdentifier(table), grantee);
  return [{ table, message: `${what(grantee)} may write it without the gateway; the fence will reject that with an error`, fix: `${fix}, and let its programs call the gateway` }];
}

/** Where each right was given is where it must be taken away. */
function revokeAll(database: string, rights: AccountRights, grantee: Grantee, table: string, given: readonly Right[]): string {
  const places = { table: quoteIdentifier(table), database: `${quoteIdentifier(database)}.*`, server: '*.*' } as const;
  const statements = (['server', 'database', 'table'] as const).flatMap((place) => {
    const here = given.filter((right) => rights.scopeOf(grantee, table, right) === place);
    return here.length === 0 ? [] : [revoke(here, places[place], grantee)];
  });
  return statements.join('; ');
}

const names = (columns: readonly string[]): string => columns.map(quoteIdentifier).join(', ');
const revoke = (rights: readonly string[], on: string, { text }: Grantee, more = ''): string => `REVOKE ${rights.join(', ')} ON ${on} FROM ${text}${more}`;
const what = ({ host, text }: Grantee): string => (text === EVERYBODY ? 'everybody (PUBLIC)' : `${host === '' ? 'role' : 'account'} ${text}`);

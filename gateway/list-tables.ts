import { placeOf } from '../core/routing-table.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { FenceView } from './rules/fence-view.ts';
import type { Routing } from './rules/routing.ts';
import type { Stores } from './stores.ts';

/** Finds the names by which tables can be asked for just now. */
export class TableList {
  readonly #stores: Stores;
  readonly #routing: Routing;
  readonly #fenceView: FenceView;

  constructor(stores: Stores, routing: Routing, fenceView: FenceView) {
    this.#stores = stores;
    this.#routing = routing;
    this.#fenceView = fenceView;
  }

  /** In order of name: the bare name where it leads to the table, else the qualified one. The other end of a moved table is no table of its own. Fails when a keyspace does not answer. */
  async names(signal: AbortSignal): Promise<readonly string[]> {
    const routing = this.#routing.current();
    const keyspaces = [...this.#stores.known()];
    const lists = await Promise.all(keyspaces.map(async (keyspace) => ({ keyspace, tables: await this.#stores.use(keyspace, (store) => store.listTables(signal)) })));
    const names = new Set<string>();
    for (const { keyspace, tables } of lists) {
      for (const table of tables) {
        const ref = routing.resolve(placeOf(keyspace, table));
        if (this.#fenceView.homeOf(ref) !== keyspace) continue;
        const bare = routing.resolve(table);
        names.add(bare.key === ref.key ? table : placeOf(keyspace, table));
      }
    }
    return [...names].sort();
  }
}

/** One page of the names. The token is the last name given. */
export function listTablesPage(names: readonly string[], pageSize: number, pageToken: string): { tables: string[]; nextPageToken: string } {
  const after = pageToken === '' ? null : Buffer.from(pageToken, 'base64url').toString('utf8');
  if (after !== null && Buffer.from(after).toString('base64url') !== pageToken)
    throw new SwitchyardError('PAGE_TOKEN_INVALID', 'page_token: it is malformed; give next_page_token of an earlier answer, or leave it out');
  const rest = after === null ? names : names.filter((name) => name > after);
  const tables = rest.slice(0, pageSize);
  const last = tables[tables.length - 1];
  return { tables, nextPageToken: rest.length > tables.length && last !== undefined ? Buffer.from(last).toString('base64url') : '' };
}

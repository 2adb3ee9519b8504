import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { Network } from '../simulation/kernel/network.ts';
import { SimProcess } from '../simulation/kernel/process.ts';
import { Random } from '../simulation/kernel/random.ts';
import { SimDataStore } from '../simulation/store/data-store.ts';
import { Engine } from '../simulation/store/engine.ts';
import { SimOwnerStore } from '../simulation/store/owner-store.ts';
import { SimReplicationStore } from '../simulation/store/replication-store.ts';
import { StoreServer } from '../simulation/store/server.ts';
import { StoreLink } from '../simulation/store/store-link.ts';
import { Transaction } from '../simulation/store/transaction.ts';
import type { MoveDialect } from './move-dialect.ts';
import type { MoveStores, RawSession, StoreUnderTest } from './move-stores.ts';
import { RealTimeline } from './real-timeline.ts';
import type { StoresSource } from './armed-stores.ts';
import { SimulatedSession } from './simulated-session.ts';

const insert = (name: string): string => `INSERT INTO item (name) VALUES ('${name}')`;

export const simulatedDialect: MoveDialect = {
  name: 'the simulated store',
  codes: { write: 'fenced', writeOfReader: 'insufficient_privilege', oldSnapshot: 'serialization_failure', read: 'insufficient_privilege' },
  own: (table) => `own_${table}`,
  series: (count) => `series(${count})`,
  textOfI: 'text32(i)',
  repeated: (text, times) => `repeat(${text}, ${times})`,
  everyType: `INSERT INTO item (name, amount, price, big) VALUES ('all', 9223372036854775807, 12.5000, 'ünïcödé 🚂'), ('none', 0, NULL, NULL)`,
  somePosition: '1',
  numbered: [['item', 'id']],
  beginSnapshot: ['BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN ISOLATION LEVEL SERIALIZABLE'],
  warmInsert: { prepare: null, use: insert },
  holdStream: (id) => `BEGIN; HOLD_STREAM '${id}'`,
  dropOwn: 'DROP_OWN',
  withoutRequests: 'DROP_OWN',
  fencedWrites: ['UPDATE item SET amount = 1 WHERE FALSE', 'DELETE FROM item WHERE FALSE'],
  traps: [['GRANT SELECT ON item TO PUBLIC', /SELECT through PUBLIC/, 'REVOKE ALL ON item FROM PUBLIC']],
  has: { rights: true, manyWriters: true, preparedTransactions: false, transactionsInLog: true, unchangedCells: false, truncate: false, constraints: false, autovacuum: false },
};

const column = (name: string, kind: 'int64' | 'int32' | 'text' | 'decimal', hasDefault = false) => ({ name, kind, nullable: true, hasDefault, generated: false, nativeType: kind });

const tables: readonly TableSchema[] = [
  {
    name: 'item',
    columns: [column('id', 'int64', true), column('name', 'text'), column('amount', 'int32', true), column('price', 'decimal'), column('big', 'text')],
    primaryKey: ['id'],
    uniqueKeys: [],
    fingerprint: 'item/1',
  },
  {
    name: 'line',
    columns: [column('item_id', 'int64'), column('line', 'int32', true), column('quantity', 'int32')],
    primaryKey: ['item_id', 'line'],
    uniqueKeys: [],
    fingerprint: 'line/1',
  },
];

/** Pairs of simulated stores, in real time and without faults. */
export class SimulatedPairs implements StoresSource {
  async fresh(): Promise<MoveStores> {
    const random = new Random('contract');
    const timeline = new RealTimeline();
    const network = new Network(timeline, random.fork('network'));
    const process = new SimProcess('suite', timeline, random.fork('suite'));
    const [source, target] = ['source', 'target'].map((name) => new StoreServer(new Engine(name), timeline, random.fork(name), new Set()));
    if (source === undefined || target === undefined) throw new Error('two stores');
    fill(source);
    const under = (server: StoreServer): StoreUnderTest => new OneStore(new StoreLink(process, server, network, timeline));
    return {
      source: under(source),
      target: under(target),
      async [Symbol.asyncDispose]() {
        for (const server of [source, target]) server.crash(true);
        process.kill();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function fill(server: StoreServer): void {
  const transaction = new Transaction(server, 'owner');
  for (const table of tables) {
    transaction.put('table', table.name, table);
    transaction.put('acl', table.name, ['SELECT', 'INSERT', 'UPDATE', 'DELETE']);
  }
  transaction.put('sequence', 'item.id', { table: 'item', column: 'id', value: 0n });
  transaction.put('reference', 'line', 'item');
  transaction.commit();
}

class OneStore implements StoreUnderTest {
  readonly owner: SimOwnerStore;
  readonly player: SimReplicationStore;
  readonly #link: StoreLink;

  constructor(link: StoreLink) {
    this.#link = link;
    this.owner = new SimOwnerStore(link);
    this.player = new SimReplicationStore(link);
  }

  openData(_options?: Partial<StoreOptions>): DataStore {
    return new SimDataStore(this.#link);
  }

  async session(identity: 'gateway' | 'owner' | 'player' | 'admin'): Promise<RawSession> {
    return new SimulatedSession(this.#link, identity === 'admin' ? 'owner' : identity);
  }

  async sql(text: string, identity: 'gateway' | 'owner' | 'player' | 'admin' = 'gateway'): Promise<readonly (readonly (string | null)[])[]> {
    const session = await this.session(identity);
    try {
      return await session.query(text);
    } finally {
      await session.close();
    }
  }
}

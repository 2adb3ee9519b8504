import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DataStore } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import { attempt } from '../../core/ids.ts';
import type { Filter, WriteOperation } from '../../core/operation.ts';
import type { OnceRequest } from '../../core/request-record.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { deleteItem, failure, reasonOf, updateItem } from './data-store-harness.ts';
import { type MoveDialect, testWhere } from './move-dialect.ts';
import { type MoveStores, never, SOURCE, type StoreUnderTest } from './move-stores.ts';
import { insertNamed, onceRequest, type OnceText, writeOnce } from './once.ts';
import type { StoresSource } from './armed-stores.ts';

const AT_ONCE = 20;

/** Writes with a request id as every kind of store must do them: however often and from wherever one is sent, it is done once, and every answer is the first one's. */
export function writeOnceContract(dialect: MoveDialect, start: () => Promise<StoresSource>): void {
  describe(`${dialect.name}: a write that is done once`, () => {
    let servers: StoresSource;
    let stores: MoveStores;
    /** Two gateways of one store. */
    let gateways: readonly [DataStore, DataStore];
    let schemas: ReadonlyMap<string, TableSchema>;

    beforeAll(async () => {
      servers = await start();
      stores = await servers.fresh();
      await stores.source.owner.install(never());
      gateways = [stores.source.openData(), stores.source.openData()];
      schemas = await schemasOf(gateways[0]);
    });
    afterAll(async () => {
      for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
      await stores[Symbol.asyncDispose]();
      await servers[Symbol.asyncDispose]();
    });

    const once = (id: string, operations: readonly WriteOperation[], more?: Partial<OnceRequest>): Promise<OnceText> => writeOnce(gateways[0], schemas, id, operations, more);
    const addItem = async (name: string, amount = 0): Promise<bigint> => {
      const [result] = await gateways[0].write(schemas, [insertNamed(name, amount)], never());
      return result?.row?.cells[0] as bigint;
    };
    const amountOf = async (id: bigint): Promise<Cell | undefined> =>
      (await gateways[0].get(schemas.get('item') as TableSchema, { key: [id], columns: ['amount'] }, never()))?.cells[0];
    const countOf = async (name: string): Promise<Cell | undefined> => (await stores.source.sql(`SELECT count(*) FROM item WHERE name = '${name}'`, 'owner'))[0]?.[0];
    const add = (id: bigint, amount: number, precondition?: Filter): WriteOperation =>
      updateItem(id, {}, { add: { amount }, returning: ['amount'], ...(precondition === undefined ? {} : { precondition }) });
    const amountIs = (value: number): Filter => ({ kind: 'compare', column: 'amount', operator: '=', value });

    test('answers a repetition with its first result, also when the row has changed or is gone', async () => {
      const id = await addItem('repeated', 5);
      expect(await once('repeated', [add(id, 1)])).toEqual({ result: 'true:6', repeated: false });
      expect(await once('repeated', [add(id, 1)])).toEqual({ result: 'true:6', repeated: true });
      expect(await writeOnce(gateways[1], schemas, 'repeated', [add(id, 1)])).toEqual({ result: 'true:6', repeated: true });
      await gateways[0].write(schemas, [updateItem(id, { amount: 100 })], never());
      expect(await once('repeated', [add(id, 1)])).toEqual({ result: 'true:6', repeated: true });
      expect(await amountOf(id)).toBe(100);
      await gateways[0].write(schemas, [deleteItem(id)], never());
      expect(await once('repeated', [add(id, 1)])).toEqual({ result: 'true:6', repeated: true });
    });

    test('answers a repetition that would fail by now with its first result', async () => {
      const inserted = await once('inserted', [insertNamed('inserted')]);
      expect(await once('inserted', [insertNamed('inserted')])).toEqual({ ...inserted, repeated: true });
      const id = await addItem('gone', 1);
      expect(await once('gone', [deleteItem(id, { precondition: amountIs(1) })])).toEqual({ result: 'true:', repeated: false });
      expect(await once('gone', [deleteItem(id, { precondition: amountIs(1) })])).toEqual({ result: 'true:', repeated: true });
    });

    test('keeps a result of any bytes, an empty one too', async () => {
      const results = [Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.alloc(0), Buffer.alloc(100_000, 'é\\x\'"')];
      for (const [i, bytes] of results.entries()) {
        for (const repeated of [false, true]) {
          const operations = [insertNamed(`bytes ${i}`)];
          const answer = await gateways[0].writeOnce(schemas, operations, onceRequest(`bytes ${i}`, operations, { encode: () => bytes }), never());
          expect(answer.repeated).toBe(repeated);
          expect(Buffer.compare(answer.result, bytes)).toBe(0);
        }
      }
    });

    test('refuses the id for other content, for another table too, and writes nothing', async () => {
      const id = await addItem('reused', 1);
      await once('reused', [add(id, 1)]);
      const refusals: readonly [readonly WriteOperation[], Partial<OnceRequest>][] = [
        [[add(id, 2)], {}],
        [[add(id, 1)], { table: 'line' }],
        [[insertNamed('reused')], {}],
      ];
      for (const [operations, more] of refusals) {
        const refused = await failure(once('reused', operations, more));
        expect(refused).toMatchObject({ reason: 'REQUEST_ID_REUSED', metadata: { request_id: 'reused' } });
        expect(refused.message).toMatch(/"item".*use a new id for a new write/);
      }
      expect(await amountOf(id)).toBe(2);
      expect(await once('reused', [add(id, 1)])).toEqual({ result: 'true:2', repeated: true });
    });

    test('keeps the ids of one caller apart from those of another', async () => {
      const id = await addItem('callers', 0);
      for (const caller of ['', 'a', 'A', 'ä', "'", '😀']) expect((await once('callers', [add(id, 1)], { caller })).repeated).toBe(false);
      for (const caller of ['', 'a', 'A', 'ä', "'", '😀']) expect((await once('callers', [add(id, 1)], { caller })).repeated).toBe(true);
      expect(await amountOf(id)).toBe(6);
    });

    const insertLine = (id: bigint, line: number): WriteOperation => ({
      kind: 'insert',
      table: 'line',
      row: { columns: ['item_id', 'line', 'quantity'], cells: [id, line, 1] },
      returning: ['line'],
    });
    /** `operations` of the sender's number; what is there afterwards of the item, of its lines and of the rows named "new". */
    const races: readonly {
      readonly what: string;
      readonly operations: (id: bigint, sender: number) => readonly WriteOperation[];
      readonly left: readonly [Cell | undefined, number, number];
    }[] = [
      { what: 'a sum', operations: (id) => [add(id, 1)], left: [1, 0, 0] },
      { what: 'a row that has to be as it was', operations: (id) => [add(id, 1, amountIs(0))], left: [1, 0, 0] },
      { what: 'a row that goes', operations: (id) => [deleteItem(id)], left: [undefined, 0, 0] },
      { what: 'a new row', operations: () => [insertNamed('new')], left: [0, 0, 1] },
      { what: 'several writes', operations: (id) => [insertLine(id, 1), add(id, 1), insertNamed('new')], left: [1, 1, 1] },
      // Nothing but the record is in the way of the others.
      { what: 'rows that the store tells apart', operations: (id, sender) => [insertLine(id, sender)], left: [0, 1, 0] },
    ];
    test.each(races)('is done once when twenty of the same come at once: $what', async ({ what, operations, left }) => {
      const id = await addItem(what);
      const sent = Array.from({ length: AT_ONCE }, (_, i) => writeOnce(gateways[i % 2] as DataStore, schemas, what, operations(id, i), { digest: what }));
      const answers = await Promise.all(sent);
      expect(answers.filter(({ repeated }) => !repeated)).toHaveLength(1);
      expect(new Set(answers.map(({ result }) => result)).size).toBe(1);
      const [[lines] = []] = await stores.source.sql(`SELECT count(*) FROM line WHERE item_id = ${id}`, 'owner');
      expect([await amountOf(id), Number(lines), Number(await countOf('new'))]).toEqual(left);
      await stores.source.sql(`DELETE FROM item WHERE name = 'new'`, 'owner');
    });

    testWhere(dialect.has.constraints, 'the store knows neither unique keys nor checks')('that fails leaves no record, and may be done later', async () => {
      const taken = await addItem('taken');
      const id = await addItem('may be done later', 1);
      const failing: readonly [string, readonly WriteOperation[], string][] = [
        ['unique', [insertNamed('taken')], 'UNIQUE_VIOLATION'],
        ['unmet', [add(id, 1, amountIs(2))], 'PRECONDITION_FAILED'],
        ['missing', [add(id, 10), deleteItem(999_999n), insertNamed('missing')], 'ROW_NOT_FOUND'],
        ['broken', [add(id, 10), add(id, -5_000)], 'CHECK_VIOLATION'],
      ];
      for (const [request, operations, reason] of failing) {
        expect(await reasonOf(once(request, operations))).toBe(reason);
        expect(await reasonOf(once(request, operations))).toBe(reason);
      }
      expect(await amountOf(id)).toBe(1);
      await gateways[0].write(schemas, [deleteItem(taken), updateItem(id, { amount: 2 })], never());
      expect((await once('unique', [insertNamed('taken')])).repeated).toBe(false);
      expect(await once('unmet', [add(id, 1, amountIs(2))])).toEqual({ result: 'true:3', repeated: false });
      // With other content too: nothing has been recorded of the first.
      expect((await once('missing', [add(id, 1)])).repeated).toBe(false);
    });

    test('may be several writes, all or nothing', async () => {
      const id = await addItem('several', 1);
      const operations = [insertNamed('several more'), add(id, 1), add(id, 1), deleteItem(999_999n, { allowMissing: true })];
      const first = await once('several', operations);
      expect(first).toEqual({ result: expect.stringMatching(/^true:\d+ \| true:2 \| true:3 \| false:$/), repeated: false });
      expect(await once('several', operations)).toEqual({ ...first, repeated: true });
      expect(await amountOf(id)).toBe(3);
      expect(await countOf('several more')).toBe('1');
    });

    testWhere(dialect.has.ownEncoding !== false, 'what is recorded is made by the service')('writes nothing when its result cannot be encoded', async () => {
      const error = new SwitchyardError('INTERNAL', 'cannot be encoded');
      const encode = (): never => {
        throw error;
      };
      expect(await failure(once('not encoded', [insertNamed('not encoded')], { encode }))).toBe(error);
      expect(await countOf('not encoded')).toBe('0');
      expect((await once('not encoded', [insertNamed('not encoded')])).repeated).toBe(false);
    });

    test('writes nothing when the call is over before it begins', async () => {
      const gone = new SwitchyardError('DEADLINE_EXCEEDED', 'too late');
      expect(await failure(writeOnce(gateways[0], schemas, 'over', [insertNamed('over')], {}, AbortSignal.abort(gone)))).toBe(gone);
      expect(await countOf('over')).toBe('0');
    });

    test('answers a repetition in a fenced store from its record, and refuses a new write as FENCED', async () => {
      await using moving = await servers.fresh();
      const { owner } = moving.source;
      await owner.install(never());
      await owner.claim(SOURCE, 'source', never());
      await using fence = await owner.openFence(SOURCE, never());
      await using store = moving.source.openData();
      const first = await writeOnce(store, schemas, 'before', [insertNamed('before')]);
      const expectFenced = async (): Promise<void> => {
        expect(await writeOnce(store, schemas, 'before', [insertNamed('before')])).toEqual({ ...first, repeated: true });
        expect(await reasonOf(writeOnce(store, schemas, 'before', [insertNamed('other')]))).toBe('REQUEST_ID_REUSED');
        expect(await reasonOf(writeOnce(store, schemas, 'after', [insertNamed('after')]))).toBe('FENCED');
      };
      await fence.fence(attempt(1), 500, never());
      await expectFenced();
      await fence.commit(attempt(1), never());
      await expectFenced();
      await fence.close(attempt(1), never());
      await expectFenced();
    });

    test('is refused by a store that keeps no records, until that is prepared', async () => {
      await using unprepared = await servers.fresh();
      const { owner } = unprepared.source;
      await using store = unprepared.source.openData();
      const expectRefused = async (name: string): Promise<void> => {
        const refused = await failure(writeOnce(store, schemas, name, [insertNamed(name)]));
        expect(refused.reason).toBe('REQUEST_IDS_NOT_KEPT');
        expect(refused.message).toContain('switchyard keyspace grants');
        expect(await rowsNamed(unprepared.source, name)).toBe(0);
      };
      await expectRefused('never prepared');
      await store.write(schemas, [insertNamed('without an id')], never());
      await owner.install(never());
      await unprepared.source.sql(dialect.withoutRequests, 'owner');
      await expectRefused('prepared by an older release');
      await owner.install(never());
      expect((await writeOnce(store, schemas, 'prepared', [insertNamed('prepared')])).repeated).toBe(false);
    });
  });
}

const rowsNamed = async (store: StoreUnderTest, name: string): Promise<number> => Number((await store.sql(`SELECT count(*) FROM item WHERE name = '${name}'`, 'owner'))[0]?.[0]);

async function schemasOf(store: DataStore): Promise<ReadonlyMap<string, TableSchema>> {
  const schemas = new Map<string, TableSchema>();
  for (const name of ['item', 'line']) {
    const schema = await store.describe(name, never());
    if (schema !== null) schemas.set(name, schema);
  }
  return schemas;
}

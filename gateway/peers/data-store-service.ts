import type { DataStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { attempt } from '../../core/ids.ts';
import type { WriteResult } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { DataStoreService } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import { SchemaMemory } from '../../runtime/peers/schema-memory.ts';
import { answerBytes } from '../../runtime/wire/answer-bytes.ts';
import { countOf, limitOf } from '../../runtime/wire/counts.ts';
import { fenceRowMessage } from '../../runtime/wire/fence-message.ts';
import { schemaMessage } from '../../runtime/wire/table-schema.ts';
import type { Stores } from '../stores.ts';
import { eventAnswer, unreadableAnswer, groupsAnswer, pageAnswer, rowAnswer, writtenAnswer } from './answers.ts';
import { bytesOf, decodeAggregate, decodeBatchGet, decodeBound, decodeGet, decodeQuery, decodeWrites } from './decode-requests.ts';
import { transactSteps } from './transact-steps.ts';

/** The stores of this gateway as its peers' gateways use them: straight, past rules, holds and buffer, for those are the caller's. A store that is behind a service itself is passed on to nobody. */
export function dataStoreService(stores: Stores, clock: Clock): RpcImplementation<typeof DataStoreService> {
  const use = <T>(keyspace: string, act: (store: DataStore) => Promise<T>): Promise<T> => {
    stores.ownKind(keyspace);
    return stores.use(keyspace, act);
  };
  /** Not behind the calls: whoever looks for fence rows has calls that wait for them. */
  const lookUp = <T>(keyspace: string, act: (store: DataStore) => Promise<T>): Promise<T> => {
    stores.ownKind(keyspace);
    return stores.lookUp(keyspace, act);
  };
  const schemas = new SchemaMemory((keyspace, table, signal) => use(keyspace, (store) => store.describe(table, signal)));

  return {
    async checkLogin({ keyspace }, { signal }) {
      await lookUp(keyspace, (store) => store.checkLogin(signal));
      return {};
    },
    listTables: async ({ keyspace }, { signal }) => ({ tables: [...(await use(keyspace, (store) => store.listTables(signal)))] }),
    async describeTable({ keyspace, table }, { signal }) {
      const kind = stores.ownKind(keyspace);
      const schema = await schemas.describe(keyspace, table, signal);
      return schema === null ? {} : { schema: schemaMessage(schema, kind) };
    },
    async get(request, { signal }) {
      const { keyspace, columns } = request;
      const schema = await schemas.find(keyspace, request.table, signal);
      const row = await use(keyspace, (store) => store.get(schema, decodeGet(schema, request), signal));
      return rowAnswer(schema, columns, row);
    },
    async batchGet(request, { signal }) {
      const { keyspace, columns } = request;
      const schema = await schemas.find(keyspace, request.table, signal);
      const rows = await use(keyspace, (store) => store.batchGet(schema, decodeBatchGet(schema, request), signal));
      return { entries: rows.map((row) => rowAnswer(schema, columns, row)) };
    },
    async query(request, { signal }) {
      const { keyspace, columns } = request;
      const schema = await schemas.find(keyspace, request.table, signal);
      return pageAnswer(schema, columns, await use(keyspace, (store) => store.query(schema, decodeQuery(schema, request), signal)));
    },
    async aggregate(request, { signal }) {
      const schema = await schemas.find(request.keyspace, request.table, signal);
      const operation = decodeAggregate(schema, request);
      return groupsAnswer(schema, operation, await use(request.keyspace, (store) => store.aggregate(schema, operation, signal)));
    },
    async write(request, { signal }) {
      const { keyspace, answerForm, maxAnswerBytes } = request;
      const shapes = await schemas.findAll(keyspace, request.tables, signal);
      const operations = decodeWrites(shapes, request.operations);
      const bound = decodeBound(answerForm, maxAnswerBytes);
      const held = (results: readonly WriteResult[]): readonly WriteResult[] => {
        if (bound !== null) answerBytes(bound.form, { schemas: shapes, operations }, results, bound.maxBytes);
        return results;
      };
      const results = await use(keyspace, (store) => store.write(shapes, operations, signal, held, bound ?? undefined));
      return writtenAnswer(shapes, operations, results);
    },
    async writeOnce(request, { signal }) {
      const { keyspace, caller, id, table, digest } = request;
      const shapes = await schemas.findAll(keyspace, request.tables, signal);
      const operations = decodeWrites(shapes, request.operations);
      const answer = decodeBound(request.answerForm, request.maxAnswerBytes);
      if (answer === null) throw new SwitchyardError('ARGUMENT_INVALID', `answer_form: got ${request.answerForm}; must be one that this release knows`);
      const encode = (results: readonly WriteResult[]): Uint8Array => answerBytes(answer.form, { schemas: shapes, operations }, results, answer.maxBytes);
      const { result, repeated } = await use(keyspace, (store) => store.writeOnce(shapes, operations, { caller, id, table, digest, encode, answer }, signal));
      return { result: Uint8Array.from(result), repeated };
    },
    transact: (requests, { signal }) => transactSteps({ stores, schemas, clock }, requests, signal),
    getEventLine: async ({ keyspace }, { signal }) => await use(keyspace, (store) => store.eventLine(signal)),
    async listEvents(request, { signal }) {
      const schema = await schemas.find(request.keyspace, request.table, signal);
      const { until } = request;
      const after = { attempt: attempt(countOf(request.afterAttempt, 'after_attempt')), number: request.afterNumber };
      const [limit, maxBytes] = [limitOf(request.limit), bytesOf(request.maxBytes, 'max_bytes')];
      const { events, cut, unreadable } = await use(request.keyspace, (store) => store.events(schema, after, until, limit, maxBytes, signal));
      return { events: events.map((event) => eventAnswer(schema, event)), cut, ...(unreadable === null ? {} : { unreadable: unreadableAnswer(unreadable) }) };
    },
    isWatched: async ({ keyspace, table }, { signal }) => ({ watched: await use(keyspace, (store) => store.isWatched(table, signal)) }),
    fenceRows: async ({ keyspace, tables }, { signal }) => ({ rows: (await lookUp(keyspace, (store) => store.fenceRows(tables, signal))).map(fenceRowMessage) }),
    async warmUp({ keyspace, tables, connections }, { signal }) {
      const shapes = await schemas.findAll(keyspace, tables, signal);
      await use(keyspace, (store) => store.warmUp([...shapes.values()], connections, signal));
      return {};
    },
  };
}

import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { fromServiceError } from '../../../client/rpc-error.ts';
import { type RpcMethodDefinition, rpcMethodDefinition } from '../../../core/rpc-definition.ts';
import { Comparison_Operator, DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row, RowSchema, Value } from '../../../gen/switchyard/data/v1/value_pb.ts';
import type { Calls, CallsOptions, Done, Seen } from './calls.ts';
import { GrpcConnection } from './grpc-connection.ts';
import { indexOfOpId, opIdOf } from './load-record.ts';
import { type PlannedWrite, rangeRows } from './workload.ts';

type RowInit = MessageInitShape<typeof RowSchema>;
const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const keyRow = (column: string, value: number): RowInit => ({ cells: { [column]: int(value) } });
const numberIn = (row: Row | undefined, column: string): number => {
  const value: Value | undefined = row?.cells[column];
  return value?.kind.case === 'int64Value' ? Number(value.kind.value) : Number.NaN;
};

type Methods = typeof DataService.method;
const definitions = {
  get: rpcMethodDefinition(DataService.method.get),
  query: rpcMethodDefinition(DataService.method.query),
  insert: rpcMethodDefinition(DataService.method.insert),
  update: rpcMethodDefinition(DataService.method.update),
  mutate: rpcMethodDefinition(DataService.method.mutate),
} satisfies Partial<Record<keyof Methods, RpcMethodDefinition>>;
type Called = keyof typeof definitions;
type Input<M extends Called> = MessageInitShape<Methods[M]['input']>;
type Output<M extends Called> = MessageShape<Methods[M]['output']>;

/** The calls over gRPC, on one connection that is opened once. */
export class GrpcCalls implements Calls {
  readonly #connection: GrpcConnection;
  readonly #options: CallsOptions;

  private constructor(connection: GrpcConnection, options: CallsOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /** Resolves once the connection is up. */
  static async open(options: CallsOptions, limitMs: number): Promise<GrpcCalls> {
    return new GrpcCalls(await GrpcConnection.open({ ...options, limitMs }), options);
  }

  close(): void {
    this.#connection.close();
  }

  add(write: PlannedWrite, index: number, limitMs: number, done: Done): void {
    const change = { key: keyRow('aid', write.aid), add: keyRow('abalance', write.delta) };
    this.#call('update', { table: 'pgbench_accounts', ...change, returning: ['abalance'], ...this.#once(index) }, limitMs, done, (answer) => [
      { table: 0, key: write.aid, value: numberIn(answer.row, 'abalance') },
    ]);
  }

  insert(write: PlannedWrite, index: number, limitMs: number, done: Done): void {
    this.#call('insert', { ...this.#historyRow(write, index), ...this.#once(index) }, limitMs, done, (answer) => [{ table: 3, key: numberIn(answer.row, 'hid'), value: index }]);
  }

  transact(write: PlannedWrite, index: number, limitMs: number, done: Done): void {
    const update = (table: string, key: RowInit, column: string) => ({
      kind: { case: 'update' as const, value: { table, key, add: keyRow(column, write.delta), returning: [column] } },
    });
    const mutations: Input<'mutate'>['mutations'] = [
      update('pgbench_accounts', keyRow('aid', write.aid), 'abalance'),
      update('pgbench_tellers', keyRow('tid', write.tid), 'tbalance'),
      update('pgbench_branches', keyRow('bid', write.bid), 'bbalance'),
      { kind: { case: 'insert', value: this.#historyRow(write, index) } },
    ];
    this.#call('mutate', { mutations, ...this.#once(index) }, limitMs, done, ({ results }) => [
      { table: 0, key: write.aid, value: numberIn(results[0]?.row, 'abalance') },
      { table: 1, key: write.tid, value: numberIn(results[1]?.row, 'tbalance') },
      { table: 2, key: write.bid, value: numberIn(results[2]?.row, 'bbalance') },
      { table: 3, key: numberIn(results[3]?.row, 'hid'), value: index },
    ]);
  }

  account(aid: number, limitMs: number, done: Done): void {
    this.#call('get', { table: 'pgbench_accounts', key: keyRow('aid', aid), columns: ['abalance'] }, limitMs, done, (answer) => [
      { table: 0, key: aid, value: numberIn(answer.row, 'abalance') },
    ]);
  }

  branch(bid: number, limitMs: number, done: Done): void {
    this.#call('get', { table: 'pgbench_branches', key: keyRow('bid', bid) }, limitMs, done, (answer) => [{ table: 2, key: bid, value: numberIn(answer.row, 'bbalance') }]);
  }

  history(hid: number, limitMs: number, done: Done): void {
    const absent: Seen = { table: 3, key: hid, value: -1 };
    const orAbsent: Done = (failure, seen) => (failure?.reason === 'ROW_NOT_FOUND' ? done(null, [absent]) : done(failure, seen));
    this.#call('get', { table: 'pgbench_history', key: keyRow('hid', hid), columns: ['op_id'] }, limitMs, orAbsent, (answer) => {
      const opId = answer.row?.cells.op_id?.kind;
      return [{ table: 3, key: hid, value: opId?.case === 'uuidValue' ? indexOfOpId(this.#options.secret, opId.value) : -2 }];
    });
  }

  accounts(from: number, limitMs: number, done: Done): void {
    const request: Input<'query'> = {
      table: 'pgbench_accounts',
      filter: { kind: { case: 'compare', value: { column: 'aid', operator: Comparison_Operator.GREATER_OR_EQUAL, value: int(from) } } },
      orderBy: [{ column: 'aid' }],
      columns: ['aid', 'abalance'],
      pageSize: rangeRows,
    };
    this.#call('query', request, limitMs, done, ({ rows }) => rows.map((row) => ({ table: 0, key: numberIn(row, 'aid'), value: numberIn(row, 'abalance') })));
  }

  tellers(bid: number, limitMs: number, done: Done): void {
    const request: Input<'query'> = {
      table: 'pgbench_tellers',
      filter: { kind: { case: 'compare', value: { column: 'bid', operator: Comparison_Operator.EQUAL, value: int(bid) } } },
      columns: ['tid', 'tbalance'],
      pageSize: 10,
    };
    this.#call('query', request, limitMs, done, ({ rows }) => rows.map((row) => ({ table: 1, key: numberIn(row, 'tid'), value: numberIn(row, 'tbalance') })));
  }

  #historyRow(write: PlannedWrite, index: number): Input<'insert'> {
    const opId = { kind: { case: 'uuidValue' as const, value: opIdOf(this.#options.secret, index) } };
    const cells = { tid: int(write.tid), bid: int(write.bid), aid: int(write.aid), delta: int(write.delta), op_id: opId };
    return { table: 'pgbench_history', row: { cells }, returning: ['hid'] };
  }

  #once(index: number): { readonly requestId?: string } {
    return this.#options.requestIds ? { requestId: opIdOf(this.#options.secret, index) } : {};
  }

  #call<M extends Called>(method: M, request: Input<M>, limitMs: number, done: Done, read: (answer: Output<M>) => readonly Seen[]): void {
    this.#connection.call(definitions[method], request as MessageShape<DescMessage>, limitMs, (error, answer) => {
      if (error === null) return done(null, read(answer as Output<M>));
      const { reason, message, retryable: refused } = fromServiceError(error, this.#options.address);
      done({ reason, message, refused }, []);
    });
  }
}

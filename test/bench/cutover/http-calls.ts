import { Pool } from 'undici';
import { type ErrorReason, errorCatalogue } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Calls, CallsOptions, Done, Failure, Seen } from './calls.ts';
import { indexOfOpId, opIdOf } from './load-record.ts';
import { type PlannedWrite, rangeRows } from './workload.ts';

/** To one gateway: HTTP/1.1 has one call at a time on each. */
const connections = 64;
/** What the client waits beyond the deadline that the gateway is told. */
const graceMs = 1_000;

type Method = 'GET' | 'POST' | 'PATCH';
type Json = Readonly<Record<string, unknown>>;
/** What goes with a call: its limit and, of a write, the key that makes it one however often it is sent. */
interface Terms {
  readonly limitMs: number;
  readonly key?: string;
}
/** Rows of an answer of any kind, by what the call asked for. */
type Read = (answer: Json) => readonly Seen[];

const isReason = (text: unknown): text is ErrorReason => typeof text === 'string' && Object.hasOwn(errorCatalogue, text);
const rows = (table: string): string => `/v1/tables/${table}/rows`;

/** The same calls as JSON over HTTP, on connections that are kept: no retry, every call with a deadline. */
export class HttpCalls implements Calls {
  readonly #pool: Pool;
  readonly #options: CallsOptions;
  #closed = false;

  /** Opens connections when they are needed. */
  constructor(options: CallsOptions) {
    this.#options = options;
    this.#pool = new Pool(`http://${options.address}`, { connections, pipelining: 1 });
    this.#pool.on('disconnect', (_origin, _targets, error) => {
      // UND_ERR_INFO: an idle connection was let go.
      if (!this.#closed && !('code' in error && error.code === 'UND_ERR_INFO')) options.onLost();
    });
  }

  close(): void {
    this.#closed = true;
    void this.#pool.destroy();
  }

  add(write: PlannedWrite, index: number, limitMs: number, done: Done): void {
    this.#call('PATCH', `${rows('pgbench_accounts')}/${write.aid}?returning=abalance`, { abalance: { $add: write.delta } }, this.#once(index, limitMs), done, (row) => [
      { table: 0, key: write.aid, value: Number(row.abalance) },
    ]);
  }

  insert(write: PlannedWrite, index: number, limitMs: number, done: Done): void {
    this.#call('POST', `${rows('pgbench_history')}?returning=hid`, this.#historyRow(write, index), this.#once(index, limitMs), done, (row) => [
      { table: 3, key: Number(row.hid), value: index },
    ]);
  }

  transact(write: PlannedWrite, index: number, limitMs: number, done: Done): void {
    const update = (table: string, key: Json, column: string): Json => ({ update: { table, key, row: { [column]: { $add: write.delta } }, returning: [column] } });
    const mutations = [
      update('pgbench_accounts', { aid: write.aid }, 'abalance'),
      update('pgbench_tellers', { tid: write.tid }, 'tbalance'),
      update('pgbench_branches', { bid: write.bid }, 'bbalance'),
      { insert: { table: 'pgbench_history', row: this.#historyRow(write, index), returning: ['hid'] } },
    ];
    this.#call('POST', '/v1:mutate', { mutations }, this.#once(index, limitMs), done, (answer) => {
      const [account, teller, branch, history] = (answer.results as readonly { readonly row: Json }[]).map(({ row }) => row);
      return [
        { table: 0, key: write.aid, value: Number(account?.abalance) },
        { table: 1, key: write.tid, value: Number(teller?.tbalance) },
        { table: 2, key: write.bid, value: Number(branch?.bbalance) },
        { table: 3, key: Number(history?.hid), value: index },
      ];
    });
  }

  account(aid: number, limitMs: number, done: Done): void {
    this.#call('GET', `${rows('pgbench_accounts')}/${aid}?columns=abalance`, null, { limitMs }, done, (row) => [{ table: 0, key: aid, value: Number(row.abalance) }]);
  }

  branch(bid: number, limitMs: number, done: Done): void {
    this.#call('GET', `${rows('pgbench_branches')}/${bid}`, null, { limitMs }, done, (row) => [{ table: 2, key: bid, value: Number(row.bbalance) }]);
  }

  history(hid: number, limitMs: number, done: Done): void {
    const absent: Seen = { table: 3, key: hid, value: -1 };
    const orAbsent: Done = (failure, seen) => (failure?.reason === 'ROW_NOT_FOUND' ? done(null, [absent]) : done(failure, seen));
    this.#call('GET', `${rows('pgbench_history')}/${hid}?columns=op_id`, null, { limitMs }, orAbsent, (row) => [
      { table: 3, key: hid, value: typeof row.op_id === 'string' ? indexOfOpId(this.#options.secret, row.op_id) : -2 },
    ]);
  }

  accounts(from: number, limitMs: number, done: Done): void {
    const filter = { compare: { column: 'aid', operator: '>=', value: from } };
    this.#query('pgbench_accounts', { filter, orderBy: [{ column: 'aid' }], columns: ['aid', 'abalance'], pageSize: rangeRows }, limitMs, done, (row) => ({
      table: 0,
      key: Number(row.aid),
      value: Number(row.abalance),
    }));
  }

  tellers(bid: number, limitMs: number, done: Done): void {
    const filter = { compare: { column: 'bid', operator: '=', value: bid } };
    this.#query('pgbench_tellers', { filter, columns: ['tid', 'tbalance'] }, limitMs, done, (row) => ({ table: 1, key: Number(row.tid), value: Number(row.tbalance) }));
  }

  #query(table: string, request: Json, limitMs: number, done: Done, seen: (row: Json) => Seen): void {
    this.#call('POST', `/v1/tables/${table}:query`, request, { limitMs }, done, (answer) => (answer.rows as readonly Json[]).map(seen));
  }

  #historyRow(write: PlannedWrite, index: number): Json {
    return { tid: write.tid, bid: write.bid, aid: write.aid, delta: write.delta, op_id: opIdOf(this.#options.secret, index) };
  }

  #once(index: number, limitMs: number): Terms {
    return this.#options.requestIds ? { limitMs, key: opIdOf(this.#options.secret, index) } : { limitMs };
  }

  #call(method: Method, path: string, body: Json | null, terms: Terms, done: Done, read: Read): void {
    this.#send(method, path, body, terms).then(
      ({ status, answer }) => {
        if (status < 300) done(null, read(answer));
        else done(this.#failure(answer, status), []);
      },
      (error: unknown) => done({ reason: 'PEER_UNREACHABLE', message: `${this.#options.address}: ${error instanceof Error ? error.message : String(error)}`, refused: false }, []),
    );
  }

  async #send(method: Method, path: string, body: Json | null, { limitMs, key }: Terms): Promise<{ readonly status: number; readonly answer: Json }> {
    const headers = { 'content-type': 'application/json', 'x-request-timeout': `${Math.ceil(limitMs)}ms`, ...(key === undefined ? {} : { 'idempotency-key': key }) };
    const timeouts = { headersTimeout: limitMs + graceMs, bodyTimeout: limitMs + graceMs };
    const { statusCode, body: answer } = await this.#pool.request({ method, path, headers, ...timeouts, ...(body === null ? {} : { body: JSON.stringify(body) }) });
    return { status: statusCode, answer: (await answer.json()) as Json };
  }

  #failure(problem: Json, status: number): Failure {
    const { reason, detail } = problem;
    if (!isReason(reason)) return { reason: `HTTP ${status}`, message: JSON.stringify(problem), refused: false };
    return { reason, message: String(detail), refused: new SwitchyardError(reason, '').retryable };
  }
}

import { randomInt } from 'node:crypto';
import pg from 'pg';
import { createRpcClient } from '../../../client/rpc-client.ts';
import type { Measured } from './measure.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';

export type OperationName = 'get' | 'insert';

/** Something whose Get and Insert are measured. */
export interface Subject extends AsyncDisposable {
  readonly name: string;
  readonly operations: Readonly<Record<OperationName, () => Promise<unknown>>>;
  /** Of one that measures by itself, in a process of its own. */
  readonly measure?: (operation: OperationName, concurrency: number, milliseconds: number) => Promise<Measured>;
}

const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const delta = (): number => randomInt(1, 5_000);

/** The gateway, or the echo, over one connection. */
export function rpcSubject(name: string, address: string, accounts: number): Subject {
  const client = createRpcClient(DataService, address, { deadlineMs: 10_000, channel: { 'grpc.use_local_subchannel_pool': 1 } });
  const history = () => ({ cells: { tid: int(randomInt(1, 11)), bid: int(1), aid: int(randomInt(1, accounts + 1)), delta: int(delta()) } });
  return {
    name,
    operations: {
      get: () => client.get({ table: 'pgbench_accounts', key: { cells: { aid: int(randomInt(1, accounts + 1)) } } }),
      insert: () => client.insert({ table: 'pgbench_history', row: history(), returning: ['hid'] }),
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
    },
  };
}

/** The same statements, prepared, through a pool of the driver's own. */
export function pgSubject(url: string, poolSize: number, accounts: number): Subject {
  const pool = new pg.Pool({ connectionString: url, max: poolSize });
  return {
    name: 'pg',
    operations: {
      get: () => pool.query({ name: 'get', text: 'SELECT aid, bid, abalance, filler FROM pgbench_accounts WHERE aid = $1', values: [randomInt(1, accounts + 1)] }),
      insert: () =>
        pool.query({
          name: 'insert',
          text: 'INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES ($1, $2, $3, $4) RETURNING hid',
          values: [randomInt(1, 11), 1, randomInt(1, accounts + 1), delta()],
        }),
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

import { randomInt } from 'node:crypto';
import { Pool } from 'undici';
import type { Subject } from '../overhead/subjects.ts';

const limitMs = 10_000;

/** The HTTP door, or the echo, on as many kept connections as there are callers. */
export function httpSubject(name: string, address: string, accounts: number, connections: number): Subject {
  const pool = new Pool(`http://${address}`, { connections, pipelining: 1, headersTimeout: limitMs, bodyTimeout: limitMs });
  const headers = { 'content-type': 'application/json' };
  const call = async (method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> => {
    const answer = await pool.request({ method, path, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const json = await answer.body.json();
    if (answer.statusCode >= 300) throw new Error(JSON.stringify(json));
    return json;
  };
  return {
    name,
    operations: {
      get: () => call('GET', `/v1/tables/pgbench_accounts/rows/${randomInt(1, accounts + 1)}`),
      insert: () => call('POST', '/v1/tables/pgbench_history/rows?returning=hid', { tid: randomInt(1, 11), bid: 1, aid: randomInt(1, accounts + 1), delta: randomInt(1, 5_000) }),
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

import { gzipSync } from 'node:zlib';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { systemClock } from '../../../runtime/clock.ts';
import type { KvItem } from '../../../topo/kv-client.ts';
import { RulesHistory } from '../../../topo/rules-history.ts';
import type { TopologyContext } from '../../../topo/topology-context.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const never = new AbortController().signal;
const document: Json = { version: 3, nonce: 'n', changedBy: 'c', changedAt: 'now', defaultKeyspace: 'old', tables: { orders: { primary: 'old' } } };
const key = 'history/0000000000000003-0123456789abcdef';

/** The rules' history as Consul holds it: what cannot be read is reported and left out. The first byte says whether what follows is compressed already. */
export const target: FuzzTarget = {
  name: 'history-entry',
  words: ['"document"', '"external"', '\x1f\x8b'],
  generate: (random) => {
    const text = strayJson(random, { document, external: random.chance(50) }, random.pick([0, 3]));
    if (random.chance(2)) return Buffer.concat([Buffer.from([0]), gzipSync(Buffer.alloc(64 * 2 ** 20))]);
    return random.chance(50) ? Buffer.concat([Buffer.from([0]), gzipSync(text)]) : Buffer.concat([Buffer.from([1]), Buffer.from(text)]);
  },
  open: async () => ({
    run: async (input) => {
      const body = input.subarray(1);
      const item: KvItem = { key, value: (input[0] ?? 0) % 2 === 0 ? body : gzipSync(body), createIndex: 1, modifyIndex: 1 };
      const recorded: KvItem = { key: 'recorded', value: body, createIndex: 1, modifyIndex: 1 };
      const reports: Error[] = [];
      const client = { keys: async () => [key], snapshot: async () => new Map([[key, item]]) };
      const context = {
        client,
        keys: { history: 'history/', recorded: 'recorded' },
        clock: systemClock,
        report: (error: Error) => reports.push(error),
      } as unknown as TopologyContext;
      const history = new RulesHistory(context);
      return await outcomeOf(async () => {
        const found = await history.list(10, null, never);
        must(found.length + reports.length === 1, `${found.length} entries and ${reports.length} reports of one`);
        for (const error of reports) must(error instanceof SwitchyardError && error.message.includes(key), `a report that names no key: ${error.message}`);
        const { version } = await history.recorded(new Map([['recorded', recorded]]), never);
        must(Number.isSafeInteger(version) && version >= 0, `version ${version} is recorded`);
      });
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

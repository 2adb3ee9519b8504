import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startTopologyServer } from '../support/servers/start-topology-server.ts';
import { type TopologyServer, topologyServerKinds } from '../support/servers/topology-server.ts';
import { base64, type Method, TopologyCaller } from './topology-server-harness.ts';

/*
 * Random histories of writes, locks, transactions and reads by several clients, the same on a real Consul agent and on the embedded topology: every answer must be the same.
 * Indexes differ in size, so they are compared by their order of
 * first appearance: the same are the same, a newer one is a newer one. Sessions are compared by who they are.
 */

let servers: readonly TopologyServer[];

beforeAll(async () => {
  servers = await Promise.all(topologyServerKinds.map((kind) => startTopologyServer(kind)));
}, 60_000);
afterAll(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
});

/** Index "current" is the key's as it stands, "old" the one before that, 0 "must not exist". */
const index = fc.constantFrom('current', 'old', 'none');
const key = fc.constantFrom('a', 'b', 'a/1', 'a/2');
const value = fc.constantFrom('', 'x', 'y');
const who = fc.integer({ min: 0, max: 2 });
const flags = fc.constantFrom(0, 7);

const operation = fc.oneof(
  fc.record({ Verb: fc.constant('set' as const), key, value, flags }),
  fc.record({ Verb: fc.constantFrom('cas' as const, 'delete-cas' as const, 'check-index' as const), key, value, index }),
  fc.record({ Verb: fc.constantFrom('lock' as const, 'unlock' as const, 'check-session' as const), key, value, who }),
  fc.record({ Verb: fc.constantFrom('get' as const, 'get-tree' as const, 'delete' as const, 'delete-tree' as const, 'check-not-exists' as const), key }),
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('put' as const), key, value, flags, how: fc.oneof(fc.constant(null), index, who), release: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), key, how: fc.oneof(fc.constant(null), index, fc.constant('recurse' as const)) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('txn' as const), operations: fc.array(operation, { minLength: 1, maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), who }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One server's side of a history. */
class Side {
  readonly #api: TopologyCaller;
  readonly #root: string;
  #sessions: string[] = [];
  /** Every session that was, by the order of its beginning. */
  readonly #names = new Map<string, string>();
  /** Indexes in the order of their first appearance. */
  readonly #indexes: number[] = [];

  constructor(server: TopologyServer, root: string) {
    this.#api = new TopologyCaller(server);
    this.#root = root;
  }

  async begin(): Promise<void> {
    for (let i = 0; i < 3; i += 1) this.#sessions.push(await this.#newSession(i));
  }

  async end(): Promise<void> {
    await this.#api.delete(`${this.#root}?recurse`);
    for (const session of this.#sessions) await this.#api.call('PUT', `session/destroy/${session}`);
  }

  /** What the step is answered, and what can be seen then. */
  async run(step: Step): Promise<unknown> {
    const done = await this.#do(step);
    const [list, names, missing] = await Promise.all([
      this.#ask('GET', `kv/${this.#root}?recurse`),
      this.#ask('GET', `kv/${this.#root}a/?keys`),
      this.#ask('GET', `kv/${this.#root}b`),
    ]);
    return { done, list, names, missing };
  }

  /** The indexes seen have gone up in the same steps on both sides when their ranks are the same. */
  ranks(): readonly number[] {
    const sorted = this.#indexes.toSorted((a, b) => a - b);
    return this.#indexes.map((seen) => sorted.indexOf(seen));
  }

  async #do(step: Step): Promise<unknown> {
    switch (step.kind) {
      case 'put': {
        const { how } = step;
        const session = typeof how === 'number' ? `&${step.release ? 'release' : 'acquire'}=${this.#session(how)}` : '';
        const cas = typeof how === 'string' ? `&cas=${await this.#index(step.key, how)}` : '';
        return this.#ask('PUT', `kv/${this.#root}${step.key}?flags=${step.flags}${session}${cas}`, step.value);
      }
      case 'delete':
        if (step.how === 'recurse') return this.#ask('DELETE', `kv/${this.#root}${step.key}?recurse`);
        return this.#ask('DELETE', `kv/${this.#root}${step.key}${step.how === null ? '' : `?cas=${await this.#index(step.key, step.how)}`}`);
      case 'txn':
        return this.#ask('PUT', 'txn', JSON.stringify(await Promise.all(step.operations.map((each) => this.#operation(each)))));
      case 'end': {
        const answer = await this.#ask('PUT', `session/destroy/${this.#session(step.who)}`);
        this.#sessions[step.who] = await this.#newSession(step.who);
        return answer;
      }
    }
  }

  async #operation(operation: Operation): Promise<unknown> {
    return {
      KV: {
        Verb: operation.Verb,
        Key: this.#root + operation.key,
        ...('value' in operation ? { Value: base64(operation.value) } : {}),
        ...('flags' in operation ? { Flags: operation.flags } : {}),
        ...('index' in operation ? { Index: await this.#index(operation.key, operation.index) } : {}),
        ...('who' in operation ? { Session: this.#session(operation.who) } : {}),
      },
    };
  }

  async #index(name: string, which: string): Promise<number> {
    if (which === 'none') return 0;
    const current = (await this.#api.entry(this.#root + name))?.ModifyIndex ?? 0;
    return which === 'current' ? current : Math.max(1, current - 1);
  }

  #session(which: number): string {
    return this.#sessions[which] ?? '';
  }

  async #newSession(which: number): Promise<string> {
    const id = await this.#api.session({ Behavior: which === 2 ? 'delete' : 'release' });
    this.#names.set(id, `session ${this.#names.size}`);
    return id;
  }

  async #ask(method: Method, path: string, body?: string): Promise<unknown> {
    const { status, text, index: seen } = await this.#api.call(method, path, body);
    const named = [...this.#names].reduce((shown, [id, name]) => shown.replaceAll(id, name), text.trim());
    // Below a prefix that was deleted as a whole Consul no longer knows when, and answers with the index of the newest change anywhere. Here the deletion's is known.
    const indefinite = Number.isNaN(seen) || (status === 404 && path.endsWith('?keys'));
    return { status, index: indefinite ? null : this.#ordinal(seen), body: this.#comparable(named) };
  }

  #comparable(text: string): unknown {
    if (!/^[[{]/.test(text)) return text;
    return JSON.parse(text, (field, part: unknown) => {
      if (field === 'CreateIndex' || field === 'ModifyIndex') return this.#ordinal(Number(part));
      // The wording, which differs between Consul's versions, and what else it tells of a transaction that only reads.
      return ['What', 'Index', 'LastContact', 'KnownLeader', 'ConsistencyLevel'].includes(field) ? undefined : part;
    });
  }

  #ordinal(seen: number): number {
    const at = this.#indexes.indexOf(seen);
    if (at >= 0) return at;
    this.#indexes.push(seen);
    return this.#indexes.length - 1;
  }
}

test('a history is answered alike by Consul and by the embedded topology', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (history) => {
      const root = `history/${randomUUID()}/`;
      const sides = servers.map((server) => new Side(server, root));
      await Promise.all(sides.map((side) => side.begin()));
      for (const each of history) {
        const [consul, embedded] = await Promise.all(sides.map((side) => side.run(each)));
        expect({ step: each, answer: embedded }).toEqual({ step: each, answer: consul });
      }
      const [consul, embedded] = sides.map((side) => side.ranks());
      expect(embedded).toEqual(consul);
      await Promise.all(sides.map((side) => side.end()));
    }),
    { numRuns: 15 },
  );
}, 60_000);

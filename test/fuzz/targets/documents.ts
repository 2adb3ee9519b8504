import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { type Keyspace, keyspaceSchema } from '../../../core/keyspace.ts';
import { registrationSchema } from '../../../core/registration.ts';
import { buildRoutingTable, type RoutingTable } from '../../../core/routing-table.ts';
import { type RulesDocument, rulesDocumentSchema } from '../../../core/rules-document.ts';
import { workflowDocumentSchema } from '../../../core/workflow-document.ts';
import { questionsOf } from '../../../gateway/rules/rules-check.ts';
import { decodeDocument, encodeDocument } from '../../../topo/document-codec.ts';
import { highestApplied, rulesSnapshot } from '../../../topo/rules-reading.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const keyspaces: ReadonlySet<string> = new Set(['old', 'new', 'other']);
const names = [
  'orders',
  'new.leaving',
  'old.orders',
  'new.orders',
  'other.orders',
  'lines',
  'nowhere.lines',
  'constructor',
  'old.toString',
  '__proto__',
  '',
  '.',
  'a.b.c',
  'orders"; --',
];

const rule: Json = {
  primary: 'old',
  attempt: 3,
  writes: 'open',
  movement: { workflow: 'move', source: 'old', target: 'new', want: 'source' },
  names: ['old.orders', 'new.orders'],
};
const held: Json = { primary: 'new', attempt: 1, writes: 'held', hold: { holdMs: 250, attempt: 2, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } };
/** A table that leaves a store which cannot fence: held until the rules say otherwise. */
const leaving: Json = { primary: 'new', writes: 'held', hold: { attempt: 2 }, movement: { workflow: 'leave', source: 'new', target: 'old', want: 'target', barrier: true } };
const rules: Json = {
  version: 7,
  nonce: 'n',
  changedBy: 'somebody',
  changedAt: '2026-01-01T00:00:00Z',
  reason: '',
  defaultKeyspace: 'old',
  keyspaces: { new: 'other' },
  tables: { orders: rule, lines: held, 'other.lines': { primary: 'other' }, 'new.leaving': leaving },
};
const credential: Json = { user: 'shop', password: 'env:SHOP' };
const keyspace: Json = { name: 'old', shards: [{ kind: 'postgres', host: 'db', port: 5432, database: 'shop', gateway: credential, player: credential, owner: credential }] };
const service: Json = {
  name: 'far',
  shards: [{ kind: 'grpc', gateways: ['10.0.0.7:7101', '[::1]:7101'], control: ['db:7201'], keyspace: 'theirs', gateway: credential, player: credential, owner: credential }],
};
const foreign: Json = { name: 'far', shards: [{ kind: 'http', gateways: ['db:80'], mapping: '/etc/mapping.yaml', gateway: credential }] };
const sampled: Json = [{ table: 'orders', key: '1', what: 'name', sourceValue: 'a', targetValue: 'b', repaired: true }];
const workflow: Json = {
  nonce: 'n',
  name: 'move',
  source: 'old',
  target: 'new',
  tables: ['orders'],
  limits: { holdBudgetMs: 250, attempts: 5, lagMs: 20, verificationAgeS: 60, transactionAgeMs: 1000 },
  state: 'running',
  createdAt: 'now',
  journal: [{ step: 'claim', at: 'now' }],
  progress: [{ table: 'orders', rowsCopied: 1, rowsTotal: 2, done: false }],
  cutovers: [{ attempt: 1, to: 'target', outcome: 'running', startedAt: 'now', attempts: 1, holdMs: 3.5, steps: [{ name: 'fence', startMs: 0, durationMs: 1 }] }],
  request: { kind: 'verify', id: 'r', at: 'now', repair: true },
  verification: { finishedAt: 'now', durationMs: 1, rowsCompared: 2, differences: 1, repaired: 1, sample: sampled },
  verifying: { request: 'r', startedAt: 'now', tables: [{ table: 'orders', rows: 1, differences: 0, repaired: 0, done: false, fromKey: '[{"i":"1"}]' }], sample: sampled },
  finished: { id: 'q', error: { reason: 'CANCELLED', message: 'm' } },
};
const registration: Json = {
  nonce: 'n',
  id: 'gateway-1',
  address: 'localhost:7101',
  session: 's',
  appliedVersion: 7,
  updatedAt: 'now',
  settledVersion: 6,
  problems: [{ version: 7, table: null, reason: 'RULES_INVALID', message: 'm' }],
  storeProblems: [{ keyspace: 'old', reason: 'STORE_LOGIN_REFUSED', message: 'm' }],
};

/** The kinds, by the first byte of an input. */
const kinds: readonly { readonly schema: z.ZodType; readonly sample: Json }[] = [
  { schema: rulesDocumentSchema, sample: rules },
  { schema: keyspaceSchema, sample: keyspace },
  { schema: workflowDocumentSchema, sample: workflow },
  { schema: registrationSchema, sample: registration },
  { schema: keyspaceSchema, sample: service },
  { schema: keyspaceSchema, sample: foreign },
];

const item = (value: Buffer) => ({ key: 'k', value, createIndex: 1, modifyIndex: 2 });

/** Documents as Consul holds them: whatever stands there is a document or a message that says what is wrong, and a document is written as it is read. */
export const target: FuzzTarget = {
  name: 'documents',
  words: [
    ...names,
    ...[
      'tables',
      'keyspaces',
      'movement',
      'hold',
      'writes',
      'held',
      'open',
      'version',
      'primary',
      'names',
      'shards',
      'path',
      'file:/x',
      'want',
      'target',
      'barrier',
      'gateways',
      'mapping',
      'settledVersion',
    ].map((name) => JSON.stringify(name)),
  ],
  generate: (random) => {
    const kind = random.chance(60) ? 0 : random.below(kinds.length);
    return Buffer.concat([Buffer.from([kind]), Buffer.from(strayJson(random, kinds[kind]?.sample ?? null, random.pick([0, 2, 6])))]);
  },
  open: async () => {
    let previous: RoutingTable | null = null;
    return {
      run: async (input) => {
        const kind = (input[0] ?? 0) % kinds.length;
        const { schema } = kinds[kind] as (typeof kinds)[number];
        const bytes = input.subarray(1);
        const decoded = decodeDocument(schema, bytes);
        if (decoded.kind === 'invalid') {
          must(decoded.message.length > 3, 'an invalid document without a message');
          must(decoded.message.length < 20_000, `a message of ${decoded.message.length} characters`);
          rulesSnapshot(item(bytes));
          must(highestApplied([item(bytes)]) >= 0, 'a version below 0');
          return 'invalid';
        }
        const again = decodeDocument(schema, encodeDocument(decoded.value));
        must(again.kind === 'valid' && isDeepStrictEqual(again.value, decoded.value), 'what was read is not what is written');
        if (kind === 0) {
          const document = decoded.value as RulesDocument;
          sameNames(bytes, document);
          previous = await routed(document, previous);
        } else if (schema === keyspaceSchema) must((decoded.value as Keyspace).shards.length === 1, 'a keyspace without a shard');
        return 'valid';
      },
      [Symbol.asyncDispose]: async () => {},
    };
  },
};

/** A name that is silently left out would pass for a rule that is in force. */
function sameNames(bytes: Buffer, document: RulesDocument): void {
  const raw = JSON.parse(bytes.toString()) as { readonly tables?: object; readonly keyspaces?: object };
  must(isDeepStrictEqual(Object.keys(raw.tables ?? {}), Object.keys(document.tables)), 'the document has other tables than its text');
  must(isDeepStrictEqual(Object.keys(raw.keyspaces ?? {}), Object.keys(document.keyspaces)), 'the document has other keyspaces than its text');
}

async function routed(document: RulesDocument, previous: RoutingTable | null): Promise<RoutingTable | null> {
  const { routing, problems } = buildRoutingTable(document, keyspaces, previous);
  for (const { message } of problems) must(message !== '', 'a problem without a message');
  if (routing === null) {
    must(problems.length > 0, 'refused without a problem');
    return previous;
  }
  const { changed, dropped } = questionsOf(routing, previous);
  for (const ref of [...changed, ...dropped]) must(keyspaces.has(ref.keyspace), `table "${ref.key}" would be looked for in "${ref.keyspace}"`);
  if (previous !== null) {
    const gone = Object.keys(previous.document.tables).filter((key) => !Object.hasOwn(document.tables, key) && previous.ref(key) !== null);
    must(isDeepStrictEqual(new Set(dropped.map(({ key }) => key)), new Set(gone)), `dropped are ${dropped.map(({ key }) => key).join()}, not ${gone.join()}`);
  }
  for (const name of [...names, ...Object.keys(document.tables)]) {
    await outcomeOf(() => {
      const ref = routing.resolve(name);
      must(keyspaces.has(ref.keyspace), `table "${name}" is sent to "${ref.keyspace}"`);
      const own = Object.hasOwn(document.tables, ref.key) ? document.tables[ref.key] : null;
      must(ref.rule === null || own === null || previous !== null || isDeepStrictEqual(ref.rule, own), `table "${name}" has a rule that is not in the document`);
    });
  }
  return routing;
}

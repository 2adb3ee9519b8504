import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RulesDocument } from '../../../core/rules-document.ts';
import { readRules, rulesKey } from '../../bench/cutover/consul-rules.ts';
import type { KeyspaceName } from '../../support/moves/move-state.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { durationMs, type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';

const longestLookMs = 3_000;
const snapshotLimitMs = 20_000;
/** Of whatever somebody does by hand. */
const handLimitMs = 40_000;

const turned = (primary: string): KeyspaceName => (primary === 'old' ? 'new' : 'old');
type Tables = RulesDocument['tables'];
const mapTables = (tables: Tables, change: (rule: Tables[string]) => Tables[string]): Tables =>
  Object.fromEntries(Object.entries(tables).map(([name, rule]) => [name, change(rule)]));

/** What somebody puts there who has not read the manual: by what it is, what comes of the document. */
const overwrites: Readonly<Record<string, (document: RulesDocument) => string>> = {
  'no document': () => 'maintenance until noon',
  'an older version': (document) => JSON.stringify({ ...document, version: Math.max(1, document.version - 5) }),
  'the other store for every table': (document) =>
    JSON.stringify({ ...document, version: document.version + 1, tables: mapTables(document.tables, (rule) => ({ ...rule, primary: turned(rule.primary) })) }),
  'the other store with a very high attempt': (document) =>
    JSON.stringify({ ...document, version: document.version + 7, tables: mapTables(document.tables, (rule) => ({ ...rule, primary: turned(rule.primary), attempt: 1_000_000 })) }),
  'no tables': (document) => JSON.stringify({ ...document, version: document.version + 1, tables: {} }),
  'no workflow': (document) => JSON.stringify({ ...document, version: document.version + 1, tables: mapTables(document.tables, ({ movement: _, ...rule }) => rule) }),
  'a hold that nobody ends': (document) =>
    JSON.stringify({
      ...document,
      version: document.version + 1,
      tables: mapTables(document.tables, (rule) => ({ ...rule, writes: 'held', hold: { holdMs: 1_000, attempt: 1_000_000 } })),
    }),
  'a typing error': (document) => JSON.stringify({ ...document, version: document.version + 1, tabels: {} }),
};

/** The key goes, and nobody who deleted it puts it back. */
export const keyDeleted: Nemesis = {
  name: 'key-deleted',
  async strike({ consul }, dice) {
    await untilDone('the deletion of the rules', async () => ({ out: await consul.kv('delete', rulesKey) }));
    await sleep(dice.roll(longestLookMs));
    return { what: 'the rules are deleted', excuses: noExcuse };
  },
};

/** A third party overwrites the rules, whatever they are just then, and goes away. */
export const rulesOverwritten: Nemesis = {
  name: 'rules-overwritten',
  async strike({ consul }, dice) {
    const name = oneOf(Object.keys(overwrites), dice);
    const document = await readRules(consul).catch(() => null);
    const text = overwrites[name]?.(document ?? emptyRules) ?? '';
    await untilDone('the overwriting of the rules', async () => ({ out: await consul.kv('put', rulesKey, document === null ? text : text.replace(document.nonce, randomUUID())) }));
    await sleep(dice.roll(longestLookMs));
    return { what: `the rules are overwritten by ${name}`, excuses: noExcuse };
  },
};

/** Stands for rules that cannot be read just now. */
const emptyRules: RulesDocument = { version: 1, nonce: 'third-party', changedBy: 'third party', changedAt: '', reason: '', defaultKeyspace: 'old', keyspaces: {}, tables: {} };

/** All of Consul's keys and sessions as they were some seconds ago. */
export const snapshotRestored: Nemesis = {
  name: 'snapshot-restored',
  async strike({ consul }, dice) {
    const forMs = durationMs(dice);
    const url = `${consul.address}/v1/snapshot`;
    const bytes = await untilDone('a snapshot of Consul', async () => (await answered(url, {})).arrayBuffer());
    await sleep(forMs);
    await untilDone('the return to a snapshot', () => answered(url, { method: 'PUT', body: bytes }));
    return { what: `a snapshot restored after ${seconds(forMs)}`, excuses: noExcuse };
  },
};

/** Another strike may be on Consul, or on a way to it: a person would try again, too. */
function untilDone<T extends object>(what: string, act: () => Promise<T>): Promise<T> {
  let why = '';
  return waitUntil(what, { limitMs: handLimitMs, everyMs: 300, explain: () => why }, () =>
    act().catch((error: unknown) => {
      why = String(error);
      return undefined;
    }),
  );
}

async function answered(url: string, request: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(snapshotLimitMs) });
  if (!response.ok) throw new Error(`Consul answered ${response.status}: ${await response.text()}`);
  return response;
}

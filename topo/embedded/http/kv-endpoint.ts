import { type Call, jsonReply, numberOf, Refusal, type Reply } from './http-exchange.ts';
import { deleteKey, deleteKeyIfUnchanged, deleteTree, type KeyContent, type KeyOutcome, lockKey, setKey, setKeyIfUnchanged, unlockKey } from '../state/key-operations.ts';
import { blockingQuery, type Query, readHeaders } from './query-options.ts';
import type { SessionKeeper } from '../state/session-keeper.ts';
import type { Change, Entry } from '../state/topology-state.ts';

export const MAX_VALUE_BYTES = 512 * 1024;

export interface KvParts extends Query {
  readonly sessions: SessionKeeper;
}

/** `/v1/kv/KEY`: GET (`recurse`, `keys` with `separator`, `raw`, blocking), PUT (`flags`, and one of `cas`, `acquire`, `release`), DELETE (`recurse` or `cas`). */
export async function serveKv(parts: KvParts, call: Call): Promise<Reply> {
  const { query } = call;
  if (call.method === 'GET') return query.has('keys') ? getKeys(parts, call) : query.has('recurse') ? getTree(parts, call) : getKey(parts, call);
  return call.method === 'PUT' ? put(parts, call) : remove(parts, call);
}

/** An entry as Consul shows it. */
export function shownEntry(entry: Entry, withValue = true): Readonly<Record<string, unknown>> {
  return {
    LockIndex: entry.lockIndex,
    Key: entry.key,
    Flags: entry.flags,
    Value: withValue && entry.value !== '' ? entry.value : null,
    ...(entry.session === '' ? {} : { Session: entry.session }),
    CreateIndex: entry.createIndex,
    ModifyIndex: entry.modifyIndex,
  };
}

async function getKey(parts: KvParts, call: Call): Promise<Reply> {
  const key = keyOf(call);
  const { state } = parts.store;
  const look = () => {
    const entry = state.entry(key);
    return { entry, index: entry?.modifyIndex ?? state.kvIndex };
  };
  const { entry, index } = await blockingQuery(parts, call, look, (change) => touches(change, (changed) => changed === key));
  const headers = readHeaders(index);
  if (entry === undefined) return { status: 404, headers, body: '' };
  if (!call.query.has('raw')) return jsonReply([shownEntry(entry)], headers);
  const safely = { 'Content-Type': 'text/plain', 'X-Content-Type-Options': 'nosniff', 'Content-Security-Policy': 'sandbox' };
  return { status: 200, headers: { ...headers, ...safely }, body: Buffer.from(entry.value, 'base64') };
}

async function readTree(parts: KvParts, call: Call): Promise<{ readonly entries: readonly Entry[]; readonly index: number }> {
  const { state } = parts.store;
  const look = () => {
    const entries = state.tree(call.rest);
    return { entries, index: state.treeIndex(call.rest, entries) };
  };
  return blockingQuery(parts, call, look, (change) => touches(change, (changed) => changed.startsWith(call.rest)));
}

async function getTree(parts: KvParts, call: Call): Promise<Reply> {
  const { entries, index } = await readTree(parts, call);
  if (entries.length === 0) return { status: 404, headers: readHeaders(index), body: '' };
  return jsonReply(
    entries.map((entry) => shownEntry(entry)),
    readHeaders(index),
  );
}

/** With a separator the keys below it are folded into one name that ends in it. */
async function getKeys(parts: KvParts, call: Call): Promise<Reply> {
  const { entries, index } = await readTree(parts, call);
  const separator = call.query.get('separator') ?? '';
  const names = entries.map(({ key }) => {
    const at = separator === '' ? -1 : key.indexOf(separator, call.rest.length);
    return at < 0 ? key : key.slice(0, at + separator.length);
  });
  if (names.length === 0 && call.rest !== '') return { status: 404, headers: readHeaders(index), body: '' };
  return jsonReply([...new Set(names)], readHeaders(index));
}

async function put(parts: KvParts, call: Call): Promise<Reply> {
  const key = keyOf(call);
  onlyOneOf(call.query, 'cas', 'acquire', 'release');
  const cas = numberOf(call.query, 'cas');
  const flags = numberOf(call.query, 'flags') ?? 0;
  const value = (await call.body(MAX_VALUE_BYTES, 'a value')).toString('base64');
  const content: KeyContent = { key, value, flags };
  const acquire = call.query.get('acquire');
  const release = call.query.get('release');
  if (acquire !== null && parts.sessions.isDelayed(key)) return jsonReply(false);
  return answer(
    parts.store.write(
      (draft) => {
        if (cas !== undefined) return setKeyIfUnchanged(draft, content, cas);
        if (acquire !== null) return lockKey(draft, content, acquire);
        return release === null ? setKey(draft, content) : unlockKey(draft, content, release);
      },
      ({ kind }) => kind === 'done',
    ),
  );
}

async function remove(parts: KvParts, call: Call): Promise<Reply> {
  onlyOneOf(call.query, 'recurse', 'cas');
  const cas = numberOf(call.query, 'cas');
  if (call.query.has('recurse')) return answer(parts.store.write((draft) => deleteTree(draft, call.rest)));
  const key = keyOf(call);
  return answer(
    parts.store.write(
      (draft) => (cas === undefined ? deleteKey(draft, key) : deleteKeyIfUnchanged(draft, key, cas)),
      ({ kind }) => kind === 'done',
    ),
  );
}

function answer(outcome: KeyOutcome): Reply {
  // Consul's own status for a session that is unknown: nothing is wrong with the request itself.
  if (outcome.kind === 'failed') throw new Refusal(500, outcome.what);
  return jsonReply(outcome.kind === 'done');
}

function keyOf(call: Call): string {
  if (call.rest === '') throw new Refusal(400, 'Missing key name');
  return call.rest;
}

function onlyOneOf(query: URLSearchParams, ...names: readonly string[]): void {
  if (names.filter((name) => query.has(name)).length > 1) throw new Refusal(400, `Conflicting flags: ${query.toString()}`);
}

function touches(change: Change, isMeant: (key: string) => boolean): boolean {
  return change.puts.some(({ key }) => isMeant(key)) || change.deletes.some(isMeant);
}

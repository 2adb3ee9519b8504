import { z } from 'zod';
import type { Draft } from '../state/draft.ts';
import { type Call, jsonReply, Refusal, type Reply } from './http-exchange.ts';
import { deleteKey, deleteKeyIfUnchanged, deleteTree, type KeyContent, type KeyOutcome, lockKey, setKey, setKeyIfUnchanged, unlockKey } from '../state/key-operations.ts';
import { type KvParts, MAX_VALUE_BYTES, shownEntry } from './kv-endpoint.ts';
import type { Entry } from '../state/topology-state.ts';

const MAX_OPERATIONS = 64;
const MAX_BODY_BYTES = 512 * 1024;

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const operationSchema = z.strictObject({
  Verb: z.string(),
  Key: z.string().default(''),
  Value: z.base64().nullish(),
  Flags: count.default(0),
  Index: count.default(0),
  Session: z.string().default(''),
});
type Operation = z.infer<typeof operationSchema>;
const bodySchema = z.array(z.strictObject({ KV: operationSchema }));

/** Verbs that need no key: they work on a prefix. */
const PREFIX_VERBS: readonly string[] = ['delete-tree'];

interface TransactionError {
  readonly OpIndex: number;
  readonly What: string;
}

/** What an operation adds to the results, or why it fails. */
type Outcome = { readonly shown: readonly Readonly<Record<string, unknown>>[] } | { readonly what: string };

/** `PUT /v1/txn`: all of the operations on keys at one index, or none: then 409 names each that failed. */
export async function serveTransaction(parts: KvParts, call: Call): Promise<Reply> {
  const operations = parse(await call.body(MAX_BODY_BYTES, 'a transaction'));
  const refused = operations.flatMap((operation, at) => refusalBefore(parts, operation, at));
  if (refused.length > 0) return jsonReply({ Results: null, Errors: refused }, {}, 409);
  const { results, errors } = parts.store.write(
    (draft) => runAll(draft, operations),
    (outcome) => outcome.errors.length === 0,
  );
  if (errors.length > 0) return jsonReply({ Results: null, Errors: errors }, {}, 409);
  return jsonReply({ Results: results.map((KV) => ({ KV })), Errors: null });
}

function parse(body: Buffer): readonly Operation[] {
  let raw: unknown;
  try {
    raw = JSON.parse(body.toString());
  } catch (error) {
    throw new Refusal(400, `Failed to parse body: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (Array.isArray(raw) && raw.length > MAX_OPERATIONS) throw new Refusal(413, `Transaction contains too many operations (${raw.length} > ${MAX_OPERATIONS})`);
  const parsed = bodySchema.safeParse(raw);
  if (!parsed.success) {
    const foreign = Array.isArray(raw)
      ? raw.flatMap((operation: unknown) => Object.keys(operation ?? {})).find((kind) => ['Node', 'Service', 'Check', 'Session'].includes(kind))
      : undefined;
    if (foreign !== undefined) throw new Refusal(501, `operations on "${foreign}" in a transaction are not served by the embedded topology`);
    throw new Refusal(400, `Failed to parse body: ${z.prettifyError(parsed.error)}`);
  }
  const operations = parsed.data.map(({ KV }) => KV);
  for (const { Key, Value } of operations) {
    const bytes = Buffer.byteLength(Value ?? '', 'base64');
    if (bytes > MAX_VALUE_BYTES) throw new Refusal(413, `Value for key "${Key}" is too large (${bytes} > ${MAX_VALUE_BYTES} bytes)`);
  }
  return operations;
}

/** What is refused whatever the keys hold. */
function refusalBefore(parts: KvParts, operation: Operation, at: number): readonly TransactionError[] {
  if (operation.Key === '' && !PREFIX_VERBS.includes(operation.Verb)) return [{ OpIndex: at, What: 'Must provide key' }];
  if (operation.Verb === 'lock' && parts.sessions.isDelayed(operation.Key)) return [{ OpIndex: at, What: `failed to lock key "${operation.Key}" due to lock delay` }];
  return [];
}

function runAll(draft: Draft, operations: readonly Operation[]) {
  const results: Readonly<Record<string, unknown>>[] = [];
  const errors: TransactionError[] = [];
  for (const [at, operation] of operations.entries()) {
    const outcome = run(draft, operation);
    if ('what' in outcome) errors.push({ OpIndex: at, What: outcome.what });
    else results.push(...outcome.shown);
  }
  return { results, errors };
}

function run(draft: Draft, operation: Operation): Outcome {
  const { Key: key, Index: index, Session: session } = operation;
  // Decoded and encoded again: two ways of writing the same bytes must be equal.
  const content: KeyContent = { key, value: Buffer.from(operation.Value ?? '', 'base64').toString('base64'), flags: operation.Flags };
  switch (operation.Verb) {
    case 'set':
      return written(setKey(draft, content));
    case 'cas':
      return written(setKeyIfUnchanged(draft, content, index));
    case 'lock':
      return written(lockKey(draft, content, session));
    case 'unlock':
      return written(unlockKey(draft, content, session));
    case 'delete':
      return written(deleteKey(draft, key));
    case 'delete-cas':
      return written(deleteKeyIfUnchanged(draft, key, index));
    case 'delete-tree':
      return written(deleteTree(draft, key));
    case 'get-tree':
      return { shown: draft.tree(key).map((entry) => shownEntry(entry)) };
    case 'check-not-exists':
      return draft.entry(key) === undefined ? { shown: [] } : { what: `key "${key}" exists` };
    case 'get':
    case 'check-index':
    case 'check-session':
      return look(draft.entry(key), operation);
    default:
      return { what: `unknown KV verb "${operation.Verb}"` };
  }
}

/** How Consul begins to say that the key to look at is missing. */
const MISSING: Readonly<Record<string, string>> = { 'check-index': 'failed to check index, ', 'check-session': 'failed to check session, ' };

function look(entry: Entry | undefined, { Verb, Key, Index, Session }: Operation): Outcome {
  if (entry === undefined) return { what: `${MISSING[Verb] ?? ''}key "${Key}" doesn't exist` };
  if (Verb === 'get') return { shown: [shownEntry(entry)] };
  if (Verb === 'check-index' && entry.modifyIndex !== Index) return { what: `failed index check for key "${Key}", current modify index ${entry.modifyIndex} != ${Index}` };
  if (Verb === 'check-session' && entry.session !== Session) return { what: `failed session check for key "${Key}", current session "${entry.session}" != "${Session}"` };
  return { shown: [shownEntry(entry, false)] };
}

/** The value is not sent back; a deletion shows nothing. */
function written(outcome: KeyOutcome): Outcome {
  if (outcome.kind !== 'done') return { what: outcome.what };
  return { shown: outcome.entry === null ? [] : [shownEntry(outcome.entry, false)] };
}

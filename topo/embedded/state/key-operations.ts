import type { Draft } from './draft.ts';
import type { Entry } from './topology-state.ts';

/** What a client wants under a key. `value` is base64. */
export interface KeyContent {
  readonly key: string;
  readonly value: string;
  readonly flags: number;
}

/** `lost`: the key is not as the client expects. `failed`: the client asks for something that cannot be. `what` says it in Consul's words. */
export type KeyOutcome = { readonly kind: 'done'; readonly entry: Entry | null } | { readonly kind: 'lost' | 'failed'; readonly what: string };

/** Consul lets go of the count of acquisitions at a plain write, and of nothing else: a holder stays the holder. */
export function setKey(draft: Draft, content: KeyContent): KeyOutcome {
  return { kind: 'done', entry: draft.put({ ...content, session: draft.entry(content.key)?.session ?? '', lockIndex: 0 }) };
}

/** Index 0: the key must not exist. */
export function setKeyIfUnchanged(draft: Draft, content: KeyContent, index: number): KeyOutcome {
  if ((draft.entry(content.key)?.modifyIndex ?? 0) !== index) return { kind: 'lost', what: `failed to set key "${content.key}", index is stale` };
  return setKey(draft, content);
}

/** Taking again what the session holds changes the value only. */
export function lockKey(draft: Draft, content: KeyContent, session: string): KeyOutcome {
  if (session === '') return { kind: 'failed', what: 'missing session' };
  if (draft.session(session) === undefined) return { kind: 'failed', what: `invalid session "${session}"` };
  const existing = draft.entry(content.key);
  const holder = existing?.session ?? '';
  if (holder !== '' && holder !== session) return { kind: 'lost', what: `failed to lock key "${content.key}", lock is already held` };
  const lockIndex = existing?.lockIndex ?? 0;
  return { kind: 'done', entry: draft.put({ ...content, session, lockIndex: holder === session ? lockIndex : lockIndex + 1 }) };
}

export function unlockKey(draft: Draft, content: KeyContent, session: string): KeyOutcome {
  if (session === '') return { kind: 'failed', what: 'missing session' };
  const existing = draft.entry(content.key);
  if (existing?.session !== session) return { kind: 'lost', what: `failed to unlock key "${content.key}", lock isn't held, or is held by another session` };
  return { kind: 'done', entry: draft.put({ ...content, session: '', lockIndex: existing.lockIndex }) };
}

/** Nothing there is success. */
export function deleteKey(draft: Draft, key: string): KeyOutcome {
  draft.remove(key);
  return { kind: 'done', entry: null };
}

/** Nothing there is success here too. */
export function deleteKeyIfUnchanged(draft: Draft, key: string, index: number): KeyOutcome {
  const existing = draft.entry(key);
  if (existing !== undefined && existing.modifyIndex !== index) return { kind: 'lost', what: `failed to delete key "${key}", index is stale` };
  return deleteKey(draft, key);
}

export function deleteTree(draft: Draft, prefix: string): KeyOutcome {
  for (const { key } of draft.tree(prefix)) draft.remove(key);
  return { kind: 'done', entry: null };
}

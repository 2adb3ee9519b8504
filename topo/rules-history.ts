import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { type RulesDocument, rulesDocumentSchema } from '../core/rules-document.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { KvItem, KvWrite } from './kv-client.ts';
import { decodeDocument, encodeDocument } from './document-codec.ts';
import type { HistoryEntry } from './topology.ts';
import { CHANGE_LIMIT_MS, CHANGE_TRIES, type TopologyContext } from './topology-context.ts';
import { withLimit } from './time-limit.ts';

const VERSION_DIGITS = 16;
const FINGERPRINT_DIGITS = 16;
const ENTRY_NAME = /^(\d{16})-[0-9a-f]{16}$/;
const MAX_ENTRY_BYTES = 8 * 1024 * 1024;
/** Entries in one read. */
const PAGE = 32;

const entrySchema = z.strictObject({ document: rulesDocumentSchema, external: z.boolean() });
const recordedSchema = z.strictObject({ version: z.number().int().nonnegative(), entry: z.string() });

/** What the key `recorded` says. `index` is for its compare-and-set, 0 where it does not exist. */
export interface Recorded {
  readonly version: number;
  readonly entry: string | null;
  readonly index: number;
}

/**
 * Name of a document's entry: its version, padded so that names sort like versions, and a fingerprint of its content. Somebody else may write two documents of one version; both are kept, and recording one twice changes nothing.
 * Control's own documents carry a nonce, so that their entry proves that exactly this write was done.
 */
export function entryName(document: RulesDocument): string {
  const canonical = JSON.stringify(rulesDocumentSchema.parse(document));
  const fingerprint = createHash('sha256').update(canonical).digest('hex').slice(0, FINGERPRINT_DIGITS);
  return `${String(document.version).padStart(VERSION_DIGITS, '0')}-${fingerprint}`;
}

/** The documents that were current once, compressed, under `history/`. An entry is written with its document in one transaction. */
export class RulesHistory {
  readonly #context: TopologyContext;

  constructor(context: TopologyContext) {
    this.#context = context;
  }

  keyOf(entry: string): string {
    return this.#context.keys.history + entry;
  }

  /** The operations that put a document into the history; they fail when anybody else recorded one since `recorded` was read. */
  writes(document: RulesDocument, external: boolean, recorded: Recorded): readonly KvWrite[] {
    const entry = entryName(document);
    const next = { version: Math.max(recorded.version, document.version), entry };
    return [
      { verb: 'cas', key: this.keyOf(entry), value: gzipSync(encodeDocument({ document, external })), index: 0 },
      { verb: 'cas', key: this.#context.keys.recorded, value: encodeDocument(next), index: recorded.index },
    ];
  }

  /** Reads `recorded` out of a snapshot. Where it is missing or damaged the history itself is listed, so that versions never fall. */
  async recorded(snapshot: ReadonlyMap<string, KvItem>, signal: AbortSignal): Promise<Recorded> {
    const item = snapshot.get(this.#context.keys.recorded);
    const decoded = item === undefined ? null : decodeDocument(recordedSchema, item.value);
    const index = item?.modifyIndex ?? 0;
    if (decoded?.kind === 'valid') return { ...decoded.value, index };
    const newest = (await this.#entries(signal))[0];
    return { version: newest?.version ?? 0, entry: newest?.name ?? null, index };
  }

  /** Newest first, versions below `before` when given. Entries that cannot be read are left out and reported. */
  async list(limit: number, before: number | null, signal: AbortSignal): Promise<readonly HistoryEntry[]> {
    const wanted = (await this.#entries(signal)).filter((entry) => before === null || entry.version < before).slice(0, limit);
    const found: HistoryEntry[] = [];
    for (let start = 0; start < wanted.length; start += PAGE) {
      const keys = wanted.slice(start, start + PAGE).map((entry) => this.keyOf(entry.name));
      const items = await this.#context.client.snapshot(keys, signal);
      for (const key of keys) {
        const item = items.get(key);
        const entry = item === undefined ? null : this.#decode(item);
        if (entry !== null) found.push(entry);
      }
    }
    return found;
  }

  /** Puts a document that somebody else wrote into the history, if it is not there. */
  async recordExternal(document: RulesDocument, signal: AbortSignal): Promise<void> {
    const key = this.keyOf(entryName(document));
    await withLimit(this.#context.clock, CHANGE_LIMIT_MS, signal, async (limited) => {
      for (let tries = 1; tries <= CHANGE_TRIES; tries += 1) {
        const snapshot = await this.#context.client.snapshot([key, this.#context.keys.recorded], limited);
        if (snapshot.has(key)) return;
        const recorded = await this.recorded(snapshot, limited);
        if (await this.#tryToRecord(document, recorded, limited)) return;
        await this.#context.conflictBackOff.pause(tries, limited);
      }
      throw new SwitchyardError('TOPOLOGY_CONFLICT', `version ${document.version} could not be put into the history: others were faster ${CHANGE_TRIES} times`);
    });
  }

  /** An unanswered write is simply looked for again: writing an entry twice cannot happen. */
  async #tryToRecord(document: RulesDocument, recorded: Recorded, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#context.client.write(this.writes(document, true, recorded), signal)).kind === 'written';
    } catch (error) {
      if (signal.aborted || !hasReason(error, 'TOPOLOGY_UNAVAILABLE')) throw error;
      return false;
    }
  }

  async #entries(signal: AbortSignal): Promise<readonly { readonly name: string; readonly version: number }[]> {
    const { client, keys } = this.#context;
    const names = (await client.keys(keys.history, signal)).map((key) => key.slice(keys.history.length));
    return names.flatMap((name) => (ENTRY_NAME.test(name) ? [{ name, version: Number(name.slice(0, VERSION_DIGITS)) }] : [])).reverse();
  }

  #decode(item: KvItem): HistoryEntry | null {
    try {
      const decoded = decodeDocument(entrySchema, gunzipSync(item.value, { maxOutputLength: MAX_ENTRY_BYTES }));
      if (decoded.kind === 'valid') return decoded.value;
      this.#context.report(new SwitchyardError('TOPOLOGY_INVALID', `${item.key} is left out: ${decoded.message}`));
    } catch (cause) {
      this.#context.report(new SwitchyardError('TOPOLOGY_INVALID', `${item.key} is left out: it cannot be decompressed`, { cause }));
    }
    return null;
  }
}

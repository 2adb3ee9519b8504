import type { z } from 'zod';
import type { ErrorReason } from '../core/error-catalogue.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { watchItems } from './blocking-watch.ts';
import { CONSISTENT, type KvItem } from './kv-client.ts';
import { decodeDocument, describeIssues, encodeDocument } from './document-codec.ts';
import type { Stored } from './topology.ts';
import type { TopologyContext } from './topology-context.ts';

export interface DocumentKind<T> {
  readonly prefix: string;
  readonly schema: z.ZodType<T>;
  /** The last part of the key; a document under another name is invalid. */
  readonly nameOf: (value: T) => string;
  /** What an invalid document that a caller wants to write fails with. */
  readonly invalid: ErrorReason;
}

const REMEMBERED_COMPLAINTS = 1_000;

/** Documents of one kind, a key each. An invalid one is left out of lists and reported once in each of its states, so that one slip does not take the others away. */
export class KvDocuments<T> {
  readonly #context: TopologyContext;
  readonly #kind: DocumentKind<T>;
  readonly #complained = new Map<string, number>();

  constructor(context: TopologyContext, kind: DocumentKind<T>) {
    this.#context = context;
    this.#kind = kind;
  }

  keyOf(name: string): string {
    return this.#context.keys.named(this.#kind.prefix, name);
  }

  /** The bytes to store. Fails with the kind's reason where the document is invalid. */
  encode(value: T): Buffer {
    const parsed = this.#kind.schema.safeParse(value);
    if (!parsed.success) throw new SwitchyardError(this.#kind.invalid, describeIssues(parsed.error));
    return encodeDocument(parsed.data);
  }

  /** TOPOLOGY_INVALID where there is a document that cannot be read. */
  async read(name: string, signal: AbortSignal): Promise<Stored<T> | null> {
    const { items } = await this.#context.client.get(this.keyOf(name), CONSISTENT, signal);
    const item = items[0];
    if (item === undefined) return null;
    const decoded = this.#decode(item);
    if (typeof decoded === 'string') throw new SwitchyardError('TOPOLOGY_INVALID', `${item.key}: ${decoded}`);
    return decoded;
  }

  /** All valid documents, sorted by name. */
  async list(signal: AbortSignal): Promise<readonly Stored<T>[]> {
    const { items } = await this.#context.client.list(this.#kind.prefix, CONSISTENT, signal);
    return this.#valid(items);
  }

  /** The same of all documents. TOPOLOGY_INVALID names one that cannot be read. */
  async listEvery(signal: AbortSignal): Promise<readonly Stored<T>[]> {
    const { items } = await this.#context.client.list(this.#kind.prefix, CONSISTENT, signal);
    return items.map((item) => {
      const decoded = this.#decode(item);
      if (typeof decoded === 'string') throw new SwitchyardError('TOPOLOGY_INVALID', `${item.key}: ${decoded}`, { metadata: { key: item.key } });
      return decoded;
    });
  }

  async *watch(signal: AbortSignal, onFault: ((error: Error) => void) | undefined): AsyncGenerator<readonly Stored<T>[], void, undefined> {
    const { client } = this.#context;
    for await (const items of watchItems(this.#context, (mode, limited) => client.list(this.#kind.prefix, mode, limited), signal, onFault)) yield this.#valid(items);
  }

  /** Last write wins. */
  async put(value: T, signal: AbortSignal): Promise<void> {
    const key = this.keyOf(this.#kind.nameOf(value));
    const outcome = await this.#context.client.write([{ verb: 'set', key, value: this.encode(value) }], signal);
    if (outcome.kind === 'refused') throw new SwitchyardError('TOPOLOGY_DENIED', `${key}: ${outcome.message}`);
  }

  /** Nothing there is success. */
  async remove(name: string, signal: AbortSignal): Promise<void> {
    const key = this.keyOf(name);
    const outcome = await this.#context.client.write([{ verb: 'delete', key }], signal);
    if (outcome.kind === 'refused') throw new SwitchyardError('TOPOLOGY_DENIED', `${key}: ${outcome.message}`);
  }

  #valid(items: readonly KvItem[]): readonly Stored<T>[] {
    return items.flatMap((item) => {
      const decoded = this.#decode(item);
      if (typeof decoded !== 'string') return [decoded];
      this.#complain(item, decoded);
      return [];
    });
  }

  #decode(item: KvItem): Stored<T> | string {
    const decoded = decodeDocument(this.#kind.schema, item.value);
    if (decoded.kind === 'invalid') return decoded.message;
    const name = item.key.slice(this.#kind.prefix.length);
    if (this.#kind.nameOf(decoded.value) !== name) return `the document names itself ${JSON.stringify(this.#kind.nameOf(decoded.value))}`;
    return { value: decoded.value, index: item.modifyIndex };
  }

  #complain(item: KvItem, message: string): void {
    if (this.#complained.get(item.key) === item.modifyIndex) return;
    if (this.#complained.size >= REMEMBERED_COMPLAINTS) this.#complained.clear();
    this.#complained.set(item.key, item.modifyIndex);
    this.#context.report(new SwitchyardError('TOPOLOGY_INVALID', `${item.key} is left out: ${message}`, { metadata: { key: item.key } }));
  }
}

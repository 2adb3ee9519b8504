import { type Registration, registrationSchema } from '../core/registration.ts';
import { KvDocuments } from './kv-documents.ts';
import type { Stored } from './topology.ts';
import type { TopologyContext } from './topology-context.ts';

/** Gateways' registrations. They outlive their sessions, so that a gateway which fell silent is seen to be missing. */
export class RegistrationStore {
  readonly documents: KvDocuments<Registration>;
  readonly #context: TopologyContext;

  constructor(context: TopologyContext) {
    this.#context = context;
    this.documents = new KvDocuments(context, {
      prefix: context.keys.gateways,
      schema: registrationSchema,
      nameOf: (registration) => registration.id,
      invalid: 'ARGUMENT_INVALID',
    });
  }

  /** Sessions are read after the registrations: the other way round, one that has just begun would look lost. */
  async list(signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]> {
    return await this.#withSessions(await this.documents.list(signal), signal);
  }

  async listEvery(signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]> {
    return await this.#withSessions(await this.documents.listEvery(signal), signal);
  }

  async #withSessions(registrations: readonly Stored<Registration>[], signal: AbortSignal): Promise<readonly (Registration & { readonly silent: boolean })[]> {
    const sessions = await this.#context.client.sessionIds(signal);
    return registrations.map(({ value }) => ({ ...value, silent: !sessions.has(value.session) }));
  }

  async *watch(signal: AbortSignal, onFault: ((error: Error) => void) | undefined): AsyncGenerator<readonly Registration[], void, undefined> {
    for await (const stored of this.documents.watch(signal, onFault)) yield stored.map(({ value }) => value);
  }
}

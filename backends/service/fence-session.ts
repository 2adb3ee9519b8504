import type { FenceRow } from '../../core/fence.ts';
import { type Attempt, attempt } from '../../core/ids.ts';
import {
  type FenceScope as WireScope,
  OwnerStoreService,
  type SequenceState as WireSequence,
  TransitionRequest_Kind as Kind,
} from '../../gen/switchyard/store/v1/owner_store_pb.ts';
import { fenceRowFromMessage } from '../../runtime/wire/fence-message.ts';
import type { CatchUpState, FenceSession, SequenceState, StreamSpec } from '../backend.ts';
import { read } from './failures.ts';
import type { Transport } from './transport.ts';
import { wholeNumber } from './whole-number.ts';

export interface ServiceFenceOptions {
  readonly transport: Transport;
  /** The keyspace there, and the scope: what every call names. */
  readonly scoped: { readonly keyspace: string; readonly scope: WireScope };
}

const owner = OwnerStoreService.method;

/** The transitions of one scope, each one call: the other end keeps the connection to its store warm between them. */
export class ServiceFenceSession implements FenceSession {
  readonly #options: ServiceFenceOptions;

  constructor(options: ServiceFenceOptions) {
    this.#options = options;
  }

  async highestAttempt(signal: AbortSignal): Promise<Attempt> {
    const { transport, scoped } = this.#options;
    const { attempt: highest } = await transport.unary(owner.highestAttempt, scoped, { signal, effect: 'read' });
    return read(scoped.keyspace, false, () => attempt(wholeNumber(highest)));
  }

  prepare(of: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.PREPARE, of, signal);
  }

  fence(of: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.FENCE, of, signal, { lockTimeoutMs });
  }

  commit(of: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.COMMIT, of, signal);
  }

  abort(of: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.ABORT, of, signal);
  }

  ready(stream: StreamSpec, of: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.READY, of, signal, { stream });
  }

  close(of: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.CLOSE, of, signal);
  }

  open(stream: StreamSpec, of: Attempt, signal: AbortSignal): Promise<void> {
    return this.#transition(Kind.OPEN, of, signal, { stream });
  }

  async catchUp({ id, workflow, tables }: StreamSpec, signal: AbortSignal): Promise<CatchUpState> {
    const { transport, scoped } = this.#options;
    const { marker, fences } = await transport.unary(owner.catchUp, { ...scoped, stream: { id, workflow, tables: [...tables] } }, { signal, effect: 'read' });
    return read(scoped.keyspace, false, () => ({ marker: attempt(wholeNumber(marker)), fences: fences.map(fenceRowFromMessage) }));
  }

  async sequences(signal: AbortSignal): Promise<readonly SequenceState[]> {
    const { transport, scoped } = this.#options;
    const { sequences } = await transport.unary(owner.scopeSequences, scoped, { signal, effect: 'read' });
    return sequences.map(({ table, column, value }: WireSequence) => ({ table, column, value }));
  }

  async fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]> {
    const { transport, scoped } = this.#options;
    return (await transport.unary(owner.scopeFenceRows, scoped, { signal, effect: 'read' })).rows.map(fenceRowFromMessage);
  }

  /** Nothing to give back: the connection there ends by itself. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #transition(kind: Kind, of: Attempt, signal: AbortSignal, more: { readonly lockTimeoutMs?: number; readonly stream?: StreamSpec } = {}): Promise<void> {
    const { transport, scoped } = this.#options;
    const { lockTimeoutMs = 0, stream } = more;
    const named = stream === undefined ? {} : { stream: { id: stream.id, workflow: stream.workflow, tables: [...stream.tables] } };
    await transport.unary(owner.transition, { ...scoped, kind, attempt: BigInt(of), lockTimeoutMs, ...named }, { signal, effect: 'write' });
  }
}

import type { DescService } from '@bufbuild/protobuf';
import type { Identity } from '../../core/keyspace.ts';
import { CALL_KEY } from '../../core/peer-call.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RpcContext, RpcImplementation } from '../grpc-server.ts';
import type { PeerAccess } from './access.ts';
import { type PeerObserver, unobserved } from './observer.ts';
import type { CallService } from '../../gen/switchyard/store/v1/calls_pb.ts';

/** Calls of peers that are under way in this process and that another call may cancel. */
export class PeerCalls {
  readonly #calls = new Map<string, AbortController>();

  /** The call's context with a signal that `cancel` aborts as well; to be disposed of at its end. */
  enter(peer: string, context: RpcContext): { readonly context: RpcContext } & Disposable {
    const id = context.metadata.get(CALL_KEY)[0]?.toString() ?? '';
    if (id === '') return { context, [Symbol.dispose]: () => {} };
    const key = keyOf(peer, id);
    const controller = new AbortController();
    this.#calls.set(key, controller);
    return {
      context: { ...context, signal: AbortSignal.any([context.signal, controller.signal]) },
      [Symbol.dispose]: () => {
        if (this.#calls.get(key) === controller) this.#calls.delete(key);
      },
    };
  }

  /** Aborts this call of the peer where it is under way. */
  cancel(peer: string, id: string): void {
    this.#calls.get(keyOf(peer, id))?.abort(new SwitchyardError('CANCELLED', 'the caller cancelled the call'));
  }
}

const keyOf = (peer: string, id: string): string => JSON.stringify([peer, id]);

type Handler = (request: unknown, context: RpcContext) => unknown;

/** The service for peers alone: every call says who it is before anything is done, and unary ones may be cancelled by their id. `observer` is told of those that are let in. */
export function guarded<S extends DescService>(
  service: S,
  implementation: RpcImplementation<S>,
  access: PeerAccess,
  identity: Identity,
  calls: PeerCalls,
  observer: PeerObserver = unobserved,
): RpcImplementation<S> {
  const handlers = implementation as unknown as Readonly<Record<string, Handler>>;
  const wrapped = service.methods.map(({ localName, name: method, methodKind }) => {
    const handler = handlers[localName]?.bind(implementation);
    if (handler === undefined) throw new Error(`${service.typeName}.${localName} has no handler`);
    const unary = async (request: unknown, context: RpcContext): Promise<unknown> => {
      const peer = access.authorize(context.metadata, identity);
      using call = calls.enter(peer, context);
      return await observer.observe({ service: service.typeName, method, peer, context }, async () => await handler(request, call.context));
    };
    const stream = async function* (request: unknown, context: RpcContext): AsyncGenerator<unknown> {
      const peer = access.authorize(context.metadata, identity);
      yield* observer.observeStream({ service: service.typeName, method, peer, context }, () => handler(request, context) as AsyncIterable<unknown>);
    };
    return [localName, methodKind === 'unary' ? unary : stream] as const;
  });
  return Object.fromEntries(wrapped) as unknown as RpcImplementation<S>;
}

/** Cancels calls of the services that `calls` belongs to, for whoever may use one of them. */
export const callService = (access: PeerAccess, identities: readonly [Identity, ...Identity[]], calls: PeerCalls): RpcImplementation<typeof CallService> => ({
  async cancelCall({ call }, { metadata }) {
    calls.cancel(access.authorize(metadata, ...identities), call);
    return {};
  },
});

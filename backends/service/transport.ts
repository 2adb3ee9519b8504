import type { DescMessage, DescMethodBiDiStreaming, DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { PoolStatus } from '../backend.ts';

/**
 * What the call does at the other end, which says what it means that nobody has heard of it any more: a 'read' has done nothing, STORE_UNAVAILABLE; a 'write' may have been done, OUTCOME_UNKNOWN. A write that is aborted is cancelled at the
 * other end, whose answer to it is waited for a while.
 */
export type Effect = 'read' | 'write';

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly effect: Effect;
}

/** A conversation of one call; see `DataTransaction`. Disposing of it ends the call. */
export interface Conversation<I, O> extends AsyncDisposable {
  /** Sends a request and resolves with its answer. STORE_UNAVAILABLE: the connection was lost, and what the request did is unknown. The signal ends the whole conversation. */
  ask(request: I, signal: AbortSignal): Promise<O>;
  readonly isOver: boolean;
}

/**
 * The way to one service that passes a store on: which of its addresses is asked, how messages travel, and what becomes of failures. Every failure is a SwitchyardError: the other end's own reason where it gave one. STORE_UNAVAILABLE: no
 * address could be reached, so nothing was sent.
 */
export interface Transport extends AsyncDisposable {
  unary<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>, request: MessageInitShape<I>, options: CallOptions): Promise<MessageShape<O>>;
  stream<I extends DescMessage, O extends DescMessage>(method: DescMethodServerStreaming<I, O>, request: MessageInitShape<I>, signal: AbortSignal): AsyncIterable<MessageShape<O>>;
  /** NOT_SUPPORTED: the way has only calls with one request. */
  converse<I extends DescMessage, O extends DescMessage>(method: DescMethodBiDiStreaming<I, O>, signal: AbortSignal): Promise<Conversation<MessageInitShape<I>, MessageShape<O>>>;
  /** Calls under way count as busy connections, addresses that can be reached as idle ones. */
  status(): PoolStatus;
  /** Connects to every address that can be reached. STORE_UNAVAILABLE: to none. */
  connect(signal: AbortSignal): Promise<void>;
}

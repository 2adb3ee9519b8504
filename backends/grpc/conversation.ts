import type { ClientDuplexStream } from '@grpc/grpc-js';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { abortError } from '../service/failures.ts';
import type { Conversation } from '../service/transport.ts';

export interface ConversationOptions {
  readonly failure: (error: unknown) => SwitchyardError;
  /** Called once, when the call is over. */
  readonly onEnd: () => void;
}

/** A call of two streams, of which each request is answered before the next is sent. */
export class GrpcConversation<I, O> implements Conversation<I, O> {
  readonly #call: ClientDuplexStream<I, O>;
  readonly #answers: AsyncIterator<O>;
  readonly #options: ConversationOptions;
  #isOver = false;

  constructor(call: ClientDuplexStream<I, O>, options: ConversationOptions) {
    this.#call = call;
    this.#options = options;
    // Told to whoever asks for the next answer.
    call.on('error', () => this.#end());
    call.once('end', () => this.#end());
    this.#answers = call[Symbol.asyncIterator]() as AsyncIterator<O>;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async ask(request: I, signal: AbortSignal): Promise<O> {
    if (signal.aborted) throw abortError(signal);
    const cancel = (): void => this.#call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      this.#call.write(request);
      const { value, done } = await this.#answers.next();
      if (done !== true) return value;
      throw new SwitchyardError('STORE_UNAVAILABLE', 'the service ended the transaction without an answer');
    } catch (error) {
      this.#end();
      if (signal.aborted) throw abortError(signal);
      throw error instanceof SwitchyardError ? error : this.#options.failure(error);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    this.#call.cancel();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onEnd();
  }
}

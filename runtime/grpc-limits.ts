import { Server, type ServerInterceptingCall, type ServerInterceptingCallInterface, type ServerOptions, status } from '@grpc/grpc-js';
import { STATUS_DETAILS_KEY } from '../core/rpc-definition.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { toGrpcError } from './grpc-error.ts';

type SentStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

/** A grpc-js server that takes messages of at most so many bytes, packed or unpacked. Larger ones are not read: MESSAGE_TOO_LARGE. */
export function createGrpcServer(maxRequestBytes: number, options: ServerOptions = {}): Server {
  /** grpc-js answers such a call by itself, and so one whose deadline passes: with a code alone. */
  const explained = (sent: SentStatus): SentStatus => {
    if ((sent.metadata?.get(STATUS_DETAILS_KEY).length ?? 0) > 0) return sent;
    if (sent.code === status.RESOURCE_EXHAUSTED)
      return toGrpcError(new SwitchyardError('MESSAGE_TOO_LARGE', `the request is larger than ${maxRequestBytes} bytes; send less at once`));
    if (sent.code === status.DEADLINE_EXCEEDED) return toGrpcError(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed"));
    return sent;
  };
  return new Server({
    ...options,
    'grpc.max_receive_message_length': maxRequestBytes,
    interceptors: [
      (_method, call) => {
        // What grpc-js says by itself passes no interceptor: it calls this method of the innermost call, which is this one.
        const send = call.sendStatus.bind(call);
        call.sendStatus = (sent) => send(explained(sent));
        return call as ServerInterceptingCall;
      },
    ],
  });
}

/** Encodes the answers of one call, each once: who makes an answer may ask before it is given whether it can be sent. */
export class AnswerEncoder {
  readonly #encode: (answer: never) => Buffer;
  readonly #maxBytes: number;
  #last: { readonly answer: unknown; readonly bytes: Buffer } | null = null;

  constructor(encode: (answer: never) => Buffer, maxBytes: number) {
    this.#encode = encode;
    this.#maxBytes = maxBytes;
  }

  /** RESULT_TOO_LARGE. */
  bytesOf(answer: unknown): Buffer {
    if (this.#last !== null && this.#last.answer === answer) return this.#last.bytes;
    const bytes = this.#encode(answer as never);
    if (bytes.length > this.#maxBytes)
      throw new SwitchyardError(
        'RESULT_TOO_LARGE',
        `the answer comes to ${bytes.length} bytes, and a message carries ${this.#maxBytes}; ask for fewer columns or rows, or begin a watch anew from now`,
      );
    this.#last = { answer, bytes };
    return bytes;
  }
}

import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { WriteResult } from '../core/operation.ts';
import type { AnswerForm } from '../core/request-record.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { checkCaller, contentDigest } from './codec/once.ts';
import { type NamedWrite, preparerOf } from './codec/prepare-writes.ts';
import type { TableHandle } from './codec/table-handle.ts';
import type { Call } from './flow/call.ts';
import type { Executor, WriteCall } from './flow/executor.ts';
import { maxMessageBytes } from '../core/message-limit.ts';

/** A method of the data API that writes. */
export interface WriteMethod<I extends DescMessage, O extends DescMessage> {
  readonly input: I;
  readonly output: O;
}

/** What every request to write has beside the rows. */
type WriteRequestMessage<I extends DescMessage> = MessageShape<I> & { readonly validateOnly: boolean; readonly requestId: string };

export interface WriteToDo<I extends DescMessage, O extends DescMessage> {
  readonly method: WriteMethod<I, O>;
  /** The answer's form, for a store that cannot be asked by `answer` in time. */
  readonly form: AnswerForm;
  readonly request: WriteRequestMessage<I>;
  readonly writes: readonly NamedWrite[];
  /** Digest of the content where the message is not what the caller sent. */
  readonly contentDigest: string | undefined;
  /** The answer's message; `handles` by the names that the caller gave. */
  readonly answer: (results: readonly WriteResult[], handles: ReadonlyMap<string, TableHandle>) => MessageInitShape<O>;
}

/** Runs one call's writes; with a request id once, so that a repetition gets the first one's answer. RESULT_TOO_LARGE: the answer could not be sent, so nothing was written. */
export async function runWrites<I extends DescMessage, O extends DescMessage>(executor: Executor, call: Call, toDo: WriteToDo<I, O>): Promise<MessageInitShape<O>> {
  const { method, form, request, writes, answer } = toDo;
  const parts = { names: [...new Set(writes.map(({ name }) => name))], prepare: preparerOf(writes) };
  if (request.validateOnly) {
    await executor.validate(call, parts);
    return create(method.output);
  }
  if (request.requestId !== '') return await executor.write(call, { ...parts, send: onceSender(call, toDo), repeatable: true }).catch(nothingWritten);
  const send: WriteCall<MessageInitShape<O>>['send'] = (store, { schemas, operations }, { handles }) =>
    store.write(
      schemas,
      operations,
      call.signal,
      (results) => {
        const answered = answer(results, handles);
        call.checkAnswer(answered as object);
        return answered;
      },
      { form, maxBytes: maxMessageBytes },
    );
  return await executor.write(call, { ...parts, send, repeatable: false }).catch(nothingWritten);
}

/** Where a store does not know it says OUTCOME_UNKNOWN. */
const toldNothing = ['RESULT_TOO_LARGE', 'DEADLINE_EXCEEDED', 'CANCELLED'] as const;

function nothingWritten(error: unknown): never {
  throw hasReason(error, ...toldNothing) ? new SwitchyardError(error.reason, `${error.message}. This call wrote nothing`, { cause: error }) : error;
}

/** The answer that a record holds. */
function recordedMessage<I extends DescMessage, O extends DescMessage>({ output }: WriteMethod<I, O>, result: Uint8Array): MessageShape<O> {
  try {
    return fromBinary(output, result);
  } catch (cause) {
    throw new SwitchyardError('STORE_FAILED', `the store's record of this request holds no ${output.typeName}: the write was done, and its answer cannot be shown`, { cause });
  }
}

/** What is recorded can be sent to whoever repeats the request, over whichever protocol. */
function checkedRecord(result: Uint8Array): Uint8Array {
  if (result.length <= maxMessageBytes) return result;
  throw new SwitchyardError('RESULT_TOO_LARGE', `the answer comes to ${result.length} bytes, and a record of a request holds ${maxMessageBytes}; ask for fewer columns`);
}

function onceSender<I extends DescMessage, O extends DescMessage>(call: Call, { method, form, request, answer, ...given }: WriteToDo<I, O>): WriteCall<MessageShape<O>>['send'] {
  const { caller, signal } = call;
  checkCaller(caller);
  const id = request.requestId;
  const digest = given.contentDigest ?? contentDigest(method.input, request);
  return async (store, { schemas, operations }, { refs, handles }) => {
    const [table = ''] = [...refs.values()].map((ref) => ref.table).sort();
    const encode = (results: readonly WriteResult[]): Uint8Array => checkedRecord(toBinary(method.output, create(method.output, answer(results, handles))));
    const { result, repeated } = await store.writeOnce(schemas, operations, { caller, id, table, digest, encode, answer: { form, maxBytes: maxMessageBytes } }, signal);
    if (repeated) call.onRepeated();
    const answered = recordedMessage(method, result);
    try {
      call.checkAnswer(answered);
    } catch (cause) {
      throw new SwitchyardError('STORE_FAILED', `the write was done, and its recorded answer of ${result.length} bytes cannot be sent`, { cause });
    }
    return answered;
  };
}

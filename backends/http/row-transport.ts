import { create, type DescMessage, type DescMethodUnary, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { maxMessageBytes } from '../../core/message-limit.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { PoolStatus } from '../backend.ts';
import { read } from '../service/failures.ts';
import type { CallOptions, Conversation, Transport } from '../service/transport.ts';
import { HttpCaller, type CallerOptions } from './caller.ts';
import { replyFailure } from './reply-failure.ts';
import { answerOf, httpCallOf, shapeFrom, tablesOf } from './row-api.ts';

type Method<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage> = DescMethodUnary<I, O>;
type Description = MessageShape<typeof DataService.method.describeTable.output>;

/** Calls of the data API as a foreign service has them as JSON over HTTP. It asks for a table's description before the first row of it. */
export class RowTransport implements Transport {
  readonly #keyspace: string;
  readonly #caller: HttpCaller;
  readonly #shapes = new Map<string, TableSchema>();

  constructor(options: CallerOptions) {
    this.#keyspace = options.keyspace;
    this.#caller = new HttpCaller(options);
  }

  async unary<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>, init: MessageInitShape<I>, options: CallOptions): Promise<MessageShape<O>> {
    const any = method as unknown as Method<DescMessage, O>;
    const request = create(method.input, init);
    for (const table of tablesOf(any, request)) if (!this.#shapes.has(table)) await this.unary(DataService.method.describeTable, { table }, { ...options, effect: 'read' });
    const call = httpCallOf(any, request as MessageShape<DescMessage>, this.#shapes);
    if (Buffer.byteLength(call.body ?? '') > maxMessageBytes)
      throw new SwitchyardError('MESSAGE_TOO_LARGE', `the request comes to more than ${maxMessageBytes} bytes as JSON; send less at once`);
    const reply = await this.#caller.call(call, options);
    if (reply.status < 200 || reply.status > 299) throw replyFailure(reply, options.effect);
    const answer = read(this.#keyspace, options.effect === 'write', () => create(method.output, answerOf<O>(any, request, this.#shapes, reply.text)));
    if ((method as unknown) === DataService.method.describeTable) this.#learn((request as unknown as { readonly table: string }).table, answer as unknown as Description);
    return answer;
  }

  // biome-ignore lint/correctness/useYield: the data side of a foreign service has no stream
  async *stream(): AsyncGenerator<never> {
    throw new SwitchyardError('NOT_SUPPORTED', 'a foreign service has no log that could be followed');
  }

  converse(): Promise<Conversation<never, never>> {
    return Promise.reject(new SwitchyardError('NOT_SUPPORTED', 'a foreign service over HTTP has no interactive transactions'));
  }

  status(): PoolStatus {
    return this.#caller.status;
  }

  /** Connections are made by calls. */
  async connect(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#caller[Symbol.asyncDispose]();
  }

  /** The newest description is what rows are read by: whoever asked for it knows it as well. */
  #learn(table: string, { schema }: Description): void {
    if (schema !== undefined) this.#shapes.set(table, shapeFrom(table, schema));
  }
}

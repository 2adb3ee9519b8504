import type { ChangeTransaction } from '../../core/change.ts';
import type { Position } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { ReplicationStoreService } from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import { transactionFromMessage } from '../../runtime/wire/change-message.ts';
import { shapeMessage } from '../../runtime/wire/table-schema.ts';
import type { ChangeFeed, StreamSpec } from '../backend.ts';
import { read } from './failures.ts';
import type { Transport } from './transport.ts';

export interface FollowedLogOptions {
  readonly transport: Transport;
  /** What the service calls it. */
  readonly keyspace: string;
  readonly stream: StreamSpec;
  readonly schemas: ReadonlyMap<string, TableSchema>;
  readonly from: Position;
  /** Names this reading. */
  readonly reader: string;
  readonly onBackgroundError: (error: Error) => void;
}

/** Throws where a number of it is none that could have been counted up to. */
function counted(transaction: ChangeTransaction): ChangeTransaction {
  const numbers = transaction.events.flatMap((event) => (event.kind === 'marker' ? [event.attempt] : event.kind === 'watermark' ? [event.id] : []));
  const bad = numbers.find((number) => !Number.isSafeInteger(number) || number < 0);
  if (bad !== undefined || !Number.isFinite(transaction.ageMs)) throw new Error(`a transaction of the number ${bad ?? transaction.ageMs}`);
  return transaction;
}

const { follow, confirm } = ReplicationStoreService.method;

/** A log that another Switchyard reads for us. What is confirmed goes in calls of their own, one at a time, the newest position each time. */
export class FollowedLog implements ChangeFeed {
  readonly #options: FollowedLogOptions;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  #toConfirm: Position | null = null;
  #isConfirming = false;

  constructor(options: FollowedLogOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
  }

  confirm(position: Position): void {
    this.#toConfirm = position;
    if (!this.#isConfirming) void this.#confirmAll();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ChangeTransaction[]> {
    const { transport, keyspace, stream, schemas, from, reader } = this.#options;
    const { id, workflow, tables } = stream;
    const request = { keyspace, stream: { id, workflow, tables: [...tables] }, tables: [...schemas.values()].map(shapeMessage), from, reader };
    let begun: ChangeTransaction | null = null;
    try {
      // Where it is let go, or its caller aborts, this rejects.
      for await (const { transactions, goesOn } of transport.stream(follow, request, this.#signal)) {
        const received = read(keyspace, false, () => transactions.map((transaction) => counted(transactionFromMessage(schemas, transaction))));
        const whole = [...received];
        const [first] = whole;
        if (begun !== null && first !== undefined) whole[0] = { ...first, events: [...begun.events, ...first.events] };
        begun = goesOn ? (whole.pop() ?? begun) : null;
        // A part alone is no arrival: it would only say that nothing has come.
        if (whole.length > 0 || !goesOn) yield whole;
      }
    } finally {
      this.#end.abort(new SwitchyardError('CANCELLED', `the log of stream ${stream.id} is not followed any more`));
    }
    throw new SwitchyardError('STORE_UNAVAILABLE', `the service ended the log of stream ${stream.id}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new SwitchyardError('CANCELLED', `the log of stream ${this.#options.stream.id} is not followed any more`));
  }

  async #confirmAll(): Promise<void> {
    const { transport, keyspace, reader, onBackgroundError } = this.#options;
    this.#isConfirming = true;
    try {
      for (let position = this.#toConfirm; position !== null && !this.#end.signal.aborted; position = this.#toConfirm) {
        this.#toConfirm = null;
        await transport.unary(confirm, { keyspace, reader, position }, { signal: this.#end.signal, effect: 'read' });
      }
    } catch (error) {
      // The next one says it again, and more.
      if (!this.#end.signal.aborted) onBackgroundError(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#isConfirming = false;
    }
  }
}

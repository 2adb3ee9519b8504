import { VERDICTS } from '../core/request-record.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { DataService } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { pause } from './pause.ts';
import { outcomeUnknown } from './outcome-unknown.ts';
import { createRpcClient, type RpcCallOptions, type RpcClient, type RpcClientOptions } from './rpc-client.ts';
import { AnswerTooLarge } from './rpc-error.ts';

export interface GatewaysOptions extends Pick<RpcClientOptions, 'caller' | 'channel'> {
  /** "host:port" of one gateway or of several, which take turns. */
  readonly addresses: string | readonly string[];
  /** For each call with all its tries, from when it is made. Default 10,000. Streams, watches and transactions have limits of their own. */
  readonly deadlineMs?: number;
  /** W3C trace context that a call made now belongs to. */
  readonly traceparent?: () => string | undefined;
}

/** How one call is made. */
export interface TryOptions {
  /** A 'write', which has no request id, is not tried again where nobody knows whether it was done. */
  readonly kind: 'read' | 'write once' | 'write';
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export type DataClient = RpcClient<typeof DataService>;

export interface Turn {
  readonly gateway: Pick<Gateway, 'client' | 'served' | 'failed'>;
  readonly options: RpcCallOptions & { readonly signal: AbortSignal };
}

const defaultDeadlineMs = 10_000;
const firstPauseMs = 10;
const longestPauseMs = 1_000;
/** A gateway that could not be reached is left out for so long; twice as long each time in a row. */
const firstRestMs = 500;
const longestRestMs = 10_000;

/** One of them, and whether it rests. */
class Gateway {
  readonly client: DataClient;
  #restsUntilMs = 0;
  #restMs = firstRestMs;

  constructor(client: DataClient) {
    this.client = client;
  }

  get restsUntilMs(): number {
    return this.#restsUntilMs;
  }

  /** To be told when it has answered. */
  served(): void {
    this.#restMs = firstRestMs;
  }

  /** To be told of every failure of a call. */
  failed(error: unknown): void {
    if (!isOut(error)) return;
    this.#restsUntilMs = performance.now() + this.#restMs;
    this.#restMs = Math.min(2 * this.#restMs, longestRestMs);
  }
}

/** The gateways that a program calls: calls go to one after the other, those that cannot be reached or do not serve rest a while, and failures that a repetition mends are repeated within the deadline, at another gateway where there is one. */
export class Gateways implements Disposable {
  readonly #options: GatewaysOptions;
  readonly #gateways: readonly Gateway[];
  readonly #closing = new AbortController();
  #next = 0;

  /** Connects when it is first used. */
  constructor(options: GatewaysOptions) {
    const addresses = typeof options.addresses === 'string' ? [options.addresses] : options.addresses;
    if (addresses.length === 0) throw new SwitchyardError('ARGUMENT_INVALID', 'addresses: got none; give "host:port" of at least one gateway');
    this.#options = options;
    const { caller, channel } = options;
    const given = { ...(caller === undefined ? {} : { caller }), ...(channel === undefined ? {} : { channel }) };
    this.#gateways = addresses.map((address) => new Gateway(createRpcClient(DataService, address, given)));
  }

  /** Makes one call, as often as it takes. Rejects with the last failure when the deadline leaves no time for another try, or with OUTCOME_UNKNOWN where a try may have been done and that failure does not tell. */
  async call<T>(
    act: (client: DataClient, options: RpcCallOptions) => Promise<T>,
    { kind, signal, deadlineMs = this.#options.deadlineMs ?? defaultDeadlineMs }: TryOptions,
  ): Promise<T> {
    const endsMs = performance.now() + deadlineMs;
    let unknown: SwitchyardError | null = null;
    try {
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
        const { gateway, options } = this.turn(signal);
        try {
          const answer = await act(gateway.client, { ...options, deadlineMs: Math.max(1, endsMs - performance.now()) });
          gateway.served();
          return answer;
        } catch (error) {
          gateway.failed(error);
          if (kind !== 'read' && (isFault(error) || hasReason(error, 'PEER_UNREACHABLE', 'OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED'))) unknown = error;
          if (!mayRepeat(error, kind)) throw error;
          const waitMs = this.waitMs(gateway, error, pauseMs);
          if (performance.now() + waitMs >= endsMs) throw error;
          await pause(waitMs, options.signal);
        }
      }
    } catch (error) {
      if (kind !== 'read' && error instanceof AnswerTooLarge)
        throw new SwitchyardError('STORE_FAILED', `the write was done, and its answer cannot be shown: ${error.message}`, { cause: error });
      throw outcomeOf(error, unknown);
    }
  }

  /** The gateway whose turn it is, for a call that is repeated elsewhere, and what every call carries. Its signal ends the pauses between the tries as well. */
  turn(signal?: AbortSignal): Turn {
    if (this.#closing.signal.aborted) throw wasClosed();
    const traceparent = this.#options.traceparent?.();
    return { gateway: this.#pick(), options: { signal: this.untilClosed(signal), ...(traceparent === undefined ? {} : { traceparent }) } };
  }

  /** Aborts when this one does, and when the gateways are closed. */
  untilClosed(signal?: AbortSignal): AbortSignal {
    return signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
  }

  /** How long to wait for the next try after a failure of this gateway: not at all where another one can be asked. */
  waitMs(gateway: Turn['gateway'], error: SwitchyardError, pauseMs: number): number {
    const now = performance.now();
    if (isOut(error) && this.#gateways.some((each) => each !== gateway && each.restsUntilMs <= now)) return 0;
    return Math.max(error.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random()));
  }

  /** Ends what is under way, and every later call, with CANCELLED. */
  [Symbol.dispose](): void {
    this.#closing.abort(wasClosed());
    for (const { client } of this.#gateways) client[Symbol.dispose]();
  }

  /** The next that does not rest, or the one whose rest ends first. */
  #pick(): Gateway {
    const now = performance.now();
    const [first] = this.#gateways;
    if (first === undefined) throw new Error('there is no gateway');
    let best = first;
    for (let i = 0; i < this.#gateways.length; i += 1) {
      const gateway = this.#gateways[(this.#next + i) % this.#gateways.length] as Gateway;
      if (gateway.restsUntilMs <= now) {
        this.#next = (this.#next + i + 1) % this.#gateways.length;
        return gateway;
      }
      if (gateway.restsUntilMs < best.restsUntilMs) best = gateway;
    }
    return best;
  }
}

const wasClosed = (): SwitchyardError => new SwitchyardError('CANCELLED', 'the database was closed: close() was called, or the scope of its "using" has ended');

/** Failures of a gateway that has no use for calls just now. */
const isOut = (error: unknown): boolean => hasReason(error, 'PEER_UNREACHABLE', 'GATEWAY_NOT_READY');

/** What a write has come to whose last try failed like this, and of whose earlier tries one is `unknown`. */
function outcomeOf(error: unknown, unknown: SwitchyardError | null): unknown {
  if (unknown === null || hasReason(error, ...storeVerdicts)) return error;
  return outcomeUnknown('the write', unknown, error);
}

/** Only of a try that reached the store; a NOT NULL may also be the gateway's own word. */
const storeVerdicts = VERDICTS.filter((reason) => reason !== 'NOT_NULL_VIOLATION');

/** A fault behind which a write may have been done; not where nothing serves the method. */
const isFault = (error: unknown): error is SwitchyardError => hasReason(error, 'INTERNAL') && error.metadata.code !== 'UNIMPLEMENTED';

function mayRepeat(error: unknown, kind: TryOptions['kind']): error is SwitchyardError {
  if (!(error instanceof SwitchyardError)) return false;
  if (error.retryable) return true;
  return kind !== 'write' && (hasReason(error, 'PEER_UNREACHABLE', 'OUTCOME_UNKNOWN') || (kind === 'write once' && isFault(error)));
}

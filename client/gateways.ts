import { VERDICTS } from '../core/request-record.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { DataService } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { pause } from './pause.ts';
import { outcomeUnknown } from './outcome-unknown.ts';
import { createRpcClient, type RpcCallOptions, type RpcClient, type RpcClientOptions } from './rpc-client.ts';

export interface GatewaysOptions extends Pick<RpcClientOptions, 'caller' | 'channel'> {
  /** "host:port" of one gateway or of several, which take turns. */
  readonly addresses: string | readonly string[];
  /** For each call with all its tries. Default 10,000. */
  readonly deadlineMs?: number;
  /** W3C trace context that a call made now belongs to. */
  readonly traceparent?: () => string | undefined;
}

/** How one call is made. */
export interface TryOptions {
  /** A write without a request id is not tried again where nobody knows whether it was done. */
  readonly kind: 'read' | 'write once' | 'write';
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export type DataClient = RpcClient<typeof DataService>;

const defaultDeadlineMs = 10_000;
const firstPauseMs = 10;
const longestPauseMs = 1_000;
/** A gateway that could not be reached is left out for so long; twice as long each time in a row. */
const firstRestMs = 500;
const longestRestMs = 10_000;

interface Gateway {
  readonly client: DataClient;
  restsUntilMs: number;
  restMs: number;
}

/** The gateways that a program calls: calls go to one after the other, those that cannot be reached or do not serve rest a while, and failures that a repetition mends are repeated within the deadline, at another gateway where there is one. */
export class Gateways implements Disposable {
  readonly #options: GatewaysOptions;
  readonly #gateways: readonly Gateway[];
  #next = 0;

  /** Connects when it is first used. */
  constructor(options: GatewaysOptions) {
    const addresses = typeof options.addresses === 'string' ? [options.addresses] : options.addresses;
    if (addresses.length === 0) throw new SwitchyardError('ARGUMENT_INVALID', 'addresses: got none; give "host:port" of at least one gateway');
    this.#options = options;
    const { caller, channel } = options;
    const given = { ...(caller === undefined ? {} : { caller }), ...(channel === undefined ? {} : { channel }) };
    this.#gateways = addresses.map((address) => ({ client: createRpcClient(DataService, address, given), restsUntilMs: 0, restMs: firstRestMs }));
  }

  /** Makes one call, as often as it takes. Rejects with the last failure when the deadline leaves no time for another try, or with OUTCOME_UNKNOWN where that failure does not speak of the tries before it. */
  async call<T>(
    act: (client: DataClient, options: RpcCallOptions) => Promise<T>,
    { kind, signal, deadlineMs = this.#options.deadlineMs ?? defaultDeadlineMs }: TryOptions,
  ): Promise<T> {
    const endsMs = performance.now() + deadlineMs;
    let unknown: SwitchyardError | null = null;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      const gateway = this.#pick();
      try {
        const answer = await act(gateway.client, { deadlineMs: Math.max(1, endsMs - performance.now()), ...this.#own(signal) });
        gateway.restMs = firstRestMs;
        return answer;
      } catch (error) {
        this.failed(gateway.client, error);
        if (kind === 'write once' && hasReason(error, 'PEER_UNREACHABLE', 'OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED')) unknown = error;
        if (!mayRepeat(error, kind !== 'write')) throw outcomeOf(error, unknown);
        const waitMs =
          this.#othersServe(gateway) && hasReason(error, 'PEER_UNREACHABLE', 'GATEWAY_NOT_READY') ? 0 : Math.max(error.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random()));
        if (performance.now() + waitMs >= endsMs) throw outcomeOf(error, unknown);
        await pause(waitMs, signal).catch((stopped: unknown) => Promise.reject(outcomeOf(stopped, unknown)));
      }
    }
  }

  /** A gateway for a call that the caller repeats by itself, with what every call carries. */
  pick(signal?: AbortSignal): { readonly client: DataClient; readonly options: RpcCallOptions } {
    return { client: this.#pick().client, options: this.#own(signal) };
  }

  /** To be told of every failure of a call on a picked gateway. */
  failed(client: DataClient, error: unknown): void {
    const gateway = this.#gateways.find((each) => each.client === client);
    if (gateway === undefined || !hasReason(error, 'PEER_UNREACHABLE', 'GATEWAY_NOT_READY')) return;
    gateway.restsUntilMs = performance.now() + gateway.restMs;
    gateway.restMs = Math.min(2 * gateway.restMs, longestRestMs);
  }

  [Symbol.dispose](): void {
    for (const { client } of this.#gateways) client[Symbol.dispose]();
  }

  #own(signal: AbortSignal | undefined): RpcCallOptions {
    const traceparent = this.#options.traceparent?.();
    return { ...(signal === undefined ? {} : { signal }), ...(traceparent === undefined ? {} : { traceparent }) };
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

  #othersServe(gateway: Gateway): boolean {
    const now = performance.now();
    return this.#gateways.some((each) => each !== gateway && each.restsUntilMs <= now);
  }
}

/** What a write has come to whose last try failed like this, and of whose earlier tries one is `unknown`. */
function outcomeOf(error: unknown, unknown: SwitchyardError | null): unknown {
  if (unknown === null || hasReason(error, ...storeVerdicts)) return error;
  return outcomeUnknown('the write', unknown, error);
}

/** Only of a try that reached the store; a NOT NULL may also be the gateway's own word. */
const storeVerdicts = VERDICTS.filter((reason) => reason !== 'NOT_NULL_VIOLATION');

function mayRepeat(error: unknown, repeatable: boolean): error is SwitchyardError {
  if (!(error instanceof SwitchyardError)) return false;
  return error.retryable || (repeatable && hasReason(error, 'PEER_UNREACHABLE', 'OUTCOME_UNKNOWN'));
}

import { Client, connectivityState, credentials, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { peerHeaders } from '../../core/peer-call.ts';
import { activeTraceparent, TRACEPARENT_KEY } from '../../runtime/trace-context.ts';

/** Connections come back within this time, and nobody waits longer for one that was refused. */
const firstReconnectMs = 50;
const longestReconnectMs = 1_000;
/** A process that has gone without a word is noticed within so long, also by a stream on which nothing comes. */
const keepaliveMs = 5_000;
const keepaliveLimitMs = 5_000;

export interface EndpointsOptions {
  readonly addresses: readonly string[];
  /** As whom we are known there; null: the service asks for nothing. */
  readonly login: { readonly user: string; readonly secret: string } | null;
  /** One is called until it is lost, and only then another: what is kept there between calls is found again. Left out: they take turns. */
  readonly isFaithful?: boolean;
  /** Longest wait for a connection that is being made. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
}

/** One process that passes the store on, and its channel. */
export class Endpoint {
  readonly address: string;
  readonly client: Client;

  constructor(address: string) {
    this.address = address;
    this.client = new Client(address, credentials.createInsecure(), {
      'grpc.enable_retries': 0,
      'grpc.initial_reconnect_backoff_ms': firstReconnectMs,
      'grpc.max_reconnect_backoff_ms': longestReconnectMs,
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveLimitMs,
      'grpc.max_receive_message_length': maxStoreMessageBytes,
      'grpc.max_send_message_length': maxStoreMessageBytes,
      // A channel of its own: what is closed or slow for one store is not for another.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** A look that finds it disconnected begins to connect: whoever can be reached again takes its turn again. */
  get isConnected(): boolean {
    return this.client.getChannel().getConnectivityState(true) === connectivityState.READY;
  }
}

/** The processes of one service that pass the store on: calls take turns among those that are connected, or keep to one of them. */
export class Endpoints {
  readonly #options: EndpointsOptions;
  readonly #endpoints: readonly Endpoint[];
  readonly #metadata = new Metadata();
  #next = 0;
  #kept: Endpoint | null = null;

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.#endpoints = options.addresses.map((address) => new Endpoint(address));
    if (options.login === null) return;
    for (const [name, value] of Object.entries(peerHeaders(options.login))) this.#metadata.set(name, value);
  }

  get connected(): number {
    return this.#endpoints.filter(({ client }) => client.getChannel().getConnectivityState(false) === connectivityState.READY).length;
  }

  /** What every call carries. */
  metadata(): Metadata {
    const metadata = this.#metadata.clone();
    const traceparent = activeTraceparent();
    if (traceparent !== undefined) metadata.set(TRACEPARENT_KEY, traceparent);
    return metadata;
  }

  get first(): string {
    return this.#options.addresses[0] ?? '';
  }

  /** A connected one; whose turn it is among them. Waits for a connection that is being made; null: none can be made now, or the signal aborted. Nothing has been sent then. */
  async pick(signal: AbortSignal): Promise<Endpoint | null> {
    const ready = this.#turn();
    if (ready !== null) return ready;
    return await beforeAbort(firstOf(this.#connecting()), signal);
  }

  /** Connects to all that can be reached; how many those are. */
  async connectAll(signal: AbortSignal): Promise<number> {
    const found = await beforeAbort(Promise.all(this.#connecting()), signal);
    return (found ?? []).filter((endpoint) => endpoint !== null).length;
  }

  close(): void {
    for (const { client } of this.#endpoints) client.close();
  }

  #connecting(): readonly Promise<Endpoint | null>[] {
    const { clock, connectTimeoutMs } = this.#options;
    const until = clock.now() + connectTimeoutMs;
    return this.#endpoints.map((endpoint) => untilConnected(endpoint, until, clock));
  }

  #turn(): Endpoint | null {
    const connected = this.#endpoints.filter(({ isConnected }) => isConnected);
    if (this.#options.isFaithful === true) {
      if (this.#kept === null || !connected.includes(this.#kept)) this.#kept = connected[0] ?? null;
      return this.#kept;
    }
    this.#next += 1;
    return connected[this.#next % connected.length] ?? null;
  }
}

/** The endpoint once it is connected; null when the connection is refused, or was not made in time. */
async function untilConnected(endpoint: Endpoint, until: number, clock: Clock): Promise<Endpoint | null> {
  const channel = endpoint.client.getChannel();
  let hasTried = false;
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return endpoint;
    if (state === connectivityState.SHUTDOWN) return null;
    if (state === connectivityState.CONNECTING) hasTried = true;
    // One try of our own is waited for: what was refused a while ago may be served again.
    if (state === connectivityState.TRANSIENT_FAILURE && hasTried) return null;
    const limit = state === connectivityState.TRANSIENT_FAILURE ? Math.min(until, clock.now() + longestReconnectMs) : until;
    const changed = await new Promise<boolean>((resolve) => channel.watchConnectivityState(state, new Date(limit), (error) => resolve(error === undefined)));
    if (!changed) return null;
  }
}

async function firstOf(waiting: readonly Promise<Endpoint | null>[]): Promise<Endpoint | null> {
  const { promise, resolve } = Promise.withResolvers<Endpoint | null>();
  const all = waiting.map(async (one) => {
    const endpoint = await one;
    if (endpoint !== null) resolve(endpoint);
  });
  void Promise.all(all).then(() => resolve(null));
  return await promise;
}

/** Null: the signal has aborted first. */
async function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null;
  const { promise: aborted, resolve } = Promise.withResolvers<null>();
  const onAbort = (): void => resolve(null);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

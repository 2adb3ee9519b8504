import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { Connection, ConnectionLost, GivenUp } from '../kernel/connection.ts';
import type { Network } from '../kernel/network.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { Timeline } from '../kernel/scheduler.ts';
import type { StoreServer } from './server.ts';
import type { StoreSession } from './session.ts';
import { StoreRefusal } from './transaction.ts';

/** Whether a request may commit something: then the loss of its answer leaves the outcome unknown. A mere commit is not cancelled. */
export type Effect = 'nothing' | 'commits' | 'commit';

/** One process's way to one store. */
export class StoreLink {
  readonly process: SimProcess;
  readonly server: StoreServer;
  readonly #network: Network;
  readonly #scheduler: Timeline;

  constructor(process: SimProcess, server: StoreServer, network: Network, scheduler: Timeline) {
    this.process = process;
    this.server = server;
    this.#network = network;
    this.#scheduler = scheduler;
  }

  connect(): Connection<StoreSession> {
    return new Connection(this.process, this.server, this.#network, this.#scheduler);
  }

  /** One request on a connection of its own. */
  async once<T>(effect: Effect, signal: AbortSignal, work: (session: StoreSession) => Promise<T>): Promise<T> {
    const connection = this.connect();
    try {
      return await this.request(connection, effect, signal, work);
    } finally {
      connection.release();
    }
  }

  /** One request; what fails is told as a store's client tells it. */
  async request<T>(connection: Connection<StoreSession>, effect: Effect, signal: AbortSignal, work: (session: StoreSession) => Promise<T>): Promise<T> {
    if (signal.aborted) throw abortError(signal);
    try {
      return await connection.send(work, { signal, onAbort: effect === 'commit' ? 'wait' : 'cancel' });
    } catch (error) {
      throw storeError(error, effect, signal);
    }
  }
}

/** What an aborted call rejects with: the signal's own reason where it is ours. */
export function abortError(signal: AbortSignal): SwitchyardError {
  return signal.reason instanceof SwitchyardError ? signal.reason : new SwitchyardError('CANCELLED', 'the caller cancelled the call', { cause: signal.reason });
}

function storeError(error: unknown, effect: Effect, signal: AbortSignal): unknown {
  if (error instanceof StoreRefusal) return error.code === 'query_canceled' && signal.aborted ? abortError(signal) : refusalError(error);
  if (error instanceof GivenUp) {
    if (effect === 'nothing') return abortError(signal);
    return new SwitchyardError('OUTCOME_UNKNOWN', 'the call ended after the write was sent, and the store did not tell in time whether it was done', { cause: signal.reason });
  }
  if (!(error instanceof ConnectionLost)) return error;
  if (error.sent && effect !== 'nothing') return new SwitchyardError('OUTCOME_UNKNOWN', `the connection to the store was lost before it confirmed the write: ${error.message}`);
  return new SwitchyardError('STORE_UNAVAILABLE', `the connection to the store was lost: ${error.message}`);
}

function refusalError(refusal: StoreRefusal): SwitchyardError {
  const details = { cause: refusal };
  switch (refusal.code) {
    case 'fenced':
    case 'insufficient_privilege':
      return new SwitchyardError('FENCED', refusal.message, details);
    case 'serialization_failure':
    case 'deadlock_detected':
    case 'lock_not_available':
      return new SwitchyardError('SERIALIZATION_FAILURE', refusal.message, details);
    case 'query_canceled':
      return new SwitchyardError('STORE_UNAVAILABLE', refusal.message, details);
    case 'unique_violation':
      return new SwitchyardError('UNIQUE_VIOLATION', refusal.message, details);
    case 'undefined_table':
      return new SwitchyardError('TABLE_UNKNOWN', refusal.message, details);
    case 'rights_remain':
      return new SwitchyardError('PRECHECK_FAILED', refusal.message, details);
    case 'prepared_later':
      return new SwitchyardError('LOCK_TAKEN', refusal.message, details);
    case 'stream_taken':
      return new SwitchyardError('STREAM_TAKEN', refusal.message, details);
  }
}

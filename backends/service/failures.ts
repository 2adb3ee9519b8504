import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Effect } from './transport.ts';

/** What an aborted call rejects with: the signal's own reason where it is ours. */
export function abortError(signal: AbortSignal): SwitchyardError {
  const reason: unknown = signal.reason;
  return reason instanceof SwitchyardError ? reason : new SwitchyardError('CANCELLED', 'the caller cancelled the call', { cause: reason });
}

/** Who is called, for messages. */
export interface Callee {
  /** Address of the process. */
  readonly address: string;
  /** The keyspace here. */
  readonly keyspace: string;
}

/** No connection could be made: nothing was sent. */
export const unreachable = ({ address, keyspace }: Callee, cause?: unknown): SwitchyardError =>
  new SwitchyardError('STORE_UNAVAILABLE', `${address}, a service that passes on the store of keyspace "${keyspace}", cannot be reached`, {
    ...(cause === undefined ? {} : { cause }),
    metadata: { address },
  });

/** The connection was lost, or the other end failed without a reason, after the call was sent. */
export function lost({ address }: Callee, effect: Effect, cause: unknown): SwitchyardError {
  const why = cause instanceof Error ? cause.message : String(cause);
  if (effect === 'read') return new SwitchyardError('STORE_UNAVAILABLE', `the connection to ${address} was lost: ${why}`, { cause, metadata: { address } });
  return new SwitchyardError('OUTCOME_UNKNOWN', `the connection to ${address} was lost before it told of the write: ${why}`, { cause, metadata: { address } });
}

/** The call ended after it was sent, and the other end did not tell in time what has become of it. */
export const unknownAfterAbort = (signal: AbortSignal): SwitchyardError =>
  new SwitchyardError('OUTCOME_UNKNOWN', `the call ended (${abortError(signal).reason}) after the write was sent, and the service did not tell in time whether it was done`, {
    cause: signal.reason,
  });

/** What the other end has answered, as a store of our own would say it. */
export function told(error: SwitchyardError, callee: Callee, effect: Effect): SwitchyardError {
  const { address, keyspace } = callee;
  // It is about to end, or does not know its rules yet: nothing was done.
  if (error.reason === 'GATEWAY_NOT_READY') return new SwitchyardError('STORE_UNAVAILABLE', `${address} does not serve just now: ${error.message}`, { cause: error });
  if (error.reason === 'KEYSPACE_UNKNOWN' || error.reason === 'KEYSPACE_INVALID')
    return new SwitchyardError('KEYSPACE_INVALID', `keyspace "${keyspace}": ${address} cannot pass its store on: ${error.message}`, {
      fix: 'correct "keyspace" of its shard here, or that keyspace there',
      cause: error,
    });
  // A fault of the other end, of which nobody knows at what point it came.
  if (error.reason === 'INTERNAL' && effect === 'write') return lost(callee, effect, error);
  return error;
}

/** Nothing of ours is served there. */
export const notServed = ({ address, keyspace }: Callee, cause: unknown): SwitchyardError =>
  new SwitchyardError('STORE_LOGIN_REFUSED', `${address}, named as the way to the store of keyspace "${keyspace}", passes no stores on`, {
    fix: 'give its configuration the peers that may use its stores, and restart it; or correct the address',
    cause,
    metadata: { address, missing: 'login' },
  });

/** Runs what makes our own words of an answer. STORE_FAILED: it is of a release that this one does not understand; `done`: what the answer was to has been done. */
export function read<T>(keyspace: string, done: boolean, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SwitchyardError(
      'STORE_FAILED',
      `${done ? 'the write was done; its answer cannot be shown: ' : ''}the service of keyspace "${keyspace}" answered with what cannot be read here: ${why}`,
      { cause },
    );
  }
}

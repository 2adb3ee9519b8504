import { SwitchyardError } from '../core/switchyard-error.ts';

/** What an aborted call rejects with: the signal's own reason where it is ours. */
export function abortError(signal: AbortSignal): SwitchyardError {
  const reason: unknown = signal.reason;
  return reason instanceof SwitchyardError ? reason : new SwitchyardError('CANCELLED', 'the caller cancelled the call', { cause: reason });
}

/** The promise's value, or null when the signal aborts first. What becomes of the promise then is nobody's concern, so it must not reject. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve) => {
    const onAbort = (): void => resolve(null);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void promise.then((value) => {
      signal.removeEventListener('abort', onAbort);
      resolve(value);
    });
  });
}

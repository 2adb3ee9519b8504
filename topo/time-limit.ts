import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { abortError } from './consul-transport.ts';

/** Runs `act` with a signal that aborts with the caller's reason, or with TOPOLOGY_UNAVAILABLE after `limitMs`. `act` must heed it. */
export async function withLimit<T>(clock: Clock, limitMs: number, signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (signal.aborted) throw abortError(signal);
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(abortError(signal));
  const stop = clock.after(limitMs, () => controller.abort(new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul could not be asked successfully within ${limitMs} ms`)));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await act(controller.signal);
  } finally {
    stop();
    signal.removeEventListener('abort', onAbort);
  }
}

import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { CONSISTENT } from './kv-client.ts';
import type { TopologyContext } from './topology-context.ts';

/** `lost`: somebody else changed the key. */
export type CompareAndSetOutcome = { readonly kind: 'written'; readonly index: number } | { readonly kind: 'lost' };

/**
 * Writes one key where it still has `index` (0: does not exist), and finds out what became of a write that was not answered. `value` must hold a nonce: it is known again by its bytes. Goes on until the signal aborts, so give
 * it one with a limit; an abort with a write on its way says `outcome: unknown` in the metadata. TOPOLOGY_DENIED: refused although nobody changed the key.
 */
export async function compareAndSet(context: TopologyContext, key: string, value: Buffer, index: number, signal: AbortSignal): Promise<CompareAndSetOutcome> {
  let refusal: string | null = null;
  let uncertain = false;
  for (let failures = 0; ; ) {
    try {
      if (failures > 0 || refusal !== null) {
        // Read before writing again: it may be there, and a write that is still on its way cannot land after the key has changed.
        const { items } = await context.client.get(key, CONSISTENT, signal);
        const current = items[0];
        if (current?.value.equals(value) === true) return { kind: 'written', index: current.modifyIndex };
        if ((current?.modifyIndex ?? 0) !== index) return { kind: 'lost' };
        if (refusal !== null) throw new SwitchyardError('TOPOLOGY_DENIED', `${key}: ${refusal}`);
      }
      uncertain = true;
      const outcome = await context.client.write([{ verb: 'cas', key, value, index }], signal);
      if (outcome.kind === 'written') return { kind: 'written', index: outcome.modifyIndex };
      refusal = outcome.message;
    } catch (error) {
      if (!uncertain) throw error;
      if (signal.aborted) throw outcomeUnknown(error, key);
      if (!hasReason(error, 'TOPOLOGY_UNAVAILABLE')) throw error;
      failures += 1;
      await context.faultBackOff.pause(failures, signal).catch((aborted: unknown) => {
        throw outcomeUnknown(aborted, key);
      });
    }
  }
}

/** The error with the note that the write may or may not have been done. */
export function outcomeUnknown(error: unknown, what: string): SwitchyardError {
  const reason = error instanceof SwitchyardError ? error.reason : 'TOPOLOGY_UNAVAILABLE';
  const message = error instanceof Error ? error.message : String(error);
  return new SwitchyardError(reason, `${message}; whether ${what} was written is not known`, { metadata: { outcome: 'unknown' }, cause: error });
}

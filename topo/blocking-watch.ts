import { CONSISTENT, type KvItem, type KvReading, type ReadMode } from './kv-client.ts';
import type { TopologyContext } from './topology-context.ts';

/** Pause after a blocking query that brought nothing new: one on a missing key wakes up at every write to any key. */
const UNCHANGED_PAUSE_MS = 20;

/**
 * Follows one key or prefix: the items as they are now, then whenever they have changed. It asks only when the consumer is ready for more, so a slow consumer skips what lay between and gets the newest. The first reading is
 * consistent, and so is the one after a fault and after every blocking query that brought nothing new or an index that goes backwards: its time may be over, an old leader may have answered, or Consul was restored from a snapshot,
 * at which it wakes its waiters with what they know already. Ends without an error when the signal aborts; never throws. `onFault` is called once when Consul is lost, and again only after it has been found.
 */
export async function* watchItems(
  context: TopologyContext,
  read: (mode: ReadMode, signal: AbortSignal) => Promise<KvReading>,
  signal: AbortSignal,
  onFault: ((error: Error) => void) | undefined,
): AsyncGenerator<readonly KvItem[], void, undefined> {
  let index = 0;
  let faults = 0;
  let pauseMs = 0;
  let seen: readonly KvItem[] | null = null;
  while (!signal.aborted) {
    let reading: KvReading;
    try {
      if (faults > 0) await context.faultBackOff.pause(faults, signal);
      else if (pauseMs > 0) await context.clock.sleep(pauseMs, signal);
      reading = await read(index === 0 ? CONSISTENT : { kind: 'blocking', index, waitMs: context.watchWaitMs }, signal);
    } catch (error) {
      if (signal.aborted) return;
      faults += 1;
      index = 0;
      if (faults === 1) (onFault ?? context.report)(error instanceof Error ? error : new Error(String(error)));
      continue;
    }
    faults = 0;
    const fromBlocking = index !== 0;
    const changed = reading.index >= index && (seen === null || !sameItems(seen, reading.items));
    // A blocking query that brings nothing new, or an older index, proves nothing about now.
    const askAgain = fromBlocking && !changed;
    pauseMs = askAgain ? UNCHANGED_PAUSE_MS : 0;
    index = askAgain ? 0 : reading.index;
    if (!changed) continue;
    seen = reading.items;
    yield reading.items;
  }
}

/** The values are compared too: a Consul that lost its data counts its indexes from the beginning again. */
function sameItems(a: readonly KvItem[], b: readonly KvItem[]): boolean {
  return a.length === b.length && a.every((item, i) => sameItem(item, b[i]));
}

function sameItem(a: KvItem, b: KvItem | undefined): boolean {
  return b !== undefined && a.key === b.key && a.modifyIndex === b.modifyIndex && a.createIndex === b.createIndex && a.value.equals(b.value);
}

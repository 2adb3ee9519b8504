import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  readonly limitMs: number;
  readonly everyMs?: number;
  /** Called once when the limit is over; its answer ends the error's message. */
  readonly explain?: () => Promise<string> | string;
}

/**
 * Asks again and again until `probe` answers something else than `undefined`, and resolves to that. What `probe` throws
 * ends the wait at once. Rejects after `limitMs`; one probe that hangs is the probe's own business, so give it a limit.
 */
export async function waitUntil<T>(what: string, options: WaitOptions, probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + options.limitMs;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) {
      const explanation = (await options.explain?.()) ?? '';
      throw new Error(`${what} did not happen within ${options.limitMs} ms${explanation === '' ? '' : `: ${explanation}`}`);
    }
    await sleep(options.everyMs ?? 20);
  }
}

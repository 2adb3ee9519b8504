import { z } from 'zod';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { compareAndSet } from './compare-and-set.ts';
import { CONSISTENT } from './kv-client.ts';
import { decodeDocument, encodeDocument } from './document-codec.ts';
import { withLimit } from './time-limit.ts';
import { CHANGE_LIMIT_MS, CHANGE_TRIES, type TopologyContext } from './topology-context.ts';

const counterSchema = z.strictObject({ attempt: z.number().int().nonnegative(), nonce: z.string() });

/** The next number of the cluster's counter of switches: above `floor` and above every number handed out before. A call that fails may have used one up. */
export function nextAttempt(context: TopologyContext, floor: number, signal: AbortSignal): Promise<number> {
  const key = context.keys.attempt;
  return withLimit(context.clock, CHANGE_LIMIT_MS, signal, async (limited) => {
    for (let tries = 1; tries <= CHANGE_TRIES; tries += 1) {
      const item = (await context.client.get(key, CONSISTENT, limited)).items[0];
      const current = item === undefined ? null : decodeDocument(counterSchema, item.value);
      if (current?.kind === 'invalid') throw new SwitchyardError('TOPOLOGY_INVALID', `${key}: ${current.message}`);
      const attempt = Math.max(floor, current?.value.attempt ?? 0) + 1;
      const outcome = await compareAndSet(context, key, encodeDocument({ attempt, nonce: context.newNonce() }), item?.modifyIndex ?? 0, limited);
      if (outcome.kind === 'written') return attempt;
      await context.conflictBackOff.pause(tries, limited);
    }
    throw new SwitchyardError('TOPOLOGY_CONFLICT', `the attempt counter could not be raised: others were faster ${CHANGE_TRIES} times`);
  });
}

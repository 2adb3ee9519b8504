import type { RulesSnapshot } from '../topo/topology.ts';
import type { ControlMetrics } from './metrics.ts';
import { changeNote } from './cutover/rules-write.ts';
import type { ControlDeps } from './move.ts';

const retryMs = 1_000;
/** Whoever deletes the key to write another one at once is not disturbed. */
const restoreAfterMs = 1_000;

/**
 * Watches the rules for what other Consul clients write: their documents go into the history, a missing or invalid one is an alarm, and one that stays missing comes back from the history. Runs in every control process; recording twice changes nothing.
 */
export async function watchExternalRules(deps: ControlDeps, metrics: ControlMetrics, signal: AbortSignal): Promise<void> {
  const { topology, log, clock } = deps;
  while (!signal.aborted) {
    try {
      for await (const snapshot of topology.watchRules(signal)) {
        await show(snapshot, deps, metrics, signal);
        // Control's own documents come with their entry: then this finds it and changes nothing.
        if (snapshot.kind === 'valid') await topology.recordExternal(snapshot.document, signal);
        if (snapshot.kind === 'missing') await restore(deps, signal);
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, 'a rules document could not be recorded; trying again');
    }
    await clock.sleep(retryMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
  }
}

/** Gateways go on with what they have, but none of them could start, and nothing could be changed. */
async function restore(deps: ControlDeps, signal: AbortSignal): Promise<void> {
  const { topology, log, clock } = deps;
  await clock.sleep(restoreAfterMs, signal);
  if ((await topology.readRules(signal)).kind !== 'missing') return;
  const document = await topology.restoreRules(changeNote(deps, 'somebody deleted the rules'), signal);
  if (document !== null) log.warn({ version: document.version }, 'the rules were restored from their history');
}

async function show(snapshot: RulesSnapshot, { log, topology }: ControlDeps, metrics: ControlMetrics, signal: AbortSignal): Promise<void> {
  metrics.rulesBroken.set({ kind: 'invalid' }, snapshot.kind === 'invalid' ? 1 : 0);
  // A cluster without keyspaces has no rules yet: nothing is wrong with it.
  const missing = snapshot.kind === 'missing' && (await topology.keyspaces(signal)).length > 0;
  metrics.rulesBroken.set({ kind: 'missing' }, missing ? 1 : 0);
  switch (snapshot.kind) {
    case 'valid':
      metrics.rulesVersion.set(snapshot.document.version);
      return;
    case 'invalid':
      log.error({ version: snapshot.version, problem: snapshot.message }, 'ALARM: the rules document is invalid; gateways go on with the last good one');
      return;
    case 'missing':
      if (missing) log.error('ALARM: the rules key does not exist; gateways go on with the last good ones, which are restored from the history');
      else log.info('no rules yet: the first keyspace applied creates them');
  }
}

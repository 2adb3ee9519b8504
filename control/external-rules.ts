import type { RulesSnapshot } from '../topo/topology.ts';
import type { ControlMetrics } from './metrics.ts';
import type { ControlDeps } from './move.ts';

const retryMs = 1_000;

/**
 * Watches the rules for what other Consul clients write: their documents go into the history, and a missing or invalid one is an alarm. Runs in every control process; recording twice changes nothing.
 */
export async function watchExternalRules(deps: ControlDeps, metrics: ControlMetrics, signal: AbortSignal): Promise<void> {
  const { topology, log, clock } = deps;
  while (!signal.aborted) {
    try {
      for await (const snapshot of topology.watchRules(signal)) {
        await show(snapshot, deps, metrics, signal);
        // Control's own documents come with their entry: then this finds it and changes nothing.
        if (snapshot.kind === 'valid') await topology.recordExternal(snapshot.document, signal);
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, 'a rules document could not be recorded; trying again');
    }
    await clock.sleep(retryMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
  }
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
      if (missing) log.error('ALARM: the rules key does not exist; gateways go on with the last good rules. Applying a keyspace restores the last good ones');
      else log.info('no rules yet: the first keyspace applied creates them');
  }
}
